//! From one grid to another as nnU-Net does it (`resample_data_or_seg_to_shape`): splines in f64, thick slices resampled within the slice only.
//!
//! Equals scipy's `zoom(grid_mode=True, mode="nearest")` behind scikit-image's `resize`, evaluated one axis at a time.

use ndarray::parallel::prelude::*;
use ndarray::{Array3, ArrayView3, Axis, Zip};

/// Beyond this ratio of largest to smallest spacing a volume is resampled slice by slice; strictly greater.
const ANISOTROPY: f64 = 3.0;

/// Edge samples that scipy adds before the cubic prefilter.
const PAD: usize = 12;

/// nnU-Net's size of a resampled volume: `round(old / new * n)` per axis, half to even.
pub fn new_shape(shape: [usize; 3], spacing_mm: [f64; 3], new_spacing_mm: [f64; 3]) -> [usize; 3] {
    std::array::from_fn(|axis| (spacing_mm[axis] / new_spacing_mm[axis] * shape[axis] as f64).round_ties_even() as usize)
}

/// The axis that is resampled by nearest neighbour, if the volume is that anisotropic. `force` overrides the rule.
pub fn separate_axis(spacing_mm: [f64; 3], new_spacing_mm: [f64; 3], force: Option<bool>) -> Option<usize> {
    let largest = |s: [f64; 3]| s.into_iter().fold(f64::NEG_INFINITY, f64::max);
    let anisotropic = |s: [f64; 3]| largest(s) / s.into_iter().fold(f64::INFINITY, f64::min) > ANISOTROPY;
    let spacing = match force {
        Some(false) => return None,
        Some(true) => spacing_mm,
        None if anisotropic(spacing_mm) => spacing_mm,
        None if anisotropic(new_spacing_mm) => new_spacing_mm,
        None => return None,
    };
    let thick: Vec<usize> = (0..3).filter(|axis| largest(spacing) / spacing[*axis] == 1.0).collect();
    if let [axis] = thick[..] { Some(axis) } else { None }
}

/// Resamples a volume. `order` is 0, 1 or 3; `separate` is an axis resampled by nearest neighbour. The result stays within the input's range
/// (per slice, if separate). An unchanged shape returns the values untouched.
pub fn resample(volume: ArrayView3<'_, f32>, shape: [usize; 3], order: u8, separate: Option<usize>) -> Array3<f64> {
    let values = volume.mapv(f64::from);
    if values.shape() == shape {
        return values;
    }
    let Some(axis) = separate else {
        return resize(values, shape, order, None);
    };
    let mut in_plane = shape;
    in_plane[axis] = values.shape()[axis];
    let resized = resize(values, in_plane, order, Some(axis));
    nearest_along(&resized, axis, shape[axis])
}

/// Source index of each target index in nnU-Net's nearest-neighbour step between slices.
fn nearest_along(volume: &Array3<f64>, axis: usize, length: usize) -> Array3<f64> {
    let n = volume.shape()[axis];
    if n == length {
        return volume.clone();
    }
    let scale = n as f64 / length as f64;
    let indices: Vec<usize> = (0..length).map(|k| ((scale * (k as f64 + 0.5) - 0.5 + 0.5).floor().max(0.0) as usize).min(n - 1)).collect();
    volume.select(Axis(axis), &indices)
}

/// `skip`: the axis across which slices are separate, with a range of their own each.
fn resize(volume: Array3<f64>, shape: [usize; 3], order: u8, skip: Option<usize>) -> Array3<f64> {
    if volume.shape() == shape {
        return volume;
    }
    let ranges: Vec<(f64, f64)> = match skip {
        None => vec![range(volume.view())],
        Some(axis) => volume.axis_iter(Axis(axis)).map(|slice| range(slice.insert_axis(Axis(axis)))).collect(),
    };
    let mut values = volume;
    // Cubic splines are filtered along every axis, also those whose size stays: the filter and its inverse cancel only up to rounding.
    for axis in (0..3).filter(|axis| Some(*axis) != skip) {
        values = resize_axis(&values, axis, shape[axis], order);
    }
    match skip {
        None => values.mapv_inplace(|v| v.clamp(ranges[0].0, ranges[0].1)),
        Some(axis) => {
            for (mut slice, (low, high)) in values.axis_iter_mut(Axis(axis)).zip(&ranges) {
                slice.mapv_inplace(|v| v.clamp(*low, *high));
            }
        }
    }
    values
}

