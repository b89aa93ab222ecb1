//! Image and corrected slices in, a better segmentation everywhere out. The expert's word is final.

use ndarray::{Axis, concatenate};
use shared::geometry::Plane;
use shared::label::Label;
use shared::volume::Volume;

use crate::inference::bundle::GuidanceEncoding;
use crate::inference::plans::Plan;
use crate::inference::{Network, NetworkError, Progress};

use super::predict::{Options, mean_logits};
use super::preprocess::{Preprocessed, network_axes, preprocess, zyx_view};
use super::presegment::SegmentError;
use super::{export, guide};

/// What refinement works on; all volumes on the scan's grid.
#[derive(Clone, Copy, Debug)]
pub struct RefineInput<'a> {
    /// The scan's channels.
    pub channels: &'a [Volume<f32>],
    /// The network's own segmentation.
    pub presegmentation: &'a Volume<Label>,
    /// Labels that are right in `planes`; ignored elsewhere.
    pub corrections: &'a Volume<Label>,
    /// Planes that the expert vouches for.
    pub planes: &'a [Plane],
    /// The task's foreground labels, ascending.
    pub foreground: &'a [Label],
    /// The channels that the network was trained with.
    pub encoding: GuidanceEncoding,
}

/// Refines. Voxels of corrected planes equal the correction, exactly.
///
/// # Errors
/// [`SegmentError`]; planes outside the scan are a [`shared::geometry::GeometryError`].
pub fn refine(
    folds: &mut [Box<dyn Network>],
    plan: &Plan,
    input: &RefineInput<'_>,
    progress: &mut Progress<'_>,
) -> Result<Volume<Label>, SegmentError> {
    let Preprocessed { data, frame } = preprocess(input.channels, plan)?;
    let scan = input.channels[0].geometry();
    for plane in input.planes {
        scan.check_plane(*plane)?;
    }
    let along = |volume: &Volume<Label>| network_axes(zyx_view(volume), frame.transpose_forward);
    let corrections = along(input.corrections);
    let planes: Vec<(usize, usize)> = input.planes.iter().filter_map(|p| guide::cropped_plane(*p, scan, &frame)).collect();
    let projected = guide::project(guide::crop(&corrections, &frame), &planes, frame.network);
    let presegmentation = guide::nearest(guide::crop(&along(input.presegmentation), &frame), frame.network);
    let guidance = guide::channels(projected.view(), presegmentation.view(), input.foreground, input.encoding);
    let data = concatenate(Axis(0), &[data.view(), guidance.view()]).map_err(|error| NetworkError::Engine(error.to_string()))?;
    let logits = mean_logits(folds, plan, data.view(), Options::FAST, progress)?;
    let mut labels = export::labels(logits.view(), &frame, plan, scan)?;
    for plane in input.planes {
        labels.write_plane(*plane, &input.corrections.read_plane(*plane)?)?;
    }
    Ok(labels)
}
