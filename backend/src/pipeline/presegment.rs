//! The scan segmented without help, and how sure the network is of it.

use ndarray::Array3;
use shared::geometry::{Geometry, GeometryError};
use shared::label::Label;
use shared::volume::Volume;
use thiserror::Error;

use crate::bundle::plans::Plan;
use crate::inference::{Network, NetworkError, Progress};

use super::export;
use super::frame::Frame;
use super::preprocess::{PreprocessError, Preprocessed, preprocess};
use super::sampling::{Sampled, Sampling, SamplingError, sample};
use super::uncertainty::UncertaintyError;

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

impl From<SamplingError> for SegmentError {
    fn from(error: SamplingError) -> Self {
        match error {
            SamplingError::Network(error) => error.into(),
            SamplingError::Uncertainty(error) => error.into(),
        }
    }
}

/// All on the scan's grid.
#[derive(Clone, Debug)]
pub struct Presegmentation {
    /// The labels.
    pub labels: Volume<Label>,
    /// 0 (sure) to 1; 0 outside the crop, where it is background for certain. One a method, in their order.
    pub uncertainty: Vec<Volume<f32>>,
}

/// Segments a scan with all folds and mirrors; labels come from the mean logits, whatever the uncertainty is sampled
/// from.
///
/// # Errors
/// [`SegmentError`].
pub fn presegment(
    folds: &mut [Box<dyn Network>],
    plan: &Plan,
    channels: &[Volume<f32>],
    sampling: &Sampling<'_>,
    progress: &mut Progress<'_>,
) -> Result<Presegmentation, SegmentError> {
    let Preprocessed { data, frame } = preprocess(channels, plan)?;
    let Sampled { logits, uncertainty } = sample(folds, plan, data.view(), sampling, progress)?;
    let scan = channels[0].geometry();
    let labels = export::labels(logits.view(), &frame, plan, scan)?;
    drop(logits);
    let uncertainty =
        uncertainty.into_iter().map(|values| on_scan(values, &frame, plan, scan)).collect::<Result<_, _>>()?;
    Ok(Presegmentation { labels, uncertainty })
}

/// Uncertainty `[z, y, x]` of the network's grid on the scan's; 0 outside the crop.
pub(super) fn on_scan(
    values: Vec<f32>,
    frame: &Frame,
    plan: &Plan,
    scan: &Geometry,
) -> Result<Volume<f32>, GeometryError> {
    let [z, y, x] = frame.network;
    let values = Array3::from_shape_vec((z, y, x), values).map_err(|_| GeometryError::BadDims([x, y, z]))?;
    export::scalars(values.view(), frame, plan, 0.0, scan)
}