fn range(values: ArrayView3<'_, f64>) -> (f64, f64) {
    values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(*v), high.max(*v)))
}

fn resize_axis(volume: &Array3<f64>, axis: usize, length: usize, order: u8) -> Array3<f64> {
    let n = volume.shape()[axis];
    let taps: Vec<Taps> = (0..length).map(|k| Taps::new(k, n, length, order)).collect();
    let mut shape = [volume.shape()[0], volume.shape()[1], volume.shape()[2]];
    shape[axis] = length;
    let mut result = Array3::zeros(shape);
    Zip::from(result.lanes_mut(Axis(axis))).and(volume.lanes(Axis(axis))).into_par_iter().for_each_init(
        Vec::new,
        |line, (mut out, lane)| {
            line.clear();
            if order == 3 {
                let (first, last) = (lane[0], lane[n - 1]);
                line.extend(std::iter::repeat_n(first, PAD).chain(lane.iter().copied()).chain(std::iter::repeat_n(last, PAD)));
                prefilter(line);
            } else {
                line.extend(lane.iter().copied());
            }
            for (value, taps) in out.iter_mut().zip(&taps) {
                *value = taps.apply(line);
            }
        },
    );
    result
}

/// Which samples a target voxel is made of.
struct Taps {
    indices: [usize; 4],
    weights: [f64; 4],
    count: usize,
}

impl Taps {
    fn new(k: usize, n: usize, length: usize, order: u8) -> Self {
        let pad = if order == 3 { PAD } else { 0 };
        let last = (n + 2 * pad - 1) as i64;
        let position = (k as f64 + 0.5) * (n as f64 / length as f64) - 0.5 + pad as f64;
        let clamp = |i: i64| i.clamp(0, last) as usize;
        if order == 0 {
            return Self { indices: [clamp((position + 0.5).floor() as i64), 0, 0, 0], weights: [1.0, 0.0, 0.0, 0.0], count: 1 };
        }
        let floor = position.floor();
        let t = position - floor;
        let start = floor as i64 - i64::from(order / 2);
        let indices = std::array::from_fn(|tap| clamp(start + tap as i64));
        if order == 1 {
            return Self { indices, weights: [1.0 - t, 1.0 - (1.0 - t), 0.0, 0.0], count: 2 };
        }
        let u = 1.0 - t;
        let w0 = u * u * u / 6.0;
        let w1 = (t * t * (t - 2.0) * 3.0 + 4.0) / 6.0;
        let w2 = (u * u * (u - 2.0) * 3.0 + 4.0) / 6.0;
        Self { indices, weights: [w0, w1, w2, 1.0 - w0 - w1 - w2], count: 4 }
    }

    fn apply(&self, line: &[f64]) -> f64 {
        (0..self.count).map(|tap| line[self.indices[tap]] * self.weights[tap]).sum()
    }
}

