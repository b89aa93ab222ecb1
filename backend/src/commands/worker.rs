//! `i3deep worker`: what `serve` starts beside itself.

use std::path::PathBuf;

use anyhow::Result;

use crate::inference::DeviceChoice;
use crate::work::{Folders, worker};

/// Arguments of `i3deep worker`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// auto, cpu or cuda:N.
    #[arg(long, default_value_t)]
    device: DeviceChoice,
    /// Folder of blobs.
    #[arg(long, value_name = "DIR")]
    blobs: PathBuf,
    /// Folder of model bundles.
    #[arg(long, value_name = "DIR")]
    models: PathBuf,
    /// Folder for the jobs' output.
    #[arg(long, value_name = "DIR")]
    work: PathBuf,
}

/// Works until stdin ends.
pub(crate) fn run(args: &Args) -> Result<()> {
    let Args { device, blobs, models, work } = args;
    let folders = Folders { blobs: blobs.clone(), models: models.clone(), work: work.clone() };
    worker::run(*device, &folders)
}
