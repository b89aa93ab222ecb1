//! `i3deep verify`: whether a data folder is whole.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use super::block_on;
use crate::store;

/// Arguments of `i3deep verify`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The data folder; a server may be at work in it.
    #[arg(long, value_name = "DIR", default_value = "data")]
    data: PathBuf,
}

/// Reads every row and every volume; says by name what is wrong.
pub(crate) fn run(args: &Args) -> Result<()> {
    let found =
        block_on(store::verify(&args.data))?.with_context(|| format!("cannot look through {}", args.data.display()))?;
    println!("{} cases, {} versions of slices, {} volumes", found.cases, found.versions, found.volumes);
    found.notes.iter().for_each(|note| println!("note: {note}"));
    found.problems.iter().for_each(|problem| println!("problem: {problem}"));
    match found.problems.len() {
        0 => println!("everything is whole"),
        problems => bail!("{problems} problem(s) were found; nothing was changed"),
    }
    Ok(())
}
