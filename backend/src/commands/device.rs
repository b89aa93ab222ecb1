//! `i3deep device`: what networks would run on. `serve` asks before it begins, as it has no libtorch.

use anyhow::Result;

use crate::inference::DeviceChoice;
use crate::inference::engine::device_name;

/// Arguments of `i3deep device`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// auto, cpu or cuda:N.
    #[arg(long, default_value_t)]
    device: DeviceChoice,
}

/// Says the device's name.
pub(crate) fn run(args: &Args) -> Result<()> {
    println!("{}", device_name(args.device)?);
    Ok(())
}
