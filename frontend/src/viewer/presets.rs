//! Windows to choose from.

use shared::api::ImageInfo;
use shared::intensity::Window;

/// What a channel's voxels say about it, once they are here.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Seen {
    /// Lowest and highest intensity.
    pub(crate) range: [f32; 2],
    /// Its intensities are Hounsfield units.
    pub(crate) is_ct: bool,
}

impl Seen {
    /// Looks at a channel's voxels; nothing of an empty one.
    pub(crate) fn new(image: &ImageInfo, voxels: &[u16]) -> Option<Self> {
        let (lowest, highest) = (voxels.iter().min()?, voxels.iter().max()?);
        let intensity = |voxel: &u16| image.minimum + image.step * f32::from(*voxel);
        // Any step that is prime to most row lengths.
        let step = (voxels.len() / 100_000).max(1) | 1;
        let sample: Vec<f32> = voxels.iter().step_by(step).map(intensity).collect();
        Some(Self { range: [intensity(lowest), intensity(highest)], is_ct: is_hounsfield(&sample) })
    }
}

/// The window in which soft tissue of a computed tomography is read.
pub(crate) const SOFT_TISSUE: Window = Window { centre: 40.0, width: 400.0 };

/// Whether intensities (any sample, padding included) are Hounsfield units: whole numbers, with air near -1000 and soft
/// tissue near 0.
fn is_hounsfield(sample: &[f32]) -> bool {
    let finite = || sample.iter().filter(|value| value.is_finite());
    let count = finite().count();
    let share = |low: f32, high: f32| {
        finite().filter(|value| (low..=high).contains(*value)).count() as f64 / count.max(1) as f64
    };
    // A rescaled file may hold fractions; most of a scanner's values are whole.
    let whole = finite().filter(|value| value.fract() == 0.0).count() as f64 / count.max(1) as f64;
    whole > 0.9 && share(-1100.0, -900.0) > 0.02 && share(-150.0, 250.0) > 0.02 && share(-4096.0, 4096.0) > 0.98
}

fn full_range([lowest, highest]: [f32; 2]) -> Window {
    if highest > lowest {
        Window::new(lowest / 2.0 + highest / 2.0, highest - lowest)
    } else {
        Window::new(lowest, 1.0)
    }
}

/// Named windows for a channel: the suggested one first. Computed tomography has windows that every reader knows by
/// name, since its intensities are Hounsfield units; for other channels only relative ones make sense.
pub(crate) fn presets(image: &ImageInfo, seen: Option<Seen>) -> Vec<(&'static str, Window)> {
    let auto = image.window;
    let is_named_ct = image.channel.to_uppercase().split(|c: char| !c.is_alphanumeric()).any(|word| word == "CT");
    let full = image.full.or(seen.map(|seen| full_range(seen.range))).map(|full| ("Full range", full));
    let others = if is_named_ct || seen.is_some_and(|seen| seen.is_ct) {
        vec![
            ("Soft tissue", SOFT_TISSUE),
            ("Brain", Window::new(40.0, 80.0)),
            ("Lung", Window::new(-600.0, 1500.0)),
            ("Bone", Window::new(400.0, 1800.0)),
        ]
    } else {
        vec![
            ("More contrast", Window::new(auto.centre, auto.width * 0.6)),
            ("Less contrast", Window::new(auto.centre, auto.width * 1.6)),
        ]
    };
    [("Auto", auto)].into_iter().chain(others).chain(full).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(channel: &str, minimum: f32, step: f32) -> ImageInfo {
        ImageInfo {
            channel: channel.into(),
            minimum,
            step,
            window: Window::new(5.0, 10.0),
            full: None,
            warnings: Vec::new(),
        }
    }

    #[test]
    fn only_ct_has_named_windows() {
        fn check(channel: &str, is_ct: bool, expected: &[&str]) {
            let seen = Seen { range: [0.0, 9.0], is_ct };
            assert_eq!(
                presets(&image(channel, 0.0, 1.0), Some(seen)).iter().map(|(name, _)| *name).collect::<Vec<_>>(),
                expected
            );
        }
        check("CT", false, &["Auto", "Soft tissue", "Brain", "Lung", "Bone", "Full range"]);
        check("portal venous", true, &["Auto", "Soft tissue", "Brain", "Lung", "Bone", "Full range"]);
        check("MRI", false, &["Auto", "More contrast", "Less contrast", "Full range"]);
        check("PETCTX", false, &["Auto", "More contrast", "Less contrast", "Full range"]);
    }

    #[test]
    fn the_full_range_is_what_the_voxels_span() {
        fn check(minimum: f32, step: f32, voxels: &[u16], expected: Window) {
            let image = image("MRI", minimum, step);
            let windows = presets(&image, Seen::new(&image, voxels));
            assert_eq!(windows.last().unwrap(), &("Full range", expected));
        }
        // Whole numbers are packed as they are, so that most of the 16 bits are empty.
        check(-24.0, 1.0, &[0, 3, 124], Window::new(38.0, 124.0));
        check(0.0, 0.5, &[2, 2, 4], Window::new(1.5, 1.0));
        assert_eq!(Seen::new(&image("MRI", 0.0, 1.0), &[]), None);
        // What the server has counted includes what the packing has clamped.
        let told = ImageInfo { full: Some(Window::new(50.0, 100.0)), ..image("MRI", 0.0, 1.0) };
        assert_eq!(presets(&told, Seen::new(&told, &[1, 2])).last().unwrap().1, Window::new(50.0, 100.0));
    }

    #[test]
    fn hounsfield_units_are_known_by_their_values() {
        let image = image("a", -1024.0, 1.0);
        let voxels: Vec<u16> =
            (0..9000_u16).map(|at| if at % 3 == 0 { 10 + at % 40 } else { 1000 + at % 150 }).collect();
        assert!(Seen::new(&image, &voxels).unwrap().is_ct);
    }
}
