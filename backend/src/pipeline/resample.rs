//! From one grid to another as nnU-Net does it (`resample_data_or_seg_to_shape`): splines in f64, thick slices
//! resampled within the slice only.
//!
//! Equals scipy's `zoom(grid_mode=True, mode="nearest")` behind scikit-image's `resize`, evaluated one axis at a time:
//! rows of a volume are combined whole, so that the inner loops run along memory. At most two volumes of f64 exist at a
//! time.

use ndarray::parallel::prelude::*;
use ndarray::{Array2, Array3, ArrayView2, ArrayView3, ArrayViewMut2, Axis, Zip};

use crate::bundle::plans::Separation;

/// Edge samples that scipy adds before the cubic prefilter.
const PAD: usize = 12;

/// nnU-Net's size of a resampled volume: `round(old / new * n)` per axis, half to even.
pub fn new_shape(shape: [usize; 3], spacing_mm: [f64; 3], new_spacing_mm: [f64; 3]) -> [usize; 3] {
    std::array::from_fn(|axis| {
        (spacing_mm[axis] / new_spacing_mm[axis] * shape[axis] as f64).round_ties_even() as usize
    })
}

/// The axis that is resampled by nearest neighbour, if the volume is that anisotropic.
pub fn separate_axis(spacing_mm: [f64; 3], new_spacing_mm: [f64; 3], separation: Separation) -> Option<usize> {
    let largest = |s: [f64; 3]| s.into_iter().fold(f64::NEG_INFINITY, f64::max);
    let anisotropic = |s: [f64; 3]| largest(s) / s.into_iter().fold(f64::INFINITY, f64::min) > separation.threshold;
    let spacing = match separation.force {
        Some(false) => return None,
        Some(true) => spacing_mm,
        None if anisotropic(spacing_mm) => spacing_mm,
        None if anisotropic(new_spacing_mm) => new_spacing_mm,
        None => return None,
    };
    let thick: Vec<usize> = (0..3).filter(|axis| largest(spacing) / spacing[*axis] == 1.0).collect();
    if let [axis] = thick[..] { Some(axis) } else { None }
}

/// Resamples a volume. `order` is 0, 1 or 3; `separate` is an axis resampled by nearest neighbour; `round` turns
/// results into voxels. Results stay within the input's range (per slice, if separate). An unchanged shape returns the
/// values untouched.
pub fn resample<T: Copy + Default + Send + Sync>(
    volume: ArrayView3<'_, f32>,
    shape: [usize; 3],
    order: u8,
    separate: Option<usize>,
    round: impl Fn(f64) -> T + Sync,
) -> Array3<T> {
    if volume.shape() == shape {
        return volume.mapv(|v| round(f64::from(v)));
    }
    let Some(axis) = separate else {
        return resize(volume, shape, order, &round);
    };
    let [u, v] = [[1, 2], [0, 2], [0, 1]][axis];
    let slices = resize_slices(volume.permuted_axes([axis, u, v]), [shape[u], shape[v]], order, &round);
    let kept = slices.select(Axis(0), &nearest_indices(volume.shape()[axis], shape[axis]));
    let back: [usize; 3] = std::array::from_fn(|to| [axis, u, v].iter().position(|from| *from == to).unwrap_or(to));
    kept.permuted_axes(back).as_standard_layout().into_owned()
}

/// Source index of each target index in nnU-Net's nearest-neighbour step between slices.
pub(super) fn nearest_indices(n: usize, length: usize) -> Vec<usize> {
    let scale = n as f64 / length as f64;
    (0..length).map(|k| ((scale * (k as f64 + 0.5) - 0.5 + 0.5).floor().max(0.0) as usize).min(n - 1)).collect()
}

fn resize<T: Copy + Default + Send + Sync>(
    volume: ArrayView3<'_, f32>,
    shape: [usize; 3],
    order: u8,
    round: &(impl Fn(f64) -> T + Sync),
) -> Array3<T> {
    let limits = range(volume.iter().copied());
    // Cubic splines are filtered along every axis, also those whose size stays: the filter and its inverse cancel only
    // up to rounding.
    let partly = resize_first_axis(volume, shape[0], order);
    let taps = [1, 2].map(|axis| taps(volume.shape()[axis], shape[axis], order));
    let mut result = Array3::from_elem(shape, T::default());
    Zip::from(result.outer_iter_mut()).and(partly.outer_iter()).par_for_each(|mut out, plane| {
        resize_plane(plane, &taps, order, limits, round, &mut out);
    });
    result
}

