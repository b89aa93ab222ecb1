//! From the network's grid back to the scan's: resample, decide, un-crop, un-transpose. Works class by class, so that no volume of all classes at full
//! resolution ever exists.

use half::f16;
use ndarray::{Array3, ArrayView3, ArrayView4, Axis, Zip, s};
use shared::geometry::{Geometry, GeometryError};
use shared::label::Label;
use shared::volume::Volume;

use crate::inference::plans::{Plan, Resampling};

use super::preprocess::{Frame, network_axes};
use super::resample::{resample, separate_axis};

/// The label of every voxel of the scan: the head with the largest logit, the first of equals; background outside the crop.
///
/// `logits` is `[heads, z, y, x]` on the network's grid.
///
/// # Errors
/// [`GeometryError`] if the frame is not the scan's.
pub fn labels(logits: ArrayView4<'_, f16>, frame: &Frame, plan: &Plan, scan: &Geometry) -> Result<Volume<Label>, GeometryError> {
    let mut best = Array3::from_elem(frame.cropped(), f16::NEG_INFINITY);
    let mut labels = Array3::<Label>::zeros(frame.cropped());
    for (head, logit) in logits.axis_iter(Axis(0)).enumerate() {
        let resampled = to_scan_spacing(logit.mapv(f16::to_f32).view(), frame, plan.resample_logits).mapv(f16_from_f64);
        Zip::from(&mut best).and(&mut labels).and(&resampled).par_for_each(|best, label, logit| {
            if *logit > *best || head == 0 {
                *best = *logit;
                *label = head as Label;
            }
        });
    }
    to_scan(labels, frame, 0, scan)
}

/// Scalar values of every voxel of the scan, linearly resampled; `outside` beyond the crop.
///
/// # Errors
/// [`GeometryError`] if the frame is not the scan's.
pub fn scalars(
    values: ArrayView3<'_, f32>,
    frame: &Frame,
    plan: &Plan,
    outside: f32,
    scan: &Geometry,
) -> Result<Volume<f32>, GeometryError> {
    to_scan(to_scan_spacing(values, frame, plan.resample_logits).mapv(|v| v as f32), frame, outside, scan)
}

fn to_scan_spacing(values: ArrayView3<'_, f32>, frame: &Frame, resampling: Resampling) -> Array3<f64> {
    match resampling {
        Resampling::None => values.mapv(f64::from),
        Resampling::Default { separate_z, order } => {
            let axis = separate_axis(frame.network_spacing_mm, frame.spacing_mm, separate_z);
            resample(values, frame.cropped(), order, axis)
        }
    }
}

fn to_scan<T: Copy>(cropped: Array3<T>, frame: &Frame, outside: T, scan: &Geometry) -> Result<Volume<T>, GeometryError> {
    let mut full = Array3::from_elem(frame.full, outside);
    let [z, y, x] = frame.crop.clone();
    full.slice_mut(s![z, y, x]).assign(&cropped);
    let voxels = network_axes(full.view(), frame.transpose_backward).into_raw_vec_and_offset().0;
    Volume::new(scan.clone(), voxels)
}

/// numpy's direct rounding. By way of f32 a value could be rounded twice; "round to odd" on the way prevents that.
fn f16_from_f64(value: f64) -> f16 {
    let single = value as f32;
    let exact = f64::from(single);
    if exact == value || !single.is_finite() || single.to_bits() & 1 == 1 {
        return f16::from_f32(single);
    }
    let towards = if (value > exact) == (single > 0.0) { single.to_bits() + 1 } else { single.to_bits().wrapping_sub(1) };
    f16::from_f32(if single == 0.0 { single } else { f32::from_bits(towards) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;

    #[test]
    fn halves_are_rounded_once() {
        let Some(index) = reference::nnunet_index() else { return };
        let vector = index["vectors"].as_array().unwrap().iter().find(|v| v["name"] == "f64_to_f16_numpy").unwrap().clone();
        let values = reference::nnunet_f64(vector["x"].as_str().unwrap());
        let expected = reference::nnunet_f64(vector["out"].as_str().unwrap());
        for (value, wanted) in values.iter().zip(expected) {
            assert_eq!(f16_from_f64(*value).to_f64(), wanted, "{value}");
        }
    }

    #[test]
    fn cropped_labels_return_to_their_place() {
        let frame = Frame {
            transpose_forward: [2, 0, 1],
            transpose_backward: [1, 2, 0],
            full: [4, 2, 3],
            crop: [1..3, 0..1, 2..3],
            spacing_mm: [1.0; 3],
            network_spacing_mm: [1.0; 3],
            network: [2, 1, 1],
        };
        let scan = Geometry::axis_aligned([4, 3, 2], [1.0; 3]).unwrap();
        let volume = to_scan(Array3::from_elem((2, 1, 1), 7_u8), &frame, 0, &scan).unwrap();
        // Network axes are (x, z, y): x 1 and 2, z 0, y 2.
        let set: Vec<usize> = (0..24).filter(|i| volume.voxels()[*i] == 7).collect();
        assert_eq!(set, [Geometry::offset([1, 2, 0], [4, 3, 2]), Geometry::offset([2, 2, 0], [4, 3, 2])]);
    }
}
