//! nnU-Net's intensity normalisations. Means and standard deviations are summed in numpy's own order (f32, pairwise),
//! because a last bit here can become another label there.

use ndarray::{Array3, ArrayView3, Zip};

use crate::bundle::plans::{IntensityProperties, Normalization};

/// Intensities that a scheme does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// RGB images must hold 0 to 255.
    NotRgb,
    /// A CT channel without statistics.
    NoIntensities,
}

/// A channel's values, normalised. `values` may be a view with any strides, which numpy's order of summation depends
/// on; `mask` says which voxels count and change for masked z-scores.
///
/// # Errors
/// [`Misfit`].
pub fn normalise(
    values: ArrayView3<'_, f32>,
    scheme: Normalization,
    mask: Option<ArrayView3<'_, bool>>,
    intensity: Option<IntensityProperties>,
) -> Result<Array3<f32>, Misfit> {
    Ok(match (scheme, mask) {
        (Normalization::None, _) => owned(values),
        (Normalization::ZScore, None) => {
            let (mean, std) = statistics(values);
            changed(values, |v| (v - mean) / std)
        }
        (Normalization::ZScore, Some(mask)) => masked_z_score(values, mask),
        (Normalization::Ct, _) => {
            let properties = intensity.ok_or(Misfit::NoIntensities)?;
            let (low, high) = (properties.percentile_00_5 as f32, properties.percentile_99_5 as f32);
            let (mean, std) = (properties.mean as f32, properties.std.max(SMALLEST) as f32);
            changed(values, |v| (v.max(low).min(high) - mean) / std)
        }
        (Normalization::Rescale, _) => {
            let low = values.iter().copied().fold(f32::INFINITY, f32::min);
            let high = values.iter().map(|v| v - low).fold(f32::NEG_INFINITY, f32::max).max(SMALLEST as f32);
            changed(values, |v| (v - low) / high)
        }
        (Normalization::Rgb, _) => {
            if values.iter().any(|v| !(0.0..=255.0).contains(v)) {
                return Err(Misfit::NotRgb);
            }
            changed(values, |v| v / 255.0)
        }
    })
}

/// No deviation or maximum is divided by that is smaller than this.
const SMALLEST: f64 = 1e-8;

fn owned(values: ArrayView3<'_, f32>) -> Array3<f32> {
    values.as_standard_layout().into_owned()
}

fn changed(values: ArrayView3<'_, f32>, change: impl Fn(f32) -> f32 + Sync + Send) -> Array3<f32> {
    let mut result = Array3::zeros(values.raw_dim());
    Zip::from(&mut result).and(values).par_for_each(|out, value| *out = change(*value));
    result
}

fn masked_z_score(values: ArrayView3<'_, f32>, mask: ArrayView3<'_, bool>) -> Array3<f32> {
    let chosen: Vec<f32> = values.iter().zip(mask.iter()).filter(|(_, inside)| **inside).map(|(v, _)| *v).collect();
    let mut result = owned(values);
    if chosen.is_empty() {
        return result;
    }
    let mean = divided(pairwise(&chosen), chosen.len());
    let std = deviation(&chosen, mean);
    Zip::from(&mut result).and(mask).par_for_each(|value, inside| {
        if *inside {
            *value = (*value - mean) / std;
        }
    });
    result
}

/// numpy's mean, and its standard deviation or [`SMALLEST`].
fn statistics(values: ArrayView3<'_, f32>) -> (f32, f32) {
    let (flat, loops) = in_memory_order(values);
    let mean = divided(sum(&flat, &loops), flat.len());
    (mean, deviation(&flat, mean))
}

/// numpy subtracts the mean into a new, contiguous array, whose squares it sums in one go.
fn deviation(values: &[f32], mean: f32) -> f32 {
    let squares: Vec<f32> = values.iter().map(|v| (v - mean) * (v - mean)).collect();
    divided(pairwise(&squares), squares.len()).sqrt().max(SMALLEST as f32)
}

fn divided(sum: f32, count: usize) -> f32 {
    (f64::from(sum) / count as f64) as f32
}

/// The values in the order in which they lie in memory, and the sizes of the axes that remain when those that are
/// contiguous are taken as one.
fn in_memory_order(values: ArrayView3<'_, f32>) -> (Vec<f32>, Vec<usize>) {
    let mut axes = [0, 1, 2];
    axes.sort_by_key(|axis| std::cmp::Reverse((values.shape()[*axis] > 1, values.strides()[*axis].unsigned_abs())));
    let ordered = values.permuted_axes(axes);
    let mut loops: Vec<(usize, isize)> = Vec::new();
    for (&size, &stride) in ordered.shape().iter().zip(ordered.strides()).filter(|(size, _)| **size > 1) {
        match loops.last_mut() {
            Some((outer, step)) if *step == size as isize * stride => (*outer, *step) = (*outer * size, stride),
            _ => loops.push((size, stride)),
        }
    }
    (ordered.iter().copied().collect(), loops.into_iter().map(|(size, _)| size).collect())
}

/// What numpy's iterator takes at a time.
const BUFFER: usize = 8192;

