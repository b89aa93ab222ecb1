//! In the place of `torch` where the program is built without libtorch: everything that needs a network says so.

use std::path::Path;

use super::network::{Arithmetic, Engine, OpenError, TrainableNetwork};
use super::training::{LearningRule, TrainingPatch};
use super::{DeviceChoice, Network, NetworkError};
use crate::bundle::plans::Plan;

/// Never.
///
/// # Errors
/// [`NetworkError::WithoutTorch`].
pub(super) fn open(
    folder: &Path,
    _plan: &Plan,
    _device: DeviceChoice,
    _arithmetic: Arithmetic,
) -> Result<Box<dyn Engine>, OpenError> {
    Err(OpenError { file: folder.to_owned(), source: NetworkError::WithoutTorch })
}

/// A network that cannot learn.
pub enum Learner {}

impl Learner {
    /// Never.
    ///
    /// # Errors
    /// [`NetworkError::WithoutTorch`].
    pub fn new(_student: Box<dyn TrainableNetwork>, _rule: LearningRule) -> Result<Self, NetworkError> {
        Err(NetworkError::WithoutTorch)
    }

    /// There is none.
    pub fn network(&self) -> &dyn Network {
        match *self {}
    }

    /// There is none.
    pub fn into_network(self) -> Box<dyn TrainableNetwork> {
        match self {}
    }

    /// There are none.
    ///
    /// # Errors
    /// Never: there is no learner.
    pub fn weights(&self) -> Result<Vec<u8>, NetworkError> {
        match *self {}
    }

    /// There is none.
    pub fn set_rate(&mut self, _rate: f64) {
        match *self {}
    }

    /// There are none.
    ///
    /// # Errors
    /// Never: there is no learner.
    pub fn set_weights(&mut self, _file: &[u8]) -> Result<(), NetworkError> {
        match *self {}
    }

    /// There is nobody to learn.
    ///
    /// # Errors
    /// Never: there is no learner.
    pub fn learn(&mut self, _patch: &TrainingPatch) -> Result<f32, NetworkError> {
        match *self {}
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

/// What is known of libtorch.
#[derive(Clone, Debug)]
pub struct Report {
    /// Its version.
    pub version: &'static str,
    /// Threads that it computes with.
    pub threads: usize,
    /// Whether it was built for CUDA.
    pub cuda: bool,
    /// CUDA devices that it finds.
    pub devices: usize,
}

/// Nothing to report.
pub fn report() -> Option<Report> {
    None
}

/// Nobody computes.
pub fn computes_bfloat16() -> bool {
    false
}
