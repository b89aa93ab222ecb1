//! `i3deep backup`: a data folder as it is at one moment, while people work in it.

use std::path::PathBuf;

use anyhow::{Context, Result};

use super::block_on;
use super::outputs::check_apart;
use crate::store;

/// Arguments of `i3deep backup`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The data folder; a server may be at work in it.
    #[arg(long, value_name = "DIR", default_value = "data")]
    data: PathBuf,
    /// Where to write the backup: a folder that is empty or not there yet.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Copies, compares, says how much it was.
pub(crate) fn run(args: &Args) -> Result<()> {
    check_apart(("--out", &args.out), ("--data", &args.data))?;
    let copied = block_on(store::backup(&args.data, &args.out))?
        .with_context(|| format!("cannot back up {}", args.data.display()))?;
    println!("backed up {} rows and {} volumes to {}", copied.rows, copied.volumes, args.out.display());
    Ok(())
}