/// Every slice along the first axis by itself, with its own range.
fn resize_slices<T: Copy + Default + Send + Sync>(
    volume: ArrayView3<'_, f32>,
    shape: [usize; 2],
    order: u8,
    round: &(impl Fn(f64) -> T + Sync),
) -> Array3<T> {
    let (slices, height, width) = volume.dim();
    if [height, width] == shape {
        return volume.mapv(|v| round(f64::from(v)));
    }
    let taps = [taps(height, shape[0], order), taps(width, shape[1], order)];
    let mut result = Array3::from_elem((slices, shape[0], shape[1]), T::default());
    Zip::from(result.outer_iter_mut()).and(volume.outer_iter()).par_for_each(|mut out, slice| {
        let plane = slice.mapv(f64::from);
        resize_plane(plane.view(), &taps, order, range(slice.iter().copied()), round, &mut out);
    });
    result
}

fn range(values: impl Iterator<Item = f32>) -> (f64, f64) {
    let (low, high) = values.fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    (f64::from(low), f64::from(high))
}

fn resize_first_axis(volume: ArrayView3<'_, f32>, length: usize, order: u8) -> Array3<f64> {
    let (n, rows, width) = volume.dim();
    let taps = taps(n, length, order);
    let mut result = Array3::zeros((length, rows, width));
    let sources = volume.axis_iter(Axis(1)).into_par_iter();
    result.axis_iter_mut(Axis(1)).into_par_iter().zip(sources).for_each(|(mut out, slab)| {
        let lines = coefficients(slab.outer_iter().map(|row| row.into_iter().copied().map(f64::from)), width, order);
        for (mut row, taps) in out.outer_iter_mut().zip(&taps) {
            if let Some(row) = row.as_slice_mut() {
                taps.combine(&lines, width, row);
            }
        }
    });
    result
}

/// Both axes of a plane: its rows, then its columns as rows of the transposed plane.
fn resize_plane<T>(
    plane: ArrayView2<'_, f64>,
    taps: &[Vec<Taps>; 2],
    order: u8,
    (low, high): (f64, f64),
    round: &impl Fn(f64) -> T,
    out: &mut ArrayViewMut2<'_, T>,
) {
    let (width, height) = (plane.ncols(), taps[0].len());
    let lines = coefficients(plane.outer_iter().map(|row| row.into_iter().copied()), width, order);
    let mut rows = vec![0.0; height * width];
    for (row, taps) in rows.chunks_exact_mut(width).zip(&taps[0]) {
        taps.combine(&lines, width, row);
    }
    let columns = coefficients((0..width).map(|x| rows[x..].iter().step_by(width).copied()), height, order);
    let mut column = vec![0.0; height];
    for (x, taps) in taps[1].iter().enumerate() {
        taps.combine(&columns, height, &mut column);
        for (out, value) in out.column_mut(x).iter_mut().zip(&column) {
            *out = round(value.max(low).min(high));
        }
    }
}

/// Rows of `width` values as spline coefficients; for order 3 with [`PAD`] more rows at either end.
fn coefficients<R: Iterator<Item = f64>>(rows: impl Iterator<Item = R>, width: usize, order: u8) -> Vec<f64> {
    let mut lines: Vec<f64> = Vec::new();
    for row in rows {
        lines.extend(row);
    }
    if order != 3 || lines.is_empty() {
        return lines;
    }
    let (first, last) = (&lines[..width], &lines[lines.len() - width..]);
    let mut padded = first.repeat(PAD);
    padded.extend_from_slice(&lines);
    padded.extend(last.repeat(PAD));
    prefilter(&mut padded, width);
    padded
}

/// Resampling along one axis as a matrix `[length, n]`: what becomes of each unit vector. Exact but for rounding, and
/// for the clipping that follows.
pub(super) fn matrix(n: usize, length: usize, order: u8) -> Array2<f64> {
    let unit = Array2::<f64>::eye(n);
    let lines = coefficients(unit.outer_iter().map(|row| row.into_iter().copied()), n, order);
    let mut rows = Vec::with_capacity(length * n);
    let mut row = vec![0.0; n];
    for taps in taps(n, length, order) {
        taps.combine(&lines, n, &mut row);
        rows.extend_from_slice(&row);
    }
    Array2::from_shape_vec((length, n), rows).unwrap_or_default()
}

