//! Preprocessing and export of a large scan without a network between them, for comparison with nnU-Net: `stages
//! NETWORK_FOLDER SCAN.nii.gz`. Prints seconds and peak memory as JSON. The logits are generated, on the network's
//! grid.

use std::path::PathBuf;
use std::time::Instant;

use half::f16;
use i3deep::bundle::plans::Plan;
use i3deep::pipeline::export;
use i3deep::pipeline::preprocess::preprocess;
use i3deep::scan_io::read_scan;
use ndarray::Array4;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(network), Some(scan)) = (arguments.next(), arguments.next()) else {
        anyhow::bail!("usage: stages NETWORK_FOLDER SCAN.nii.gz")
    };
    let plan = Plan::read(&network)?;
    let scan = read_scan(&scan)?.volume;
    let geometry = scan.geometry().clone();

    let started = Instant::now();
    let prepared = preprocess(&[scan], &plan)?;
    let preprocessing = started.elapsed();
    let frame = prepared.frame.clone();
    drop(prepared);

    let [z, y, x] = frame.network;
    let logits = Array4::from_shape_fn((plan.manifest.heads, z, y, x), |(head, z, y, x)| logit(head, z, y, x));
    let started = Instant::now();
    let labels = export::labels(logits.view(), &frame, &plan, &geometry)?;
    let export = started.elapsed();
    let foreground = labels.voxels().iter().filter(|label| **label > 0).count();
    println!(
        r#"{{"preprocessing_s": {:.3}, "export_s": {:.3}, "peak_mib": {:.0}, "foreground": {foreground}}}"#,
        preprocessing.as_secs_f64(),
        export.as_secs_f64(),
        peak_mib().unwrap_or(f64::NAN)
    );
    Ok(())
}

/// Blocks of 24 voxels in which one class is ahead, and noise; integer arithmetic, so that Python makes the same.
fn logit(head: usize, z: usize, y: usize, x: usize) -> f16 {
    let ahead = (z / 24 + y / 24 * 3 + x / 24 * 7) % 20 == head;
    let mixed = ((head * 73 + z * 19 + y * 83 + x * 29) as u32).wrapping_mul(2_654_435_761);
    f16::from_f32((mixed >> 20) as f32 / 1024.0 + if ahead { 3.0 } else { -2.0 })
}

/// The process's largest resident size so far, where the system tells it.
fn peak_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? / 1024.0)
}