/// Turns samples into cubic B-spline coefficients, in place: scipy's `spline_filter1d` with half-sample symmetric borders.
fn prefilter(c: &mut [f64]) {
    const Z: f64 = -0.267_949_192_431_122_7;
    let n = c.len();
    let gain = (1.0 - Z) * (1.0 - 1.0 / Z);
    for value in c.iter_mut() {
        *value *= gain;
    }
    let zn = Z.powi(n as i32);
    let first = c[0];
    let mut sum = c[0] + zn * c[n - 1];
    let mut power = Z;
    for i in 1..n {
        sum += power * (c[i] + zn * c[n - 1 - i]);
        power *= Z;
    }
    c[0] = sum * Z / (1.0 - zn * zn) + first;
    for i in 1..n {
        c[i] += Z * c[i - 1];
    }
    c[n - 1] *= Z / (Z - 1.0);
    for i in (0..n - 1).rev() {
        c[i] = Z * (c[i + 1] - c[i]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;

    #[test]
    fn sizes_round_half_to_even() {
        fn check(n: usize, old: f64, new: f64, expected: usize) {
            assert_eq!(new_shape([n, 1, 1], [old, 1.0, 1.0], [new, 1.0, 1.0])[0], expected);
        }
        check(5, 0.5, 1.0, 2);
        check(3, 1.5, 1.0, 4);
        check(7, 1.0, 1.0, 7);
    }

    #[test]
    fn thick_slices_are_kept_apart() {
        fn check(spacing: [f64; 3], new: [f64; 3], expected: Option<usize>) {
            assert_eq!(separate_axis(spacing, new, None), expected);
        }
        check([3.0, 1.0, 1.0], [1.0, 1.0, 1.0], None);
        check([3.1, 1.0, 1.0], [1.0, 1.0, 1.0], Some(0));
        check([1.0, 1.0, 1.0], [1.0, 4.0, 1.0], Some(1));
        check([5.0, 5.0, 1.0], [1.0, 1.0, 1.0], None);
        assert_eq!(separate_axis([5.0, 1.0, 1.0], [1.0; 3], Some(false)), None);
    }

    /// nnU-Net's own function on seven volumes: images (order 3) and logits (order 1).
    #[test]
    fn nnunets_results_are_reproduced() {
        let Some(index) = reference::nnunet_index() else { return };
        let mut checked = 0;
        for vector in index["vectors"].as_array().unwrap().iter().filter(|v| v["name"].as_str().unwrap().starts_with("resample")) {
            let shape: [usize; 3] = serde_json::from_value(vector["new_shape"].clone()).unwrap();
            let axis = vector["axis"].as_u64().map(|a| a as usize);
            for (input, output, order) in [("x", "x_out", 3), ("logits", "logits_out", 1)] {
                // Logits go the other way: from the new shape's network grid back to the scan's.
                let source = reference::nnunet_array(vector[input].as_str().unwrap());
                let expected = reference::nnunet_array(vector[output].as_str().unwrap());
                let target: [usize; 3] = if order == 3 { shape } else { std::array::from_fn(|i| expected.shape()[i + 1]) };
                for (channel, wanted) in source.outer_iter().zip(expected.outer_iter()) {
                    let got = resample(channel, target, order, axis);
                    for (got, wanted) in got.iter().zip(wanted.iter()) {
                        let tolerance = if order == 3 { 1e-6 * (1.0 + wanted.abs()) } else { 1e-3 * (1.0 + wanted.abs()) };
                        assert!((*got as f32 - wanted).abs() <= tolerance, "{} {input}: {got} is not {wanted}", vector["name"]);
                        checked += 1;
                    }
                }
            }
        }
        assert!(checked > 10_000);
    }

    proptest::proptest! {
        #[test]
        fn no_shape_panics_and_the_range_is_kept(from in proptest::array::uniform3(1_usize..7), to in proptest::array::uniform3(1_usize..9), order in proptest::sample::select(vec![0_u8, 1, 3]), axis in proptest::option::of(0_usize..3)) {
            let volume = Array3::from_shape_fn(from, |(z, y, x)| ((z * 7 + y * 3 + x * 5) % 11) as f32);
            let result = resample(volume.view(), to, order, axis);
            proptest::prop_assert_eq!(result.shape(), to);
            let (low, high) = range(volume.mapv(f64::from).view());
            proptest::prop_assert!(result.iter().all(|v| (low..=high).contains(v)));
        }
    }
}
