//! `i3deep look`: what `serve` starts beside itself to look scans through.

use std::io::{BufRead, Write};
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::intake::{Asked, Looker};

/// Arguments of `i3deep look`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folder of model bundles.
    #[arg(long, value_name = "DIR")]
    models: PathBuf,
    /// Folder in which the scans lie.
    #[arg(long, value_name = "DIR")]
    work: PathBuf,
}

/// Looks scans through until stdin ends: asked in one line of JSON, answered in one.
pub(crate) fn run(args: Args) -> Result<()> {
    let looker = Looker::held(args.models, args.work, |words| eprintln!("look: {words}"))?;
    for line in std::io::stdin().lock().lines() {
        let asked: Asked = serde_json::from_str(&line?).context("a question is not understood")?;
        let told = serde_json::to_string(&looker.answer(&asked))?;
        let mut out = std::io::stdout().lock();
        writeln!(out, "{told}").and_then(|()| out.flush()).context("the server is gone")?;
    }
    Ok(())
}
