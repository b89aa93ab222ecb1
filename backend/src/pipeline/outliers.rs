//! A few voxels that would ruin a network's normalisation: one of a million far from all others takes the contrast from
//! the rest.

use shared::geometry::Geometry;
use shared::volume::Volume;

use super::distribution::Distribution;
use crate::bundle::plans::Normalization;

/// Voxels that may lie outside, in percent on each side.
const TAIL: f32 = 0.01;
/// How much wider a few voxels may make the range that a network sees before it is said.
const WIDER: f64 = 1.5;

/// What is to be said of a channel's intensities, which are so distributed, if a few of them would ruin its
/// normalisation.
pub fn outliers(volume: &Volume<f32>, known: &Distribution, normalization: Normalization) -> Option<String> {
    let quantiles = &known.quantiles;
    let (low, high) = (quantiles.all(TAIL), quantiles.all(100.0 - TAIL));
    let wider = match normalization {
        Normalization::ZScore => wider(volume, known, low, high),
        Normalization::Rescale => f64::from(quantiles.maximum() - quantiles.minimum()) / (2.0 * f64::from(high - low)),
        // Clipped by the plan, or left as it is.
        Normalization::Ct | Normalization::None | Normalization::Rgb => return None,
    };
    let furthest =
        if quantiles.maximum() - high >= low - quantiles.minimum() { quantiles.maximum() } else { quantiles.minimum() };
    if low >= high || wider <= WIDER {
        return None;
    }
    let at = volume.voxels().iter().position(|v| *v == furthest)?;
    Some(format!(
        "a few voxels are far from all others (voxel {:?} is {furthest}, nearly all lie between {low} and {high}), \
         which leaves the network little contrast elsewhere; clip them",
        Geometry::voxel_at(at, volume.geometry().dims)
    ))
}

/// How much wider the intensities spread than they would if those outside were at the borders.
fn wider(volume: &Volume<f32>, known: &Distribution, low: f32, high: f32) -> f64 {
    fn ratio(values: impl Iterator<Item = (f32, u64)> + Clone, low: f32, high: f32) -> f64 {
        deviation(values.clone()) / deviation(values.map(|(v, count)| (v.clamp(low, high), count)))
    }
    match &known.counts {
        Some(counts) => ratio(counts.each(), low, high),
        None => ratio(volume.voxels().iter().map(|v| (*v, 1)), low, high),
    }
}

/// The standard deviation of values that are there so often.
fn deviation(values: impl Iterator<Item = (f32, u64)> + Clone) -> f64 {
    let n = values.clone().map(|(_, count)| count).sum::<u64>() as f64;
    let mean = values.clone().map(|(v, count)| f64::from(v) * count as f64).sum::<f64>() / n;
    (values.map(|(v, count)| (f64::from(v) - mean).powi(2) * count as f64).sum::<f64>() / n).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of 32 × 32 × 24 voxels of 0 to 199, changed.
    fn check(normalization: Normalization, change: impl Fn(usize, f32) -> f32, expected: Option<&str>) {
        let geometry = Geometry::axis_aligned([32, 32, 24], [1.0; 3]).unwrap();
        let voxels = (0..geometry.voxel_count()).map(|at| change(at, (at * 7919 % 200) as f32)).collect();
        let volume = Volume::new(geometry, voxels).unwrap();
        let said = outliers(&volume, &Distribution::of(volume.voxels()), normalization);
        assert_eq!(said.is_some(), expected.is_some(), "{said:?}");
        assert!(said.unwrap_or_default().contains(expected.unwrap_or_default()));
    }

    #[test]
    fn a_voxel_that_ruins_the_contrast_is_named() {
        let hot = |at: usize, v: f32| if at == 33 { 1e6 } else { v };
        check(Normalization::ZScore, |_, v| v, None);
        check(Normalization::ZScore, hot, Some("voxel [1, 1, 0] is 1000000"));
        check(Normalization::ZScore, |at, v| if at == 0 { -3e4 } else { v }, Some("voxel [0, 0, 0] is -30000"));
        check(Normalization::ZScore, |at, v| if at == 33 { 400.0 } else { v }, None);
        check(Normalization::ZScore, |at, v| if at < 12_000 { 0.0 } else { v }, None);
        check(Normalization::Rescale, hot, Some("voxel [1, 1, 0]"));
        check(Normalization::Rescale, |_, v| v, None);
        check(Normalization::Ct, hot, None);
        check(Normalization::ZScore, |_, _| 7.0, None);
    }
}
