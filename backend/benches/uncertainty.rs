//! What uncertainty and acquisition cost: memory and time on large volumes, and the share of a real network's time.
//!
//! `cargo bench --package backend --bench uncertainty [-- BUNDLE SCAN.nii.gz]`; the second part needs a bundle and a
//! scan.

#![expect(clippy::unwrap_used, reason = "a bench")]

use std::fs;
use std::hint::black_box;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use half::f16;
use i3deep::bundle::method::{Measure, Method, MethodText, Pass, Samples};
use i3deep::bundle::{Bundle, Stage};
use i3deep::inference::engine::set_threads;
use i3deep::inference::{DeviceChoice, Network, NetworkError};
use i3deep::pipeline::acquire::acquire;
use i3deep::pipeline::preprocess::preprocess;
use i3deep::pipeline::sampling::{Sampling, Tally, sample};
use i3deep::scan_io::read_scan;
use i3deep::tasks::load_stage;
use shared::acquisition::AcquisitionParams;
use shared::geometry::Geometry;
use shared::label::Label;
use shared::volume::Volume;

const HEADS: usize = 3;
const SIDE: usize = 256;
const FOLDS: usize = 5;
const MIRRORS: usize = 8;

/// A value of `/proc/self/status`, in bytes.
fn status(name: &str) -> usize {
    let text = fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    large_volume();
    large_acquisition();
    if let [bundle, scan] = &arguments[..] {
        share_of_the_network(Path::new(bundle), Path::new(scan));
    }
}

/// 40 samples of three classes and 256³ voxels, through the very sums that presegmentation uses; memory beside the
/// sample itself.
fn large_volume() {
    let voxels = SIDE.pow(3);
    let logits: Vec<f16> =
        (0..HEADS * voxels).map(|at| f16::from_f32(((at as u64 * 7919) % 2003) as f32 / 100.0 - 10.0)).collect();
    for measure in Measure::ALL {
        let methods = [Method { samples: Samples::default(), measure }];
        // Resets the peak.
        fs::write("/proc/self/clear_refs", "5").unwrap();
        let before = status("VmRSS");
        let start = Instant::now();
        let mut tally = Tally::new(HEADS, voxels, &Sampling { methods: &methods, ..Sampling::default() });
        for fold in 0..FOLDS {
            for mirror in 0..MIRRORS {
                tally.add(Pass { fold, mirror, dropout: None }, &logits).unwrap();
            }
        }
        let adding = start.elapsed();
        black_box(tally.finish().unwrap());
        let peak = (status("VmHWM") - before) as f64 / (voxels * size_of::<f32>()) as f64;
        let finishing = (start.elapsed() - adding).as_secs_f64();
        let each = adding.as_secs_f64() / (FOLDS * MIRRORS) as f64;
        println!(
            "{measure:<20} 40 samples of 3 × 256³: peak {peak:.2} volumes of f32, {each:.3} s a sample, {finishing:.2} \
             s at the end"
        );
    }
}

/// Slices of 512 × 512 × 300 voxels, five times.
fn large_acquisition() {
    let geometry = Geometry::axis_aligned([512, 512, 300], [0.7, 0.7, 1.0]).unwrap();
    let wave = |i: usize| ((i as f32 * 0.37).sin() * (i as f32 / 3e5).cos()).max(0.0);
    let uncertainty: Vec<f32> = (0..geometry.voxel_count()).map(wave).collect();
    let labels: Vec<Label> = uncertainty.iter().map(|u| u8::from(*u > 0.97)).collect();
    let (uncertainty, labels) =
        (Volume::new(geometry.clone(), uncertainty).unwrap(), Volume::new(geometry, labels).unwrap());
    for _ in 0..5 {
        let start = Instant::now();
        let list = acquire(&uncertainty, &labels, &AcquisitionParams::default(), &[]).unwrap();
        let elapsed = start.elapsed();
        println!(
            "acquisition on 512 × 512 × 300: {elapsed:.2?}, {} slices and {} beyond",
            list.slices.len(),
            list.beyond.len()
        );
        assert!(elapsed.as_secs_f64() < 1.0, "{elapsed:.2?}");
    }
}

/// A network and the time spent in it.
struct Timed {
    network: Box<dyn Network>,
    /// Microseconds.
    spent: Arc<AtomicU64>,
}

impl Network for Timed {
    fn forward(&self, batch: &[f32], n: usize, size: [usize; 3]) -> Result<Vec<f32>, NetworkError> {
        let start = Instant::now();
        let logits = self.network.forward(batch, n, size);
        self.spent.fetch_add(start.elapsed().as_micros() as u64, Ordering::Relaxed);
        logits
    }

    fn set_dropout(&mut self, seed: Option<u64>) -> Result<(), NetworkError> {
        self.network.set_dropout(seed)
    }
}

/// A scan presegmented with each measure; the sums alone are timed with as many samples of the same size.
fn share_of_the_network(bundle: &Path, scan: &Path) {
    set_threads(1);
    let bundle = Bundle::read(bundle).unwrap();
    let plan = bundle.plan(Stage::Presegmentation);
    let channels = vec![read_scan(scan).unwrap().volume; plan.channels.len()];
    let data = preprocess(&channels, plan).unwrap().data;
    let spent = Arc::new(AtomicU64::new(0));
    let timed = |network| Box::new(Timed { network, spent: spent.clone() }) as Box<dyn Network>;
    let mut folds: Vec<Box<dyn Network>> =
        load_stage(&bundle, Stage::Presegmentation, DeviceChoice::Cpu).unwrap().into_iter().map(timed).collect();
    let mut go_on = |_| ControlFlow::Continue(());
    for text in ["entropy", "variance", "mutual-information", "bhattacharyya", "confidence"] {
        let methods = [text.parse::<MethodText>().unwrap().or(Samples::default())];
        let sampling = Sampling { methods: &methods, ..Sampling::default() };
        spent.store(0, Ordering::Relaxed);
        let start = Instant::now();
        let sampled = sample(&mut folds, plan, data.view(), &sampling, &mut go_on).unwrap();
        let (whole, network) = (start.elapsed(), Duration::from_micros(spent.load(Ordering::Relaxed)));
        let (samples, logits) = (methods[0].samples.count(plan), sampled.logits.as_slice().unwrap());
        let start = Instant::now();
        let mut tally = Tally::new(plan.manifest.heads, logits.len() / plan.manifest.heads, &sampling);
        for mirror in 0..samples {
            tally.add(Pass { fold: 0, mirror, dropout: None }, logits).unwrap();
        }
        black_box(tally.finish().unwrap());
        let sums = start.elapsed();
        let share = 100.0 * sums.as_secs_f64() / network.as_secs_f64();
        println!(
            "{text:<20} {samples} samples: network {network:.3?}, uncertainty and mean {sums:.3?} ({share:.2} % of \
             it), all with blending {whole:.3?}"
        );
    }
}
