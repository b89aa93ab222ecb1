//! TorchScript: a network exported as a program; any network, as long as it answers logits of its input's size.

use std::path::{Path, PathBuf};

use tch::{CModule, Device, Kind, TchError, Tensor};

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
    /// Loads a program. Parameters of half or double precision become single, in which patches come.
    ///
    /// # Errors
    /// [`NetworkError::Engine`] if the file is no TorchScript archive.
    pub(super) fn load(file: &Path, device: Device) -> Result<Self, NetworkError> {
        // Without the profiling executor the first forward is as fast as the others, and results do not depend on how
        // often it ran.
        tch::jit::set_profiling_mode(false);
        tch::jit::set_graph_executor_optimize(false);
        let mut module = CModule::load_on_device(file, device)?;
        if module.named_parameters()?.iter().any(|(_, parameter)| is_other_float(parameter.kind())) {
            module.to(device, Kind::Float, false);
        }
        module.f_set_eval()?;
        Ok(Self { module, device, file: file.to_owned() })
    }

    #[cfg(test)]
    pub(super) fn of(module: CModule) -> Self {
        Self { module, device: Device::Cpu, file: PathBuf::new() }
    }
}

/// Whether numbers of this kind are floating, and not of single precision.
fn is_other_float(kind: Kind) -> bool {
    matches!(kind, Kind::Half | Kind::BFloat16 | Kind::Double)
}

/// A program whose numbers are built in, as in one that was frozen or traced, cannot be converted.
fn in_words(error: TchError) -> TchError {
    let text = error.to_string();
    if ["Half", "BFloat16"].iter().any(|precision| text.contains(precision)) {
        return TchError::Kind(
            "the program computes in half precision and holds its weights as constants; export the network \
             again in single precision (model.float())"
                .to_owned(),
        );
    }
    error
}

impl Module for Script {
    fn logits(&self, patches: &Tensor) -> Result<Tensor, TchError> {
        self.module.forward_ts(&[patches]).map_err(in_words)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn network() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("models/phantom/presegmentation/fold_0.pt")
    }

    fn patch() -> Tensor {
        tch::manual_seed(7);
        Tensor::randn([1, 1, 16, 16, 16], (Kind::Float, Device::Cpu))
    }

    #[test]
    fn weights_of_any_precision_give_logits() {
        let folder = tempfile::tempdir().unwrap();
        let exact = Script::load(&network(), Device::Cpu).unwrap().logits(&patch()).unwrap();
        for (kind, tolerance) in [(Kind::Half, 0.05), (Kind::BFloat16, 0.5), (Kind::Double, 1e-4)] {
            let mut module = CModule::load(network()).unwrap();
            module.to(Device::Cpu, kind, false);
            let file = folder.path().join(format!("{kind:?}.pt"));
            module.save(&file).unwrap();
            let logits = Script::load(&file, Device::Cpu).unwrap().logits(&patch()).unwrap();
            assert_eq!(logits.kind(), Kind::Float, "{kind:?}");
            let off = (logits - &exact).abs().max().double_value(&[]);
            assert!(off < tolerance, "{kind:?}: {off}");
        }
    }

    #[test]
    fn weights_of_half_precision_that_are_built_in_are_refused_in_words() {
        for kind in [Kind::Half, Kind::BFloat16] {
            let weights = Tensor::ones([2, 1, 3, 3, 3], (kind, Device::Cpu));
            let input = patch().to_kind(kind);
            let module = CModule::create_by_tracing("Traced", "forward", &[input], &mut |inputs| {
                let bias = Tensor::zeros([2], (kind, Device::Cpu));
                vec![inputs[0].conv3d(&weights, Some(bias), [1, 1, 1], [1, 1, 1], [1, 1, 1], 1)]
            });
            let words = Script::of(module.unwrap()).logits(&patch()).unwrap_err().to_string();
            assert!(words.contains("half precision") && words.contains("model.float()"), "{words}");
        }
    }
}
