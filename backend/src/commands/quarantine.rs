//! `i3deep quarantine`: what a server has set aside in its data folder, and emptying it.

use std::path::PathBuf;

use anyhow::{Context, Result};
use chrono::{Days, Utc};

use crate::store::{self, SetAside};

/// Arguments of `i3deep quarantine`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The data folder; a server may be at work in it.
    #[arg(long, value_name = "DIR", default_value = "data")]
    data: PathBuf,
    /// Delete what was set aside longer ago than so many days.
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..))]
    empty_after_days: Option<u32>,
}

/// Lists, or deletes and says what.
pub(crate) fn run(args: &Args) -> Result<()> {
    let trouble = || format!("cannot look through the quarantine of {}", args.data.display());
    let (days, what) = match args.empty_after_days {
        None => (store::quarantined(&args.data).with_context(trouble)?, "set aside"),
        Some(days) => {
            let before = Utc::now().date_naive() - Days::new(days.into());
            (store::empty_quarantine(&args.data, before).with_context(trouble)?, "deleted")
        }
    };
    for SetAside { day, files, bytes } in &days {
        println!("{day}: {files} files, {bytes} bytes");
    }
    let files: usize = days.iter().map(|found| found.files).sum();
    println!("{files} files {what}");
    Ok(())
}
