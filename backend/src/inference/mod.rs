//! Engines: patches in, logits out, blended over a volume. What runs a network (libtorch, from a TorchScript program
//! or from nnU-Net's own weights) is behind [`engine::open`]; only the folders `torch` and `native` name `tch`. Of
//! files it reads networks' weights alone.

mod window;
mod blend;
pub mod sliding_window;
pub mod resident;
pub mod engine;
pub mod training;
mod network;
#[cfg_attr(not(feature = "torch"), path = "without_torch.rs")]
mod torch;
#[cfg(feature = "torch")]
mod native;

use thiserror::Error;

pub use network::Network;
#[cfg(test)]
pub(crate) use torch::resized;

/// Where networks run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The first CUDA device if there is one, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// A CUDA device by number.
    Cuda(usize),
}

impl std::str::FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            None if text == "auto" => Ok(Self::Auto),
            None if text == "cpu" => Ok(Self::Cpu),
            None if text == "cuda" => Ok(Self::Cuda(0)),
            Some(("cuda", number)) => {
                number.parse().map(Self::Cuda).map_err(|_| format!("'{number}' is not the number of a device"))
            }
            _ => Err(format!("'{text}' is not a device; use auto, cpu or cuda:N")),
        }
    }
}

impl std::fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

/// Why logits could not be computed.
#[derive(Debug, Error)]
pub enum NetworkError {
    /// The engine's own words, cut to a readable length.
    #[error("the network failed: {0}")]
    Engine(String),
    /// The answer does not have the shape the manifest promises.
    #[error(
        "the network answered {got} values where {expected} were expected; the bundle's network.json does not fit its \
         weights"
    )]
    WrongShape {
        /// Values expected.
        expected: usize,
        /// Values got.
        got: usize,
    },
    /// fp16 overflow, as nnU-Net raises it.
    #[error(
        "the network produced infinite or undefined logits; the scan's intensities may be far from what it was trained \
         on"
    )]
    NotFinite,
    /// The caller asked to stop.
    #[error("cancelled")]
    Cancelled,
    /// A device that is not there.
    #[error("{0} is not available on this machine; use --device cpu")]
    NoDevice(DeviceChoice),
    /// A program that was built to do everything but run networks.
    #[error("this i3deep was built without libtorch, so it runs no networks; build it with the feature `torch`")]
    WithoutTorch,
    /// Weights that are not the network's, or no weights.
    #[error(transparent)]
    Weights(#[from] crate::bundle::checkpoint::CheckpointError),
    /// A native network without the plan that it is built from.
    #[error("the network's plan does not say how it is built; read it again from its folder")]
    NoArchitecture,
    /// Weights that cannot be trained further here.
    #[error("the network cannot learn: {0}")]
    NotTrainable(String),
    /// A network folder that lists none.
    #[error("the network folder lists no fold; export it again")]
    NoFold,
}

/// Told the share of the work that is done (0 to 1); answers whether to go on.
pub type Progress<'a> = dyn FnMut(f32) -> std::ops::ControlFlow<()> + 'a;
