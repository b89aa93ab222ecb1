//! From intensities to grey: windows, and a good first window for any scan.

mod counts;
mod quantiles;

use serde::{Deserialize, Serialize};

pub use counts::Counts;
pub use quantiles::Quantiles;

/// The intensities that are spread from black to white.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Window {
    /// Middle grey.
    pub centre: f32,
    /// White minus black; always positive.
    pub width: f32,
}

/// Percentiles that become black and white.
const DARK: f32 = 0.5;
const BRIGHT: f32 = 99.5;

impl Window {
    /// A window; a width that is not positive and finite becomes the smallest usable one.
    pub fn new(centre: f32, width: f32) -> Self {
        let centre = if centre.is_finite() { centre } else { 0.0 };
        let width = if width.is_finite() { width.max(f32::MIN_POSITIVE) } else { 1.0 };
        Self { centre, width }
    }

    /// A window in which tissue is visible: black and white are percentiles of all voxels that are not background or
    /// padding (see [`Quantiles`]), so that neither a padded edge nor a hot voxel decides, and few voxels that are not
    /// zero suffice.
    pub fn automatic(intensities: &[f32]) -> Self {
        Self::of(&Quantiles::of(intensities))
    }

    /// As [`Window::automatic`], from quantiles that are known.
    pub fn of(quantiles: &Quantiles) -> Self {
        let between = |black: f32, white: f32| (white > black).then(|| Self::between(black, white));
        between(quantiles.content(DARK), quantiles.content(BRIGHT))
            .or_else(|| between(quantiles.minimum(), quantiles.maximum()))
            .unwrap_or_else(|| Self::new(quantiles.minimum(), 1.0))
    }

    /// The window from the smallest to the largest intensity.
    pub fn full(quantiles: &Quantiles) -> Self {
        let (black, white) = (quantiles.minimum(), quantiles.maximum());
        if white > black { Self::between(black, white) } else { Self::new(black, 1.0) }
    }

    /// The window whose black and white are the given percentiles (0 to 100) of the finite intensities. A constant or
    /// empty input gives a window of width 1 around it.
    pub fn from_percentiles(intensities: &[f32], low: f32, high: f32) -> Self {
        let quantiles = Quantiles::of(intensities);
        let (black, white) = (quantiles.all(low), quantiles.all(high));
        if white > black { Self::between(black, white) } else { Self::new(black, 1.0) }
    }

    /// From black to white, whose difference may be beyond f32.
    fn between(black: f32, white: f32) -> Self {
        Self::new(black / 2.0 + white / 2.0, (white - black).min(f32::MAX))
    }

    /// Grey of an intensity, 0 (black) to 255 (white).
    pub fn grey(&self, intensity: f32) -> u8 {
        let black = self.centre - self.width / 2.0;
        ((intensity - black) / self.width * 255.0).clamp(0.0, 255.0).round() as u8
    }
}

/// How intensities are packed into 16 bits: `intensity = minimum + step * voxel`. Whole numbers that span less than
/// 65,536 are kept exactly (all CT and nearly all MR); others to within half of 1/65,535 of their span. Where a few hot
/// or cold voxels would leave the content with fewer than 4,096 levels, these are clamped.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Packing {
    /// Intensity of voxel value 0.
    pub minimum: f32,
    /// Intensity difference between neighbouring voxel values; always positive.
    pub step: f32,
}

/// Of the 65,536 packed values at least this many fall between the robust limits of the content, or what lies far
/// outside is clamped.
const GREY_LEVELS: f64 = 4096.0;

impl Packing {
    /// How these finite intensities, whose quantiles are known, are packed.
    pub fn of(intensities: &[f32], quantiles: &Quantiles) -> Self {
        let (minimum, maximum) = (quantiles.minimum(), quantiles.maximum());
        if minimum >= maximum || intensities.is_empty() {
            return Self { minimum, step: 1.0 };
        }
        // In f64: the span of two finite f32 may be infinite in f32.
        let largest = f64::from(u16::MAX);
        let span = f64::from(maximum) - f64::from(minimum);
        let whole = span <= largest && intensities.iter().all(|v| v.fract() == 0.0);
        let (low, high) = if whole { (f64::from(minimum), f64::from(maximum)) } else { robust_limits(quantiles) };
        let step = if whole { 1.0 } else { ((high - low) / largest) as f32 };
        Self { minimum: low as f32, step: if step > 0.0 { step } else { f32::from_bits(1) } }
    }

    /// An intensity, packed.
    pub fn pack(self, intensity: f32) -> u16 {
        let steps = (f64::from(intensity) - f64::from(self.minimum)) / f64::from(self.step);
        steps.round().clamp(0.0, f64::from(u16::MAX)) as u16
    }
}

