//! The door to engines: a network's folds, opened on a device, whatever runs them.

use std::path::{Path, PathBuf};

use ndarray::Array3;
use thiserror::Error;

use super::resident::Case;
use super::{DeviceChoice, Network, NetworkError, Progress, torch};
use crate::bundle::plans::Plan;

/// All folds of one network on a device, ready to compute.
pub trait Engine: Send + Sync {
    /// The folds, in the plan's order.
    fn folds(&self) -> &[Box<dyn Network>];

    /// The folds, to switch dropout.
    fn folds_mut(&mut self) -> &mut [Box<dyn Network>];

    /// The folds, to each be kept or wrapped; they leave together.
    fn into_folds(self: Box<Self>) -> Vec<Box<dyn Network>>;

    /// The label of every voxel of a case's crop, on the scan's spacing, along the network's axes; nothing leaves the
    /// device on the way.
    ///
    /// # Errors
    /// [`NetworkError`]; [`NetworkError::Engine`] where the device's memory does not suffice even for one patch at a
    /// time.
    fn labels(&self, case: &Case<'_>, progress: &mut Progress<'_>) -> Result<Array3<u8>, NetworkError>;

    /// A copy of a fold that can learn. It shares no memory with the engine, which stays as it is.
    ///
    /// # Errors
    /// [`NetworkError::NotTrainable`] with the reason, [`NetworkError::Engine`] for want of memory.
    fn trainable(&self, fold: usize) -> Result<Box<dyn TrainableNetwork>, NetworkError>;
}

/// A network whose weights may change, at rest or in use like any other. What changes them is in this room: `tensors`
/// gives its parameters.
pub trait TrainableNetwork: Network {
    /// The weights as a safetensors file, to be kept.
    ///
    /// # Errors
    /// [`NetworkError::Engine`].
    fn weights(&self) -> Result<Vec<u8>, NetworkError>;

    /// Takes weights that [`TrainableNetwork::weights`] gave.
    ///
    /// # Errors
    /// [`NetworkError::NotTrainable`] if they are damaged, not finite, or those of another network; the network is then
    /// as before.
    fn set_weights(&mut self, file: &[u8]) -> Result<(), NetworkError>;
}

/// How exactly a network computes what nnU-Net computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Arithmetic {
    /// The same bits, with libtorch's own choice of algorithms.
    #[default]
    Exact,
    /// The fastest that the machine has for f32; logits differ by rounding.
    Fast,
    /// Convolutions in bfloat16 where the processor computes in it, else as [`Arithmetic::Fast`]; a voxel in thousands
    /// may change its label.
    Bfloat16,
}

/// A file of weights that cannot be opened.
#[derive(Debug, Error)]
#[error("the network {file}", file = .file.display())]
pub struct OpenError {
    /// Which file.
    pub file: PathBuf,
    /// Why.
    pub source: NetworkError,
}

/// Opens all folds of a network folder, several at a time, with the engine that its plan names.
///
/// # Errors
/// [`OpenError`]: [`NetworkError`] with the file's name.
pub fn open(
    folder: &Path,
    plan: &Plan,
    device: DeviceChoice,
    arithmetic: Arithmetic,
) -> Result<Box<dyn Engine>, OpenError> {
    torch::open(folder, plan, device, arithmetic)
}
