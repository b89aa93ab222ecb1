//! `i3deep worker`: what `serve` starts beside itself.

use anyhow::Result;

use crate::inference::DeviceChoice;
use crate::work::worker;

/// Arguments of `i3deep worker`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// auto, cpu or cuda:N.
    #[arg(long, default_value_t)]
    device: DeviceChoice,
}

/// Works until stdin ends.
pub(crate) fn run(args: &Args) -> Result<()> {
    worker::run(args.device)
}