/// Everything that is there, unless that would leave the content with too few levels: then the content with as much
/// again on both sides.
fn robust_limits(quantiles: &Quantiles) -> (f64, f64) {
    let (minimum, maximum) = (f64::from(quantiles.minimum()), f64::from(quantiles.maximum()));
    let (low, high) = (f64::from(quantiles.content(0.1)), f64::from(quantiles.content(99.9)));
    let content = high - low;
    if content <= 0.0 || content / (maximum - minimum) >= GREY_LEVELS / f64::from(u16::MAX) {
        return (minimum, maximum);
    }
    ((low - content).max(minimum), (high + content).min(maximum))
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
        let window = Window::from_percentiles(&intensities, 10.0, 90.0);
        assert!((window.centre - 50.0).abs() < 0.5 && (window.width - 80.0).abs() < 1.0, "{window:?}");
        assert_eq!(Window::from_percentiles(&[7.0; 5], 1.0, 99.0), Window::new(7.0, 1.0));
        assert_eq!(Window::from_percentiles(&[], 1.0, 99.0), Window::new(0.0, 1.0));
    }

    fn packing(intensities: &[f32]) -> Packing {
        Packing::of(intensities, &Quantiles::of(intensities))
    }

    #[test]
    fn whole_numbers_are_packed_exactly() {
        fn check(intensities: &[f32], minimum: f32, expected: &[u16]) {
            let packing = packing(intensities);
            assert_eq!(packing, Packing { minimum, step: 1.0 });
            assert_eq!(intensities.iter().map(|v| packing.pack(*v)).collect::<Vec<_>>(), expected);
        }
        check(&[-1024.0, 0.0, 3071.0], -1024.0, &[0, 1024, 4095]);
        check(&[5.0; 2], 5.0, &[0, 0]);
        check(&[], 0.0, &[]);
        assert!(packing(&[f32::MIN, f32::MAX]).step.is_finite());
    }

    /// A scan of 64 × 50 × 40 whose tissue runs from 100 to 300 times `unit` amid air, changed.
    fn scan(unit: f32, change: impl Fn(usize, f32) -> f32) -> Vec<f32> {
        let tissue = |at: usize| (at / 64 % 50 > 10).then_some(100.0 + (at * 7919 % 200) as f32);
        (0..64 * 50 * 40).map(|at| change(at, unit * tissue(at).unwrap_or((at % 13) as f32))).collect()
    }

    #[test]
    fn tissue_is_visible_whatever_else_is_there() {
        #[track_caller]
        fn check(name: &str, intensities: &[f32], low: f32, high: f32) {
            let window = Window::automatic(intensities);
            let spread = i32::from(window.grey(high)) - i32::from(window.grey(low));
            assert!(spread >= 100, "{name}: {window:?} shows {low} to {high} in {spread} greys");
            let packed = packing(intensities);
            let levels = (high - low) / packed.step;
            assert!(levels >= 150.0 || packed.step == 1.0, "{name}: {levels} levels are left");
        }
        check("plain", &scan(1.0, |_, v| v), 100.0, 300.0);
        check("padded column", &scan(1.0, |at, v| if at % 64 < 3 { -3024.0 } else { v }), 100.0, 300.0);
        check("padded most", &scan(1.0, |at, v| if at % 64 < 50 { -1000.0 } else { v }), 100.0, 300.0);
        check("bright padding", &scan(1.0, |at, v| if at % 64 < 20 { 32767.0 } else { v }), 100.0, 300.0);
        check("hot voxel", &scan(1.0, |at, v| if at == 777 { 1e9 } else { v }), 100.0, 300.0);
        check("cold voxel", &scan(1.0, |at, v| if at == 777 { -3e38 } else { v }), 100.0, 300.0);
        check(
            "both",
            &scan(1.0, |at, v| {
                [v + 0.25, 1e30, -1e30][[777, 778].iter().position(|hot| *hot == at).map_or(0, |i| i + 1)]
            }),
            100.0,
            300.0,
        );
        check("few", &scan(1.0, |at, v| if at % 400 == 0 { 100.0 + v } else { 0.0 }), 100.0, 400.0);
        check("shares", &scan(1.0 / 300.0, |_, v| v), 100.0 / 300.0, 1.0);
        check("tiny", &scan(1e-9, |_, v| v), 1e-7, 3e-7);
        check("huge", &scan(1e30, |_, v| v), 1e32, 3e32);
        check("mask", &scan(1.0, |at, _| f32::from(at % 400 == 0)), 0.0, 1.0);
    }

    proptest::proptest! {
        #[test]
        fn packed_intensities_come_back_within_half_a_step_or_are_clamped_for_the_content(
            intensities in proptest::collection::vec(-1e6_f32..1e6, 1..200),
        ) {
            let (packed, quantiles) = (packing(&intensities), Quantiles::of(&intensities));
            let step = f64::from(packed.step);
            let (low, high) = (f64::from(packed.minimum), f64::from(packed.minimum) + step * f64::from(u16::MAX));
            for before in &intensities {
                let after = low + step * f64::from(packed.pack(*before));
                // Half a step, and what f32 rounds the step itself by over 65,535 steps.
                proptest::prop_assert!((after - f64::from(*before).clamp(low, high)).abs() <= step * 0.51);
            }
            let (minimum, maximum) = (f64::from(quantiles.minimum()), f64::from(quantiles.maximum()));
            if low > minimum + step || high < maximum - step {
                let content = f64::from(quantiles.content(99.9)) - f64::from(quantiles.content(0.1));
                let levels = content / (maximum - minimum) * f64::from(u16::MAX);
                proptest::prop_assert!(levels < GREY_LEVELS, "clamped, though the content had {} levels", levels);
            }
        }
    }
}
