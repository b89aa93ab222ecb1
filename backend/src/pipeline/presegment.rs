//! The scan segmented without help, and how sure the network is of it.

use std::ops::ControlFlow;

use half::f16;
use ndarray::{Array3, Array4, ArrayView4};
use shared::geometry::GeometryError;
use shared::label::Label;
use shared::volume::Volume;
use thiserror::Error;

use crate::inference::plans::Plan;
use crate::inference::sliding_window::{self, Combine};
use crate::inference::{Network, NetworkError, Progress};

use super::export;
use super::predict::{Options, window};
use super::preprocess::{PreprocessError, Preprocessed, preprocess};
use super::uncertainty::{Accumulator, Measure, UncertaintyError};

/// Why a scan could not be segmented.
#[derive(Debug, Error)]
pub enum SegmentError {
    /// The scan does not fit the network.
    #[error(transparent)]
    Preprocess(#[from] PreprocessError),
    /// The network failed or was stopped.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// Samples of different sizes.
    #[error(transparent)]
    Uncertainty(#[from] UncertaintyError),
    /// Volumes of different grids.
    #[error(transparent)]
    Geometry(#[from] GeometryError),
}

/// Both on the scan's grid.
#[derive(Clone, Debug)]
pub struct Presegmentation {
    /// The labels.
    pub labels: Volume<Label>,
    /// 0 (sure) to 1; 0 outside the crop.
    pub uncertainty: Volume<f32>,
}

/// Segments a scan with all folds and mirrors. Every (fold, mirror) pair is one sample for the uncertainty; labels come from the mean logits.
///
/// # Errors
/// [`SegmentError`].
pub fn presegment(
    folds: &mut [Box<dyn Network>],
    plan: &Plan,
    channels: &[Volume<f32>],
    measure: Measure,
    progress: &mut Progress<'_>,
) -> Result<Presegmentation, SegmentError> {
    let Preprocessed { data, frame } = preprocess(channels, plan)?;
    let Sampled { logits, uncertainty } = sampled_logits(folds, plan, data.view(), measure, progress)?;
    let scan = channels[0].geometry();
    let labels = export::labels(logits.view(), &frame, plan, scan)?;
    let uncertainty = export::scalars(uncertainty.view(), &frame, plan, 0.0, scan)?;
    Ok(Presegmentation { labels, uncertainty })
}

/// What all samples say together, on the network's grid.
pub(super) struct Sampled {
    /// Mean of the samples, `[heads, z, y, x]`.
    pub(super) logits: Array4<f16>,
    /// 0 (sure) to 1, `[z, y, x]`.
    pub(super) uncertainty: Array3<f32>,
}

/// Forwards `data` `[channels, z, y, x]` through every fold and mirror, once each: every (fold, mirror) pair is one sample.
///
/// # Errors
/// [`SegmentError`].
pub(super) fn sampled_logits(
    folds: &mut [Box<dyn Network>],
    plan: &Plan,
    data: ArrayView4<'_, f32>,
    measure: Measure,
    progress: &mut Progress<'_>,
) -> Result<Sampled, SegmentError> {
    if folds.is_empty() {
        return Err(NetworkError::NoFold.into());
    }
    let heads = plan.manifest.heads;
    let (_, z, y, x) = data.dim();
    let mirrors = sliding_window::mirrors(plan.mirror_axes().as_deref());
    let window = window(plan, Options::FAST);
    // As many mirrors as are forwarded together; every more costs a volume of logits.
    let at_once = window.batch;
    // A single sample says nothing about disagreement; entropy still works on it.
    let measure = if folds.len() * mirrors.len() == 1 && !measure.works_on_one_sample() { Measure::Entropy } else { measure };
    let mut samples = Accumulator::new(heads, z * y * x, &[measure]);
    let mut sum = Array4::<f32>::zeros((heads, z, y, x));
    let parts = folds.len() * mirrors.len().div_ceil(at_once);
    let mut part = 0;
    for network in folds.iter_mut() {
        for group in mirrors.chunks(at_once) {
            let mut inner = |done: f32| progress((part as f32 + done) / parts as f32);
            for logits in sliding_window::logits(network.as_mut(), data, &window, group, Combine::Separate, &mut inner)? {
                ndarray::Zip::from(&mut sum).and(&logits).for_each(|sum, logit| *sum += logit.to_f32());
                samples.add(&softmax(&logits))?;
            }
            part += 1;
        }
    }
    if progress(1.0) == ControlFlow::Break(()) {
        return Err(NetworkError::Cancelled.into());
    }
    let count = (folds.len() * mirrors.len()) as f32;
    let uncertainty = Array3::from_shape_vec((z, y, x), samples.finish(measure)?).map_err(|_| GeometryError::BadDims([x, y, z]))?;
    Ok(Sampled { logits: sum.mapv(|v| f16::from_f32(v / count)), uncertainty })
}

/// Probabilities `[heads * voxels]` of logits `[heads, z, y, x]`.
fn softmax(logits: &Array4<f16>) -> Vec<f32> {
    let heads = logits.shape()[0];
    let values: Vec<f32> = logits.iter().map(|v| v.to_f32()).collect();
    let voxels = values.len() / heads.max(1);
    let mut probabilities = vec![0.0; values.len()];
    for voxel in 0..voxels {
        let largest = (0..heads).map(|head| values[head * voxels + voxel]).fold(f32::NEG_INFINITY, f32::max);
        let mut total = 0.0;
        for head in 0..heads {
            let e = (values[head * voxels + voxel] - largest).exp();
            probabilities[head * voxels + voxel] = e;
            total += e;
        }
        for head in 0..heads {
            probabilities[head * voxels + voxel] /= total;
        }
    }
    probabilities
}
