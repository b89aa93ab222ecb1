//! Where patches lie in a volume, how they are turned and how they are weighted, as nnU-Net does it.

use half::f16;

/// How a volume is walked.
#[derive(Clone, Debug)]
pub struct Window {
    /// Patch size `[z, y, x]`; 1 along z for 2D networks.
    pub patch: [usize; 3],
    /// Distance of neighbouring patches as a share of the patch; nnU-Net's default is 0.5.
    pub step: f64,
    /// Every slice is its own image.
    pub two_dimensional: bool,
    /// Output channels of the network.
    pub heads: usize,
    /// Patches that are forwarded together. One by one is what nnU-Net does; more is faster and differs in a last bit.
    pub batch: usize,
    /// Batches that are forwarded at the same time, each by itself: what comes out is the same, memory for as many
    /// forwards is needed.
    pub at_once: usize,
}

/// Axes (0 = z) along which a patch is flipped before the network and back after it.
pub type Mirror = Vec<usize>;

/// The unflipped patch and all combinations of the given axes, in nnU-Net's order: singles, pairs, all three.
pub fn mirrors(axes: Option<&[usize]>) -> Vec<Mirror> {
    let axes = axes.unwrap_or_default();
    let mut all: Vec<Mirror> = (0..1_usize << axes.len().min(3))
        .map(|set| axes.iter().enumerate().filter(|(bit, _)| set >> bit & 1 == 1).map(|(_, axis)| *axis).collect())
        .collect();
    all.sort_by_key(|mirror: &Mirror| (mirror.len(), mirror.clone()));
    all
}

/// First voxels of the patches along an axis: evenly spread so that the last ends flush.
/// nnU-Net: 110 voxels, patch 64, step 0.5 → 0, 23, 46.
fn starts(size: usize, patch: usize, step: f64) -> Vec<usize> {
    if size <= patch {
        return vec![0];
    }
    let room = (size - patch) as f64;
    let count = (room / (patch as f64 * step)).ceil() as usize + 1;
    if count < 2 {
        return vec![0];
    }
    let actual = room / (count - 1) as f64;
    (0..count).map(|i| (actual * i as f64).round_ties_even() as usize).collect()
}

/// Weights of a patch's voxels: a Gaussian of sigma = patch / 8 around its centre, largest 10, rounded to half
/// precision on the way that nnU-Net takes (f64 → f32 → f16); zeros become the smallest weight.
pub(super) fn gaussian(patch: [usize; 3], two_dimensional: bool) -> Vec<f16> {
    let kernels = patch.map(|n| if two_dimensional && n == 1 { vec![1.0] } else { gaussian_axis(n) });
    let mut weights = Vec::with_capacity(patch.iter().product());
    for z in &kernels[0] {
        for y in &kernels[1] {
            weights.extend(kernels[2].iter().map(|x| z * y * x));
        }
    }
    let largest = weights.iter().copied().fold(0.0_f64, f64::max);
    let mut halves: Vec<f16> = weights.iter().map(|w| f16::from_f32((w / (largest / 10.0)) as f32)).collect();
    let smallest = halves.iter().copied().filter(|w| *w > f16::ZERO).fold(f16::MAX, |a, b| if b < a { b } else { a });
    for weight in &mut halves {
        if *weight == f16::ZERO {
            *weight = smallest;
        }
    }
    halves
}

/// scipy's `gaussian_filter` of a unit impulse at `n / 2`, truncated at 4 sigma and by the border.
fn gaussian_axis(n: usize) -> Vec<f64> {
    let sigma = n as f64 / 8.0;
    let radius = (4.0 * sigma + 0.5) as i64;
    let kernel = |x: i64| (-0.5 / (sigma * sigma) * (x * x) as f64).exp();
    let total: f64 = (-radius..=radius).map(kernel).sum();
    let centre = (n / 2) as i64;
    (0..n as i64).map(|i| if (i - centre).abs() <= radius { kernel(i - centre) / total } else { 0.0 }).collect()
}

/// The size of a padded volume, and where the volume begins in it.
pub(super) fn padding(size: [usize; 3], patch: [usize; 3]) -> ([usize; 3], [usize; 3]) {
    let padded: [usize; 3] = std::array::from_fn(|axis| size[axis].max(patch[axis]));
    (padded, std::array::from_fn(|axis| (padded[axis] - size[axis]) / 2))
}

/// One patch in one orientation.
pub(super) struct Job<'a> {
    pub(super) at: [usize; 3],
    pub(super) mirror: &'a Mirror,
}

/// First voxels of all patches, in nnU-Net's order.
pub(super) fn tiles(size: [usize; 3], window: &Window) -> Vec<[usize; 3]> {
    let along = |axis: usize| {
        if axis == 0 && window.two_dimensional {
            (0..size[0]).collect()
        } else {
            starts(size[axis], window.patch[axis], window.step)
        }
    };
    let (zs, ys, xs) = (along(0), along(1), along(2));
    let mut all = Vec::with_capacity(zs.len() * ys.len() * xs.len());
    for &z in &zs {
        for &y in &ys {
            all.extend(xs.iter().map(|&x| [z, y, x]));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;

    #[test]
    fn patches_are_spread_evenly() {
        fn check(size: usize, patch: usize, expected: &[usize]) {
            assert_eq!(starts(size, patch, 0.5), expected);
        }
        check(110, 64, &[0, 23, 46]);
        check(110, 32, &[0, 16, 31, 47, 62, 78]);
        check(64, 64, &[0]);
        check(10, 64, &[0]);
        check(65, 64, &[0, 1]);
    }

    #[test]
    fn mirrors_come_in_nnunets_order() {
        let expected: Vec<Mirror> =
            vec![vec![], vec![0], vec![1], vec![2], vec![0, 1], vec![0, 2], vec![1, 2], vec![0, 1, 2]];
        assert_eq!(mirrors(Some(&[0, 1, 2])), expected);
        assert_eq!(mirrors(None), [Mirror::new()]);
    }

    #[test]
    #[cfg_attr(not(material), ignore = "../shared is not there")]
    fn nnunets_gaussians_are_reproduced() {
        let index = reference::nnunet_index();
        let mut checked = 0;
        for vector in index["vectors"].as_array().unwrap().iter().filter(|v| v["g"].is_string()) {
            let patch: Vec<usize> = serde_json::from_value(vector["patch"].clone()).unwrap();
            let expected = reference::nnunet_f64(vector["g"].as_str().unwrap());
            let got = match patch[..] {
                [y, x] => gaussian([1, y, x], true),
                _ => gaussian([patch[0], patch[1], patch[2]], false),
            };
            assert!(got.iter().map(|w| w.to_f64()).eq(expected), "{patch:?}");
            checked += 1;
        }
        assert_eq!(checked, 5);
    }

    proptest::proptest! {
        #[test]
        fn patches_cover_every_voxel_and_stay_inside(
            size in 1_usize..300,
            patch in 1_usize..80,
            step in 0.05_f64..1.0,
        ) {
            let all = starts(size, patch, step);
            proptest::prop_assert_eq!(all[0], 0);
            proptest::prop_assert_eq!(*all.last().unwrap(), size.saturating_sub(patch));
            proptest::prop_assert!(all.windows(2).all(|pair| pair[0] <= pair[1] && pair[1] - pair[0] <= patch));
        }
    }
}
