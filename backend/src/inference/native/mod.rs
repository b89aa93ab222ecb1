//! nnU-Net's U-Nets, built from plans and run with its own weights: no program of anybody is executed.

mod layers;
mod unet;

use std::path::Path;

use tch::{Device, Tensor};

use super::NetworkError;
use super::network::Arithmetic;
use super::torch::Module;
use crate::bundle::checkpoint::read_weights;
use crate::bundle::plans::Plan;
use unet::UNet;

/// Builds the network of a plan with a file's weights.
///
/// # Errors
/// [`NetworkError::Weights`] for weights that are not the plan's, [`NetworkError::Engine`] for want of memory.
pub(super) fn load(
    file: &Path,
    plan: &Plan,
    device: Device,
    arithmetic: Arithmetic,
) -> Result<Box<dyn Module>, NetworkError> {
    let architecture = plan.architecture.clone().ok_or(NetworkError::NoArchitecture)?;
    let weights = read_weights(file, &architecture, plan.manifest.input_channels, plan.manifest.heads)?;
    let parameters = weights
        .into_iter()
        .map(|(name, weight)| {
            let shape: Vec<i64> = weight.shape.iter().map(|n| *n as i64).collect();
            Ok((name, Tensor::f_from_slice(&weight.values)?.f_reshape(shape)?.f_to_device(device)?))
        })
        .collect::<Result<_, NetworkError>>()?;
    Ok(Box::new(UNet::new(architecture, parameters, arithmetic)?))
}
