//! `cargo xtask fuzz`: the readers of what others bring, under cargo-fuzz, one after another. Nothing of it is needed
//! for anything else, so it is not set up: it asks for `cargo install cargo-fuzz --version 0.13.2 --locked`.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::process;
use crate::project::Project;
use crate::setup::{self, Need};

/// Arguments of `cargo xtask fuzz`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only these: checkpoint, archive, scan, dicom.
    targets: Vec<String>,
    /// How long each.
    #[arg(long, value_name = "N", default_value_t = 600)]
    seconds: u32,
}

/// What is fuzzed, and how long an input may be, in bytes. Short ones reach everything, and keep what a well-formed
/// file may take below what the targets give.
const TARGETS: [(&str, u32); 4] =
    [("checkpoint", 1 << 15), ("archive", 1 << 12), ("scan", 1 << 13), ("dicom", 1 << 13)];
/// Longer than this is a hang, in seconds.
const HANG_S: u32 = 2;
/// What a process may hold, in MiB. Rust's part has a bound of its own (`backend/fuzz/src/lib.rs`); C's has not.
const MEMORY_MIB: u32 = 512;

/// Writes the seeds and runs the targets; an error at the first finding.
pub(crate) fn run(project: &Project, args: &Args) -> Result<()> {
    for name in &args.targets {
        let known = TARGETS.map(|(target, _)| target);
        ensure!(known.contains(&name.as_str()), "there is no target '{name}'; there are {}", known.join(", "));
    }
    setup::run(project, &[Need::Python])?;
    let folder = project.root.join("backend/fuzz");
    process::run(project.python().arg(folder.join("seeds.py")))?;
    for (target, longest) in TARGETS.iter().filter(|(target, _)| wanted(args, target)) {
        println!("\n== {target}, {} s", args.seconds);
        let corpus = folder.join("corpus").join(target);
        fs::create_dir_all(&corpus).with_context(|| format!("cannot make {}", corpus.display()))?;
        process::run(&mut fuzz(project, &folder, target, *longest, args.seconds))
            .with_context(|| format!("the input lies in backend/fuzz/artifacts/{target}"))?;
    }
    Ok(())
}

fn wanted(args: &Args, target: &str) -> bool {
    args.targets.is_empty() || args.targets.iter().any(|name| name == target)
}

fn fuzz(project: &Project, folder: &Path, target: &str, longest: u32, seconds: u32) -> Command {
    let mut cargo = project.cargo("fuzz");
    // Sanitizers are for nightly toolchains; coverage is not.
    cargo.args(["run", "--sanitizer", "none", "--codegen-units", "16", "--fuzz-dir"]).arg(folder);
    cargo.arg("--target-dir").arg(project.target().join("fuzz")).arg(target);
    cargo.arg(folder.join("corpus").join(target)).arg(folder.join("seeds").join(target)).arg("--");
    cargo.arg(format!("-max_total_time={seconds}")).arg(format!("-max_len={longest}"));
    cargo.arg(format!("-timeout={HANG_S}")).arg(format!("-rss_limit_mb={MEMORY_MIB}"));
    cargo.args(["-print_final_stats=1", "-report_slow_units=1"]);
    // Files are read in parallel otherwise, and what an input reaches would depend on it.
    cargo.env("RAYON_NUM_THREADS", "1");
    cargo
}
