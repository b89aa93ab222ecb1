//! Labels of a cascade's previous stage on the network's grid: every label's share is resampled, the largest share
//! wins.

use ndarray::{Array3, ArrayView3, Axis, Zip};

use super::resample::{Taps, nearest_indices, taps};
use super::resample_torch::{Channel, resample_torch};

/// nnU-Net's `resample_data_or_seg_to_shape` of labels, with batchgenerators' rule since 0.25.4: the largest linearly
/// interpolated share (order 1); of equal shares that of the nearest voxel, if it is among them, else the smallest
/// label.
pub fn resample_labels(
    labels: ArrayView3<'_, i16>,
    shape: [usize; 3],
    order: u8,
    separate: Option<usize>,
) -> Array3<i16> {
    let size: [usize; 3] = std::array::from_fn(|axis| labels.shape()[axis]);
    if size == shape {
        return labels.to_owned();
    }
    let mut in_plane = shape;
    if let Some(axis) = separate {
        in_plane[axis] = size[axis];
    }
    let [z, y, x] = std::array::from_fn(|axis| taps(size[axis], in_plane[axis], order));
    let [near_z, near_y, near_x] = std::array::from_fn(|axis| taps(size[axis], in_plane[axis], 0));
    let mut result = Array3::zeros(in_plane);
    Zip::indexed(&mut result).par_for_each(|(k, j, i), label| {
        let nearest = labels[[near_z[k].indices[0], near_y[j].indices[0], near_x[i].indices[0]]];
        *label = if order == 0 { nearest } else { largest_share(labels, [&z[k], &y[j], &x[i]], nearest) };
    });
    match separate {
        Some(axis) if size[axis] != shape[axis] => result.select(Axis(axis), &nearest_indices(size[axis], shape[axis])),
        _ => result,
    }
}

/// Shares are summed as scipy sums them, because equal shares must come out equal.
fn largest_share(labels: ArrayView3<'_, i16>, [z, y, x]: [&Taps; 3], nearest: i16) -> i16 {
    let mut corners = [(0_i16, 0.0_f64); 8];
    for (corner, entry) in corners.iter_mut().enumerate() {
        let [a, b, c] = [corner >> 2 & 1, corner >> 1 & 1, corner & 1];
        *entry = (labels[[z.indices[a], y.indices[b], x.indices[c]]], z.weights[a] * y.weights[b] * x.weights[c]);
    }
    let share =
        |label: i16| corners.iter().filter(|(l, _)| *l == label).map(|(_, weight)| weight).sum::<f64>().min(1.0);
    let best = corners.iter().map(|(label, _)| share(*label)).fold(f64::NEG_INFINITY, f64::max);
    let tied = |label: i16| share(label) == best;
    if tied(nearest) {
        nearest
    } else {
        corners.iter().map(|(label, _)| *label).filter(|label| tied(*label)).min().unwrap_or(nearest)
    }
}

/// `resample_torch_fornnunet` of labels: shares in thousandths, in half precision; more than 700 is enough, a later
/// label first; else the first of the largest.
pub fn resample_labels_torch(labels: ArrayView3<'_, i16>, shape: [usize; 3], separate: Option<usize>) -> Array3<i16> {
    let mut present: Vec<i16> = labels.iter().copied().collect();
    present.sort_unstable();
    present.dedup();
    let mut result = Array3::<i16>::zeros(shape);
    let mut best = Array3::from_elem(shape, (half::f16::NEG_INFINITY, false));
    let enough = half::f16::from_f32(700.0);
    for label in present {
        let share = labels.mapv(|l| if l == label { 1000.0 } else { 0.0 });
        let resampled = resample_torch(share.view(), shape, separate, Channel { index: 0, of: 1 });
        Zip::from(&mut result).and(&mut best).and(&resampled).par_for_each(|result, (best, settled), share| {
            let share = half::f16::from_f32(*share);
            if share > enough || (!*settled && share > *best) {
                *result = label;
            }
            *settled |= share > enough;
            *best = if share > *best { share } else { *best };
        });
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;

    #[test]
    #[cfg_attr(not(material), ignore = "../shared is not there")]
    fn nnunets_results_are_reproduced() {
        let index = reference::nnunet_index();
        let mut checked = 0;
        for vector in index["vectors"].as_array().unwrap().iter().filter(|v| v["seg_out"].is_string()) {
            let labels = reference::nnunet_array3(vector["seg"].as_str().unwrap()).mapv(|v| v as i16);
            let expected = reference::nnunet_array3(vector["seg_out"].as_str().unwrap()).mapv(|v| v as i16);
            let shape = std::array::from_fn(|axis| expected.shape()[axis]);
            let axis = vector["axis"].as_u64().map(|a| a as usize);
            assert_eq!(resample_labels(labels.view(), shape, 1, axis), expected, "{}", vector["name"]);
            checked += 1;
        }
        assert_eq!(checked, 7);
    }

    proptest::proptest! {
        #[test]
        fn no_label_appears_from_nowhere(
            from in proptest::array::uniform3(1_usize..6),
            to in proptest::array::uniform3(1_usize..8),
            order in 0_u8..2,
            axis in proptest::option::of(0_usize..3),
        ) {
            let labels = Array3::from_shape_fn(from, |(z, y, x)| ((z * 5 + y * 3 + x) % 4) as i16 - 1);
            let labels_torch = resample_labels_torch(labels.view(), to, axis);
            for got in [resample_labels(labels.view(), to, order, axis), labels_torch] {
                proptest::prop_assert_eq!(got.shape(), to);
                proptest::prop_assert!(got.iter().all(|label| labels.iter().any(|l| l == label)));
            }
        }
    }
}
