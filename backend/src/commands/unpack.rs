//! `i3deep unpack`: what commands start to have a series decoded that only a process held by the kernel may decode.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::sandbox::{self, Reach};
use crate::scan_io::{Intensities, decode_here, unpack};

/// Arguments of `i3deep unpack`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where the voxels go.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// PET as standardised uptake by body weight.
    #[arg(long)]
    pet_suv: bool,
}

/// Unpacks the files that a list on stdin names, and says so in one line.
pub(crate) fn run(args: &Args) -> Result<()> {
    let files: Vec<PathBuf> = serde_json::from_reader(std::io::stdin().lock()).context("no list of files")?;
    sandbox::end_with_the_server()?;
    let (out, files) = (args.out.canonicalize()?, canonical(&files)?);
    let reads: Vec<&Path> = files.iter().filter_map(|file| file.parent()).collect();
    sandbox::take_on(&Reach { writes: &out, reads: Some(&reads) }, |words| eprintln!("unpack: {words}"));
    decode_here();
    println!("{}", serde_json::to_string(&unpack(&files, Intensities::of(args.pet_suv), &out)?)?);
    Ok(())
}

/// Links are followed while this process still may.
fn canonical(files: &[PathBuf]) -> std::io::Result<Vec<PathBuf>> {
    files.iter().map(|file| file.canonicalize()).collect()
}
