//! The door to libtorch: what all networks share that compute on its tensors, on CPU or CUDA. `script` runs TorchScript
//! programs; `super::native` runs nnU-Net's own weights.

mod fold;
mod resident;
mod runtime;
mod script;
mod training;
mod weights;

use std::path::Path;

use ndarray::Array3;
use rayon::prelude::*;
use tch::{Device, TchError, Tensor};

use super::network::{Arithmetic, Engine, OpenError, TrainableNetwork};
use super::resident::Case;
use super::{DeviceChoice, Network, NetworkError, Progress};
use crate::bundle::plans::{EngineKind, Plan};
use crate::bundle::weights as weight_files;
use fold::Fold;
#[cfg(test)]
pub(crate) use resident::resized;
use runtime::device;
pub use runtime::{Report, computes_bfloat16, device_name, keep_memory, report, set_threads};
pub use training::Learner;

/// A network as its tensors: for code of this room that computes with them.
pub(super) trait TensorNetwork: Send + Sync {
    /// Where its parameters lie.
    fn device(&self) -> Device;

    /// Whether it takes slices.
    fn two_dimensional(&self) -> bool;

    /// Logits `[n, heads, (z,) y, x]` of patches `[n, channels, (z,) y, x]`, with dropout where that is switched on.
    /// Gradients are recorded if the caller lets them be.
    ///
    /// # Errors
    /// libtorch's.
    fn logits(&self, patches: &Tensor) -> Result<Tensor, TchError>;

    /// Its parameters by name; they share memory with the network.
    ///
    /// # Errors
    /// libtorch's.
    fn parameters(&self) -> Result<Vec<(String, Tensor)>, TchError>;
}

/// A network as its tensors, if it has any.
fn tensors<N: Network + ?Sized>(network: &N) -> Option<&dyn TensorNetwork> {
    network.inside()?.downcast_ref::<Fold>().map(|fold| fold as &dyn TensorNetwork)
}

/// A program on tensors, of one engine or the other.
pub(super) trait Module: Send + Sync {
    /// See [`TensorNetwork::logits`].
    fn logits(&self, patches: &Tensor) -> Result<Tensor, TchError>;

    /// Switches dropout.
    fn set_dropout(&mut self, on: bool) -> Result<(), TchError>;

    /// See [`TensorNetwork::parameters`].
    fn parameters(&self) -> Result<Vec<(String, Tensor)>, TchError>;

    /// The same program with memory of its own, in full precision.
    fn copy(&self) -> Result<Box<dyn Module>, NetworkError>;
}

/// Opens a network folder; see [`super::engine::open`].
///
/// # Errors
/// [`OpenError`].
pub(super) fn open(
    folder: &Path,
    plan: &Plan,
    choice: DeviceChoice,
    arithmetic: Arithmetic,
) -> Result<Box<dyn Engine>, OpenError> {
    let load = |file: std::path::PathBuf| -> Result<Box<dyn Network>, OpenError> {
        let fold = device(choice).and_then(|device| {
            let module: Box<dyn Module> = match plan.manifest.engine {
                EngineKind::TorchScript => Box::new(script::Script::load(&file, device)?),
                EngineKind::Native => super::native::load(&file, plan, device, arithmetic)?,
            };
            Ok(Fold::new(module, device, plan.manifest.input_channels, plan.two_dimensional()))
        });
        fold.map(|fold| Box::new(fold) as Box<dyn Network>).map_err(|source| OpenError { file, source })
    };
    let folds = weight_files(folder, plan).into_par_iter().map(load).collect::<Result<_, _>>()?;
    Ok(Box::new(Folds(folds)))
}

/// Folds that compute on tensors.
struct Folds(Vec<Box<dyn Network>>);

impl Engine for Folds {
    fn folds(&self) -> &[Box<dyn Network>] {
        &self.0
    }

    fn folds_mut(&mut self) -> &mut [Box<dyn Network>] {
        &mut self.0
    }

    fn into_folds(self: Box<Self>) -> Vec<Box<dyn Network>> {
        self.0
    }

    fn labels(&self, case: &Case<'_>, progress: &mut Progress<'_>) -> Result<Array3<u8>, NetworkError> {
        let tensors: Vec<&dyn TensorNetwork> = self.0.iter().filter_map(tensors).collect();
        resident::labels(&tensors, case, progress)
    }

    fn trainable(&self, fold: usize) -> Result<Box<dyn TrainableNetwork>, NetworkError> {
        self.0.get(fold).ok_or(NetworkError::NoFold)?.trainable()
    }
}

impl From<TchError> for NetworkError {
    fn from(error: TchError) -> Self {
        engine(error)
    }
}

/// TorchScript errors carry the whole program; the first lines say what happened.
fn engine(error: TchError) -> NetworkError {
    let text = error.to_string();
    let end = text.char_indices().nth(400).map_or(text.len(), |(at, _)| at);
    NetworkError::Engine(text[..end].to_owned())
}
