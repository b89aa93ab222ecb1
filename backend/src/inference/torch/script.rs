//! TorchScript: a network exported as a program; any network, as long as it answers logits of its input's size.

use std::path::{Path, PathBuf};

use tch::{CModule, Device, TchError, Tensor};

use super::Module;
use crate::inference::NetworkError;

/// A TorchScript program on a device.
pub(super) struct Script {
    module: CModule,
    device: Device,
    /// Where it came from; a copy is read anew.
    file: PathBuf,
}

impl Script {
    /// Loads a program.
    ///
    /// # Errors
    /// [`NetworkError::Engine`] if the file is no TorchScript archive.
    pub(super) fn load(file: &Path, device: Device) -> Result<Self, NetworkError> {
        // Without the profiling executor the first forward is as fast as the others, and results do not depend on how
        // often it ran.
        tch::jit::set_profiling_mode(false);
        tch::jit::set_graph_executor_optimize(false);
        let mut module = CModule::load_on_device(file, device)?;
        module.f_set_eval()?;
        Ok(Self { module, device, file: file.to_owned() })
    }

    #[cfg(test)]
    pub(super) fn of(module: CModule) -> Self {
        Self { module, device: Device::Cpu, file: PathBuf::new() }
    }
}

impl Module for Script {
    fn logits(&self, patches: &Tensor) -> Result<Tensor, TchError> {
        self.module.forward_ts(&[patches])
    }

    fn set_dropout(&mut self, on: bool) -> Result<(), TchError> {
        if on { self.module.f_set_train() } else { self.module.f_set_eval() }
    }

    fn parameters(&self) -> Result<Vec<(String, Tensor)>, TchError> {
        self.module.named_parameters()
    }

    fn copy(&self) -> Result<Box<dyn Module>, NetworkError> {
        let copy = Self::load(&self.file, self.device)?;
        if copy.parameters()?.is_empty() {
            return Err(NetworkError::NotTrainable(
                "its TorchScript program is frozen and holds no parameters; export it unfrozen".to_owned(),
            ));
        }
        Ok(Box::new(copy))
    }
}
