//! No seam beside a corrected plane: where the network was wrong in it, its neighbours are pulled towards the
//! correction, less and less.
//!
//! Where network and expert agree in a plane nothing is pulled, so that surfaces which slant through it stay as the
//! network has them.

use half::f16;
use ndarray::{Array3, ArrayView4, Zip};
use shared::geometry::{Geometry, GeometryError, Plane};
use shared::label::Label;
use shared::volume::Volume;

use crate::bundle::plans::Plan;

use super::export;
use super::frame::{Frame, network_axes, zyx_view};

/// Difference of logits by which the correction's label is ahead where it is pulled wholly: a probability of 98 %.
const PULL: f32 = 4.0;

/// The network's answer on its own grid, and the way back to the scan.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer<'a> {
    /// `[heads, z, y, x]`.
    pub(super) logits: ArrayView4<'a, f16>,
    /// Where the network's grid lies.
    pub(super) frame: &'a Frame,
    /// How its logits become labels.
    pub(super) plan: &'a Plan,
}

/// What corrected planes pull the voxels beside them to, on the scan's grid.
struct Pull {
    /// 0 (not at all) to 1.
    weight: Volume<f32>,
    label: Volume<Label>,
}

/// Decides voxels within `blend_mm` of a corrected plane, along its axis, anew: their logits are mixed with the
/// correction's label by a weight that falls from 1 in the plane to 0 at that distance. `labels` are the network's own,
/// on the scan's grid; all other voxels stay as they are.
///
/// # Errors
/// [`GeometryError`] if a plane or the frame is not the scan's.
pub(super) fn blend(
    labels: &mut Volume<Label>,
    answer: Answer<'_>,
    corrections: &Volume<Label>,
    planes: &[Plane],
    blend_mm: f64,
) -> Result<(), GeometryError> {
    let Pull { weight, label } = pull(labels, corrections, planes, blend_mm)?;
    if weight.voxels().iter().all(|weight| *weight == 0.0) {
        return Ok(());
    }
    let Answer { logits, frame, plan } = answer;
    let along = network_axes(zyx_view(&weight), frame.transpose_forward);
    let (weights, targets) = (frame.crop_of(&along), network_axes(zyx_view(&label), frame.transpose_forward));
    let targets = frame.crop_of(&targets);
    let mix = |head: usize, values: &mut Array3<f32>| {
        Zip::from(values).and(weights).and(targets).par_for_each(|value, weight, label| {
            *value = (1.0 - weight) * *value + weight * target(head, *label, plan);
        });
    };
    let blended = export::adjusted_labels(logits, frame, plan, labels.geometry(), mix)?;
    for ((label, blended), weight) in labels.voxels_mut().iter_mut().zip(blended.voxels()).zip(weight.voxels()) {
        if *weight > 0.0 {
            *label = *blended;
        }
    }
    Ok(())
}

/// A head's logit where the label is certain.
fn target(head: usize, label: Label, plan: &Plan) -> f32 {
    let regions = plan.labels.regions_class_order.as_ref().and_then(|_| plan.labels.foreground.get(head));
    match regions {
        Some((_, values)) if values.contains(&u16::from(label)) => PULL,
        Some(_) => -PULL,
        None if head == usize::from(label) => PULL,
        None => 0.0,
    }
}

/// The nearest plane in which network and expert disagree pulls; of equally near ones the last.
fn pull(
    network: &Volume<Label>,
    corrections: &Volume<Label>,
    planes: &[Plane],
    blend_mm: f64,
) -> Result<Pull, GeometryError> {
    let scan: &Geometry = network.geometry();
    let mut pull = Pull { weight: Volume::filled(scan.clone(), 0.0), label: Volume::filled(scan.clone(), 0) };
    for plane in planes {
        let (own, corrected) = (network.read_plane(*plane)?, corrections.read_plane(*plane)?);
        for index in 0..scan.plane_count(plane.axis) {
            let distance_mm = plane.index.abs_diff(index) as f64 * scan.plane_spacing_mm(plane.axis);
            if index == plane.index || distance_mm >= blend_mm {
                continue;
            }
            let beside = Plane { index, ..*plane };
            let nearness = (1.0 - distance_mm / blend_mm) as f32;
            let (mut weights, mut labels) = (pull.weight.read_plane(beside)?, pull.label.read_plane(beside)?);
            for (at, label) in corrected.iter().enumerate() {
                if *label != own[at] && nearness >= weights[at] {
                    (weights[at], labels[at]) = (nearness, *label);
                }
            }
            pull.weight.write_plane(beside, &weights)?;
            pull.label.write_plane(beside, &labels)?;
        }
    }
    Ok(pull)
}
