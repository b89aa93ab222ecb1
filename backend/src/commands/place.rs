//! Where a server works, as it is told and as the doctor looks at it.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::inference::DeviceChoice;

/// Arguments that `serve` and `doctor` share.
#[derive(Debug, clap::Args)]
pub(crate) struct Place {
    /// Where to listen.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    pub(crate) bind: SocketAddr,
    /// Where cases are kept; created if absent.
    #[arg(long, value_name = "DIR", default_value = "data")]
    pub(crate) data: PathBuf,
    /// Folder of model bundles.
    #[arg(long, value_name = "DIR", default_value = "models")]
    pub(crate) models: PathBuf,
    /// The browser's files, as trunk built them.
    #[arg(long, value_name = "DIR", default_value = "dist")]
    pub(crate) client: PathBuf,
    /// What networks run on: auto, cpu or cuda:N.
    #[arg(long, default_value_t)]
    pub(crate) device: DeviceChoice,
}
