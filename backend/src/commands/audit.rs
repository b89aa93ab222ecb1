//! `i3deep audit`: the records of who did what.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::store::{AuditState, verify_audit};

/// Arguments of `i3deep audit`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Args {
    /// Follow the records from the first to the last, and say whether one was altered, removed or put in.
    Verify {
        /// The data folder; a server may be at work on it.
        #[arg(long, value_name = "DIR", default_value = "data")]
        data: PathBuf,
    },
}

/// Looks through the records.
pub(crate) fn run(args: &Args) -> Result<()> {
    let Args::Verify { data } = args;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let state = runtime
        .block_on(verify_audit(data))
        .with_context(|| format!("cannot read the records in {}", data.display()))?;
    match state {
        AuditState::Whole { rows, last } => {
            println!(
                "{rows} records, each following from the one before. The last is {last}; note it where nobody who can \
                 write to {} can write",
                data.display()
            );
            Ok(())
        }
        AuditState::Broken { row } => {
            bail!(
                "record {row} does not follow from the one before it: it, or one before it, was altered, removed or \
                 put in"
            )
        }
    }
}
