//! In the place of `torch` where the program is built without libtorch: everything that needs a network says so.

use std::path::Path;

use ndarray::Array3;

use super::resident::{Case, Resident};
use super::{DeviceChoice, Network, NetworkError, Progress};

/// A network that cannot be had.
pub enum TorchNetwork {}

impl TorchNetwork {
    /// Never.
    ///
    /// # Errors
    /// [`NetworkError::WithoutTorch`].
    pub fn load(_file: &Path, _channels: usize, _spatial_axes: usize, _choice: DeviceChoice) -> Result<Self, NetworkError> {
        Err(NetworkError::WithoutTorch)
    }
}

impl Network for TorchNetwork {
    fn forward(&self, _batch: &[f32], _n: usize, _size: [usize; 3]) -> Result<Vec<f32>, NetworkError> {
        match *self {}
    }

    fn set_dropout(&mut self, _seed: Option<u64>) -> Result<(), NetworkError> {
        match *self {}
    }
}

impl Resident for [TorchNetwork] {
    fn labels(&self, _case: &Case<'_>, _progress: &mut Progress<'_>) -> Result<Array3<u8>, NetworkError> {
        Err(NetworkError::WithoutTorch)
    }
}

/// Nothing: there is nobody to compute.
pub fn set_threads(_threads: usize) {}

/// Nothing: there is nobody to allocate.
pub fn keep_memory() {}

/// Nothing to choose from.
///
/// # Errors
/// [`NetworkError::WithoutTorch`].
pub fn device_name(_choice: DeviceChoice) -> Result<String, NetworkError> {
    Err(NetworkError::WithoutTorch)
}
