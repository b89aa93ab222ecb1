//! One fold: a program on tensors, as the rest of the house uses it.

use std::any::Any;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use tch::{Device, Kind, TchError, Tensor};

use super::{Module, TensorNetwork, weights};
use crate::inference::network::TrainableNetwork;
use crate::inference::{Network, NetworkError};

/// A program with its device.
pub(super) struct Fold {
    module: Box<dyn Module>,
    device: Device,
    channels: usize,
    two_dimensional: bool,
    /// Seed of the next batch, while dropout is on.
    dropout: Option<AtomicU64>,
}

/// libtorch draws all its random numbers from one generator: who draws holds this lock from seeding to the last number.
static GENERATOR: Mutex<()> = Mutex::new(());

impl Fold {
    pub(super) fn new(module: Box<dyn Module>, device: Device, channels: usize, two_dimensional: bool) -> Self {
        Self { module, device, channels, two_dimensional, dropout: None }
    }
}

impl Network for Fold {
    fn forward(&self, batch: &[f32], n: usize, [z, y, x]: [usize; 3]) -> Result<Vec<f32>, NetworkError> {
        let size = |k: usize| k as i64;
        let shape = if self.two_dimensional {
            vec![size(n), size(self.channels), size(y), size(x)]
        } else {
            vec![size(n), size(self.channels), size(z), size(y), size(x)]
        };
        let _no_grad = tch::no_grad_guard();
        let input = Tensor::f_from_slice(batch)?.f_reshape(&shape)?.f_to_device(self.device)?;
        let output = self.logits(&input)?.f_to_device(Device::Cpu)?.f_to_kind(Kind::Float)?.f_contiguous()?;
        let mut logits = vec![0.0; output.numel()];
        output.f_copy_data(&mut logits, output.numel())?;
        Ok(logits)
    }

    fn set_dropout(&mut self, seed: Option<u64>) -> Result<(), NetworkError> {
        self.dropout = seed.map(AtomicU64::new);
        Ok(self.module.set_dropout(seed.is_some())?)
    }

    fn inside(&self) -> Option<&dyn Any> {
        Some(self)
    }

    fn trainable(&self) -> Result<Box<dyn TrainableNetwork>, NetworkError> {
        let copy = Self::new(self.module.copy()?, self.device, self.channels, self.two_dimensional);
        for (_, parameter) in copy.parameters()? {
            let _ = parameter.set_requires_grad(true);
        }
        Ok(Box::new(copy))
    }
}

impl TensorNetwork for Fold {
    fn device(&self) -> Device {
        self.device
    }

    fn two_dimensional(&self) -> bool {
        self.two_dimensional
    }

    fn logits(&self, patches: &Tensor) -> Result<Tensor, TchError> {
        match &self.dropout {
            None => self.module.logits(patches),
            Some(seed) => {
                let _drawing = GENERATOR.lock().unwrap_or_else(PoisonError::into_inner);
                tch::manual_seed(seed.fetch_add(1, Ordering::Relaxed) as i64);
                self.module.logits(patches)
            }
        }
    }

    fn parameters(&self) -> Result<Vec<(String, Tensor)>, TchError> {
        self.module.parameters()
    }
}

impl TrainableNetwork for Fold {
    fn weights(&self) -> Result<Vec<u8>, NetworkError> {
        weights::pack(&self.parameters()?)
    }

    fn set_weights(&mut self, file: &[u8]) -> Result<(), NetworkError> {
        weights::unpack(file, &self.parameters()?)
    }
}
