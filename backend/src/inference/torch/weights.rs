//! Parameters as a safetensors file and back.

use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};
use tch::{Device, Kind, Tensor};

use crate::inference::NetworkError;

/// Parameters in single precision.
pub(super) fn pack(parameters: &[(String, Tensor)]) -> Result<Vec<u8>, NetworkError> {
    let mut all = Vec::with_capacity(parameters.len());
    for (name, parameter) in parameters {
        let values = parameter.f_detach()?.f_to_device(Device::Cpu)?.f_to_kind(Kind::Float)?.f_contiguous()?;
        let mut floats = vec![0.0_f32; values.numel()];
        values.f_copy_data(&mut floats, values.numel())?;
        let shape: Vec<usize> = values.size().iter().map(|n| usize::try_from(*n).unwrap_or(0)).collect();
        all.push((name, shape, floats.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>()));
    }
    let views = all
        .iter()
        .map(|(name, shape, bytes)| {
            Ok((name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes).map_err(damaged)?))
        })
        .collect::<Result<Vec<_>, NetworkError>>()?;
    serialize(views, &None).map_err(damaged)
}

/// Copies a file's values into `parameters`: all of them or none.
pub(super) fn unpack(file: &[u8], parameters: &[(String, Tensor)]) -> Result<(), NetworkError> {
    let stored = SafeTensors::deserialize(file).map_err(damaged)?;
    if stored.len() != parameters.len() {
        return Err(other(format!("they are {} tensors, the network has {}", stored.len(), parameters.len())));
    }
    let mut values = Vec::with_capacity(parameters.len());
    for (name, parameter) in parameters {
        let view = stored.tensor(name).map_err(|_| other(format!("they lack {name}")))?;
        let shape: Vec<i64> = view.shape().iter().map(|n| i64::try_from(*n).unwrap_or(i64::MAX)).collect();
        if shape != parameter.size() || view.dtype() != Dtype::F32 {
            return Err(other(format!(
                "{name} is {:?} of {shape:?}, the network's is {:?}",
                view.dtype(),
                parameter.size()
            )));
        }
        let floats: Vec<f32> = view.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        if floats.iter().any(|value| !value.is_finite()) {
            return Err(other(format!("{name} is not finite")));
        }
        values.push(Tensor::f_from_slice(&floats)?.f_reshape(&shape)?.f_to_device(parameter.device())?);
    }
    let _no_grad = tch::no_grad_guard();
    for ((_, parameter), values) in parameters.iter().zip(&values) {
        parameter.shallow_clone().f_copy_(values)?;
    }
    Ok(())
}

fn damaged(error: safetensors::SafeTensorError) -> NetworkError {
    other(format!("they are damaged ({error})"))
}

fn other(reason: String) -> NetworkError {
    NetworkError::NotTrainable(format!("these are not its weights: {reason}"))
}