/// Which samples a target voxel is made of.
pub(super) struct Taps {
    pub(super) indices: [usize; 4],
    pub(super) weights: [f64; 4],
    count: usize,
}

/// The taps of every target index along an axis.
pub(super) fn taps(n: usize, length: usize, order: u8) -> Vec<Taps> {
    (0..length).map(|k| Taps::new(k, n, length, order)).collect()
}

impl Taps {
    fn new(k: usize, n: usize, length: usize, order: u8) -> Self {
        let pad = if order == 3 { PAD } else { 0 };
        let last = (n + 2 * pad - 1) as i64;
        let position = (k as f64 + 0.5) * (n as f64 / length as f64) - 0.5 + pad as f64;
        let clamp = |i: i64| i.clamp(0, last) as usize;
        if order == 0 {
            return Self {
                indices: [clamp((position + 0.5).floor() as i64), 0, 0, 0],
                weights: [1.0, 0.0, 0.0, 0.0],
                count: 1,
            };
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

    /// One sample, as a pair whose second half counts for nothing.
    pub(super) fn only(index: usize) -> Self {
        Self { indices: [index; 4], weights: [1.0, 0.0, 0.0, 0.0], count: 1 }
    }

    /// The weighted sum of whole rows.
    fn combine(&self, lines: &[f64], width: usize, out: &mut [f64]) {
        let row = |tap: usize| &lines[self.indices[tap] * width..][..width];
        let [a, b, c, d] = self.weights;
        match self.count {
            1 => out.copy_from_slice(row(0)),
            2 => {
                for ((out, p), q) in out.iter_mut().zip(row(0)).zip(row(1)) {
                    *out = p * a + q * b;
                }
            }
            _ => {
                for ((((out, p), q), r), s) in out.iter_mut().zip(row(0)).zip(row(1)).zip(row(2)).zip(row(3)) {
                    *out = p * a + q * b + r * c + s * d;
                }
            }
        }
    }
}

/// Turns rows of samples into cubic B-spline coefficients along the first axis, in place: scipy's `spline_filter1d`
/// with half-sample symmetric borders.
fn prefilter(c: &mut [f64], width: usize) {
    const Z: f64 = -0.267_949_192_431_122_7;
    let n = c.len() / width;
    let gain = (1.0 - Z) * (1.0 - 1.0 / Z);
    for value in c.iter_mut() {
        *value *= gain;
    }
    let zn = Z.powi(n as i32);
    let end = (n - 1) * width;
    let mut sums: Vec<f64> = (0..width).map(|x| c[x] + zn * c[end + x]).collect();
    let mut power = Z;
    for i in 1..n {
        // What is smaller than this leaves no trace in a sum of coefficients, and subnormal numbers are slow.
        if power.abs() < f64::MIN_POSITIVE {
            break;
        }
        let (from_start, from_end) = (&c[i * width..][..width], &c[(n - 1 - i) * width..][..width]);
        for ((sum, a), b) in sums.iter_mut().zip(from_start).zip(from_end) {
            *sum += power * (a + zn * b);
        }
        power *= Z;
    }
    for (first, sum) in c.iter_mut().zip(&sums) {
        *first += sum * Z / (1.0 - zn * zn);
    }
    for i in 1..n {
        let (before, here) = c.split_at_mut(i * width);
        for (value, previous) in here[..width].iter_mut().zip(&before[(i - 1) * width..]) {
            *value += Z * previous;
        }
    }
    for last in &mut c[end..] {
        *last *= Z / (Z - 1.0);
    }
    for i in (0..n - 1).rev() {
        let (here, after) = c.split_at_mut((i + 1) * width);
        for (value, next) in here[i * width..].iter_mut().zip(after.iter()) {
            *value = Z * (next - *value);
        }
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
            assert_eq!(separate_axis(spacing, new, Separation::default()), expected);
        }
        check([3.0, 1.0, 1.0], [1.0, 1.0, 1.0], None);
        check([3.1, 1.0, 1.0], [1.0, 1.0, 1.0], Some(0));
        check([1.0, 1.0, 1.0], [1.0, 4.0, 1.0], Some(1));
        check([5.0, 5.0, 1.0], [1.0, 1.0, 1.0], None);
        let never = Separation { force: Some(false), ..Separation::default() };
        assert_eq!(separate_axis([5.0, 1.0, 1.0], [1.0; 3], never), None);
    }

    /// nnU-Net's own function on images.
    #[test]
    #[cfg_attr(not(material), ignore = "../shared is not there")]
    fn nnunets_results_are_reproduced() {
        let index = reference::nnunet_index();
        let mut checked = 0;
        for vector in
            index["vectors"].as_array().unwrap().iter().filter(|v| v["name"].as_str().unwrap().starts_with("resample"))
        {
            let shape: [usize; 3] = serde_json::from_value(vector["new_shape"].clone()).unwrap();
            let axis = vector["axis"].as_u64().map(|a| a as usize);
            let [source, expected] = ["x", "x_out"].map(|name| reference::nnunet_array(vector[name].as_str().unwrap()));
            for (channel, wanted) in source.outer_iter().zip(expected.outer_iter()) {
                assert_eq!(resample(channel, shape, 3, axis, |v| v as f32), wanted, "{}", vector["name"]);
                checked += wanted.len();
            }
        }
        assert!(checked > 10_000);
    }

    fn ramp(shape: [usize; 3]) -> Array3<f32> {
        Array3::from_shape_fn(shape, |(z, y, x)| ((z * 7 + y * 3 + x * 5) % 11) as f32)
    }

    proptest::proptest! {
        #[test]
        fn no_shape_panics_and_the_range_is_kept(
            from in proptest::array::uniform3(1_usize..7),
            to in proptest::array::uniform3(1_usize..9),
            order in proptest::sample::select(vec![0_u8, 1, 3]),
            axis in proptest::option::of(0_usize..3),
        ) {
            let volume = ramp(from);
            let result = resample(volume.view(), to, order, axis, |v| v);
            proptest::prop_assert_eq!(result.shape(), to);
            let (low, high) = range(volume.iter().copied());
            proptest::prop_assert!(result.iter().all(|v| (low..=high).contains(v)));
        }

        #[test]
        fn a_constant_stays_constant(
            from in proptest::array::uniform3(1_usize..7),
            to in proptest::array::uniform3(1_usize..9),
            value in -1e6_f32..1e6,
            order in proptest::sample::select(vec![0_u8, 1, 3]),
        ) {
            let result = resample(Array3::from_elem(from, value).view(), to, order, None, |v| v as f32);
            proptest::prop_assert!(result.iter().all(|v| *v == value));
        }

        #[test]
        fn axes_may_be_permuted_before_or_after(
            from in proptest::array::uniform3(1_usize..6),
            to in proptest::array::uniform3(1_usize..8),
            order in proptest::sample::select(vec![0_u8, 1, 3]),
        ) {
            let volume = ramp(from);
            let before = resample(volume.view().permuted_axes([2, 0, 1]), [to[2], to[0], to[1]], order, None, |v| v);
            let after = resample(volume.view(), to, order, None, |v| v).permuted_axes([2, 0, 1]);
            proptest::prop_assert!(before.iter().zip(after.iter()).all(|(a, b)| (a - b).abs() < 1e-9));
        }

        #[test]
        fn what_is_not_a_number_does_not_panic(
            from in proptest::array::uniform3(1_usize..5),
            to in proptest::array::uniform3(1_usize..6),
            bad in proptest::sample::select(vec![f32::NAN, f32::INFINITY, f32::NEG_INFINITY]),
            order in proptest::sample::select(vec![0_u8, 1, 3]),
            axis in proptest::option::of(0_usize..3),
        ) {
            let mut volume = ramp(from);
            volume[[0, 0, 0]] = bad;
            let result = resample(volume.view(), to, order, axis, |v| v);
            proptest::prop_assert_eq!(result.shape(), to);
        }

        #[test]
        fn whole_factors_come_back_by_nearest_neighbour(
            from in proptest::array::uniform3(1_usize..6),
            factor in 1_usize..4,
        ) {
            let volume = ramp(from);
            let there = resample(volume.view(), from.map(|n| n * factor), 0, None, |v| v as f32);
            let back = there.slice(ndarray::s![..;factor, ..;factor, ..;factor]);
            proptest::prop_assert_eq!(back, volume);
        }
    }
}