/// numpy's `add.reduce` over axes of the given sizes, as its iterator buffers them since 2.3: the largest trailing
/// product that fits the buffer, as often as it fits but not across the next axis, is summed pairwise; these sums are
/// added one after the other.
fn sum(flat: &[f32], loops: &[usize]) -> f32 {
    let Some((last, outer)) = loops.split_last() else { return pairwise(flat) };
    let mut core = *last;
    let mut next = outer;
    while let Some((size, rest)) = next.split_last().filter(|(size, _)| core * **size <= BUFFER) {
        core *= size;
        next = rest;
    }
    let Some(across) = next.last() else { return pairwise(flat) };
    let at_once = (BUFFER / core).max(1) * core;
    flat.chunks(across * core).flat_map(|block| block.chunks(at_once)).fold(0.0, |total, part| total + pairwise(part))
}

/// numpy's pairwise summation: eight lanes up to 128 values, halves beyond.
fn pairwise(values: &[f32]) -> f32 {
    let n = values.len();
    if n < 8 {
        return values.iter().sum();
    }
    if n > 128 {
        let half = n / 2 - n / 2 % 8;
        return pairwise(&values[..half]) + pairwise(&values[half..]);
    }
    let (whole, rest) = values.split_at(n - n % 8);
    let mut lanes = [0.0; 8];
    for (block, eight) in whole.chunks_exact(8).enumerate() {
        for (lane, value) in lanes.iter_mut().zip(eight) {
            *lane = if block == 0 { *value } else { *lane + value };
        }
    }
    let [a, b, c, d, e, f, g, h] = lanes;
    rest.iter().fold(((a + b) + (c + d)) + ((e + f) + (g + h)), |total, value| total + value)
}

#[cfg(test)]
mod tests {
    use ndarray::s;

    use super::*;
    use crate::reference;

    #[test]
    #[cfg_attr(not(material), ignore = "../shared is not there")]
    fn nnunets_normalisations_are_reproduced() {
        let index = reference::nnunet_index();
        let vector = index["vectors"].as_array().unwrap().iter().find(|v| v["name"] == "norm").unwrap().clone();
        let array = |name: &str| reference::nnunet_array3(vector[name].as_str().unwrap());
        let properties: IntensityProperties = serde_json::from_value(vector["ip"].clone()).unwrap();
        let mask = array("seg").mapv(|v| v >= 0.0);
        let check = |name: &str, scheme: Normalization, mask: Option<ArrayView3<'_, bool>>| {
            let got = normalise(array("x").view(), scheme, mask, Some(properties)).unwrap();
            assert_eq!(got, array(name), "{name}");
        };
        check("zscore", Normalization::ZScore, None);
        check("zscore_mask", Normalization::ZScore, Some(mask.view()));
        check("ct", Normalization::Ct, None);
        check("rescale", Normalization::Rescale, None);
    }

    #[test]
    fn intensities_that_do_not_fit_are_refused() {
        let values = Array3::from_elem((1, 1, 2), 256.0);
        assert_eq!(normalise(values.view(), Normalization::Rgb, None, None), Err(Misfit::NotRgb));
        assert_eq!(normalise(values.view(), Normalization::Ct, None, None), Err(Misfit::NoIntensities));
    }

    #[test]
    fn a_constant_becomes_zero() {
        let values = Array3::from_elem((2, 3, 4), 7.5);
        for scheme in [Normalization::ZScore, Normalization::Rescale] {
            assert!(normalise(values.view(), scheme, None, None).unwrap().iter().all(|v| *v == 0.0));
        }
        let nothing = Array3::from_elem((2, 3, 4), false);
        assert_eq!(normalise(values.view(), Normalization::ZScore, Some(nothing.view()), None).unwrap(), values);
    }

    #[test]
    fn axes_that_are_contiguous_are_one() {
        fn check(view: ArrayView3<'_, f32>, expected: &[usize]) {
            assert_eq!(in_memory_order(view).1, expected);
        }
        let volume = Array3::from_shape_fn((4, 5, 6), |(z, y, x)| (z * 30 + y * 6 + x) as f32);
        check(volume.view(), &[120]);
        check(volume.view().permuted_axes([2, 0, 1]), &[120]);
        check(volume.slice(s![1..3, .., ..]), &[60]);
        check(volume.slice(s![.., 1..3, ..]), &[4, 12]);
        check(volume.slice(s![.., .., 1..3]), &[20, 2]);
        check(volume.slice(s![.., 1..3, 1..3]).permuted_axes([2, 1, 0]), &[4, 2, 2]);
        check(volume.slice(s![1..2, 1..2, 1..2]), &[]);
    }

    proptest::proptest! {
        #[test]
        fn every_value_is_summed_once(
            shape in proptest::array::uniform3(1_usize..40),
            cut in proptest::array::uniform3(0_usize..3),
            axes in proptest::sample::select(vec![[0_usize, 1, 2], [2, 0, 1], [1, 2, 0], [2, 1, 0]]),
        ) {
            let volume = Array3::from_shape_fn(shape, |(z, y, x)| ((z + 3 * y + 7 * x) % 5) as f32);
            let [a, b, c]: [usize; 3] = std::array::from_fn(|axis| cut[axis].min(shape[axis] - 1));
            let view = volume.slice(s![a.., b.., c..]).permuted_axes(axes);
            let (flat, loops) = in_memory_order(view);
            // Whole numbers below 2^24 have exact sums.
            proptest::prop_assert_eq!(sum(&flat, &loops), view.iter().sum::<f32>());
        }
    }
}
