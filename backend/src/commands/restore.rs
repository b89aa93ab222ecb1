//! `i3deep restore`: a backup in the place of what a data folder holds.

use std::path::PathBuf;

use anyhow::{Context, Result};

use super::block_on;
use super::outputs::check_apart;
use crate::store;

/// Arguments of `i3deep restore`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The backup.
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// The data folder; no server may be at work in it. What it holds is moved to its quarantine.
    #[arg(long, value_name = "DIR", default_value = "data")]
    data: PathBuf,
}

/// Checks the backup, puts it in place, says how much it was.
pub(crate) fn run(args: &Args) -> Result<()> {
    check_apart(("--from", &args.from), ("--data", &args.data))?;
    let copied = block_on(store::restore(&args.from, &args.data))?
        .with_context(|| format!("cannot restore {}", args.from.display()))?;
    println!(
        "restored {} rows and {} volumes, each compared with its digest, to {}",
        copied.rows,
        copied.volumes,
        args.data.display()
    );
    Ok(())
}
