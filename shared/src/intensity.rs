//! From intensities to grey: windows, and a good first window for any scan.

use serde::{Deserialize, Serialize};

/// The intensities that are spread from black to white.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Window {
    /// Middle grey.
    pub centre: f32,
    /// White minus black; always positive.
    pub width: f32,
}

impl Window {
    /// A window; a width that is not positive and finite becomes the smallest usable one.
    pub fn new(centre: f32, width: f32) -> Self {
        let centre = if centre.is_finite() { centre } else { 0.0 };
        let width = if width.is_finite() { width.max(1e-6) } else { 1.0 };
        Self { centre, width }
    }

    /// The window whose black and white are the given percentiles (0 to 100) of the finite intensities. A constant or empty input gives a window of
    /// width 1 around it.
    pub fn from_percentiles(intensities: &[f32], low: f32, high: f32) -> Self {
        // Every scan is larger than what a percentile needs; 200,000 evenly spaced samples keep this under a few milliseconds.
        let step = (intensities.len() / 200_000).max(1);
        let mut sample: Vec<f32> = intensities.iter().step_by(step).copied().filter(|v| v.is_finite()).collect();
        sample.sort_unstable_by(f32::total_cmp);
        let at = |percent: f32| {
            let last = sample.len().saturating_sub(1);
            let position = (percent.clamp(0.0, 100.0) / 100.0 * last as f32).round() as usize;
            sample.get(position).copied().unwrap_or(0.0)
        };
        let (black, white) = (at(low), at(high));
        if white > black { Self::new((black + white) / 2.0, white - black) } else { Self::new(black, 1.0) }
    }

    /// Grey of an intensity, 0 (black) to 255 (white).
    pub fn grey(&self, intensity: f32) -> u8 {
        let black = self.centre - self.width / 2.0;
        ((intensity - black) / self.width * 255.0).clamp(0.0, 255.0).round() as u8
    }
}

/// Intensities packed into 16 bits: `intensity = minimum + step * voxel`.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantised {
    /// Intensity of voxel value 0.
    pub minimum: f32,
    /// Intensity difference between neighbouring voxel values; always positive.
    pub step: f32,
    /// The packed voxels.
    pub voxels: Vec<u16>,
}

impl Quantised {
    /// Packs finite intensities. Whole numbers that span less than 65,536 are kept exactly (all CT and nearly all MR); others to within half of
    /// 1/65,535 of their span.
    pub fn new(intensities: &[f32]) -> Self {
        let (minimum, maximum) = intensities.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &v| (low.min(v), high.max(v)));
        if minimum >= maximum || intensities.is_empty() {
            return Self { minimum: if minimum.is_finite() { minimum } else { 0.0 }, step: 1.0, voxels: vec![0; intensities.len()] };
        }
        // In f64: the span of two finite f32 may be infinite in f32.
        let span = f64::from(maximum) - f64::from(minimum);
        let largest = f64::from(u16::MAX);
        let whole = span <= largest && intensities.iter().all(|v| v.fract() == 0.0);
        let step = if whole { 1.0 } else { (span / largest) as f32 };
        let step = if step > 0.0 { step } else { f32::MIN_POSITIVE };
        let pack = |&v: &f32| ((f64::from(v) - f64::from(minimum)) / f64::from(step)).round().clamp(0.0, largest) as u16;
        Self { minimum, step, voxels: intensities.iter().map(pack).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grey_runs_from_black_to_white() {
        fn check(intensity: f32, expected: u8) {
            assert_eq!(Window::new(40.0, 400.0).grey(intensity), expected);
        }
        check(-160.0, 0);
        check(-1000.0, 0);
        check(40.0, 128);
        check(240.0, 255);
        check(3000.0, 255);
        check(f32::NAN, 0);
    }

    #[test]
    fn percentiles_ignore_what_is_not_finite() {
        let intensities: Vec<f32> = (0..=100).map(|i| i as f32).chain([f32::NAN, f32::INFINITY]).collect();
        assert_eq!(Window::from_percentiles(&intensities, 10.0, 90.0), Window::new(50.0, 80.0));
        assert_eq!(Window::from_percentiles(&[7.0; 5], 1.0, 99.0), Window::new(7.0, 1.0));
        assert_eq!(Window::from_percentiles(&[], 1.0, 99.0), Window::new(0.0, 1.0));
    }

    #[test]
    fn whole_numbers_are_packed_exactly() {
        let packed = Quantised::new(&[-1024.0, 0.0, 3071.0]);
        assert_eq!(packed, Quantised { minimum: -1024.0, step: 1.0, voxels: vec![0, 1024, 4095] });
        assert_eq!(Quantised::new(&[5.0; 2]), Quantised { minimum: 5.0, step: 1.0, voxels: vec![0, 0] });
        assert_eq!(Quantised::new(&[]).voxels, []);
        assert!(Quantised::new(&[f32::MIN, f32::MAX]).step.is_finite());
    }

    proptest::proptest! {
        #[test]
        fn packed_intensities_come_back_within_half_a_step(intensities in proptest::collection::vec(-1e6_f32..1e6, 1..200)) {
            let packed = Quantised::new(&intensities);
            for (before, voxel) in intensities.iter().zip(&packed.voxels) {
                let after = f64::from(packed.minimum) + f64::from(packed.step) * f64::from(*voxel);
                // Half a step, and what f32 rounds the step itself by over 65,535 steps.
                proptest::prop_assert!((after - f64::from(*before)).abs() <= f64::from(packed.step) * 0.51);
            }
        }
    }
}
