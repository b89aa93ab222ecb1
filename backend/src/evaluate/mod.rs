//! What a setting is worth: a simulated expert corrects the acquired planes of labelled cases, and the result is measured. Uses the pipeline that the
//! server uses; the pipeline never looks here.

pub mod run;
pub mod expert;
pub mod overlap;
mod distance;
pub mod calibration;
pub mod results;
pub mod statistics;
pub mod summary;
pub mod picture;
pub mod report;

use shared::geometry::{Axis, Plane};
use shared::label::{BACKGROUND, Label};
use shared::volume::Volume;

/// Axial planes in which a label volume has any foreground: what a complete manual segmentation would have to draw.
pub fn foreground_axial_planes(labels: &Volume<Label>) -> usize {
    let has_foreground = |index: &usize| {
        let plane = labels.read_plane(Plane { axis: Axis::Axial, index: *index });
        plane.is_ok_and(|plane| plane.iter().any(|label| *label != BACKGROUND))
    };
    (0..labels.geometry().plane_count(Axis::Axial)).filter(has_foreground).count()
}
