//! What an engine is to the rest of the house: networks that compute, and some that learn.

use std::any::Any;
use std::path::PathBuf;

use ndarray::Array3;
use thiserror::Error;

use super::resident::Case;
use super::{NetworkError, Progress};

/// One fold of a trained network: a batch of patches in, logits out. Threads may share it.
pub trait Network: Send + Sync {
    /// Computes logits.
    ///
    /// `batch` holds `n * channels` patches of `size` voxels (`[z, y, x]`, x fastest; 2D networks get z = 1); the
    /// answer holds `n * heads` of them.
    ///
    /// # Errors
    /// [`NetworkError`] when the engine fails, for example for want of memory.
    fn forward(&self, batch: &[f32], n: usize, size: [usize; 3]) -> Result<Vec<f32>, NetworkError>;

    /// Switches dropout on, for Monte-Carlo samples, or off. The same seed gives the same masks, batch after batch,
    /// whatever else computes meanwhile; so long as dropout is on, batches must come one after another.
    ///
    /// # Errors
    /// [`NetworkError`] when the engine fails.
    fn set_dropout(&mut self, seed: Option<u64>) -> Result<(), NetworkError>;

    /// What it is, for the engine that made it; None where that does not matter.
    fn inside(&self) -> Option<&dyn Any> {
        None
    }

    /// A copy that can learn; see [`Engine::trainable`].
    ///
    /// # Errors
    /// As there.
    fn trainable(&self) -> Result<Box<dyn TrainableNetwork>, NetworkError> {
        Err(NetworkError::NotTrainable("its engine has no parameters to change".to_owned()))
    }
}

impl<N: Network + ?Sized> Network for Box<N> {
    fn forward(&self, batch: &[f32], n: usize, size: [usize; 3]) -> Result<Vec<f32>, NetworkError> {
        (**self).forward(batch, n, size)
    }

    fn set_dropout(&mut self, seed: Option<u64>) -> Result<(), NetworkError> {
        (**self).set_dropout(seed)
    }

    fn inside(&self) -> Option<&dyn Any> {
        (**self).inside()
    }

    fn trainable(&self) -> Result<Box<dyn TrainableNetwork>, NetworkError> {
        (**self).trainable()
    }
}

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

/// A network whose weights may change, at rest or in use like any other. What changes them is the engine that made it.
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
