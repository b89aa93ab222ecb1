//! Windows to choose from.

use shared::api::ImageInfo;
use shared::intensity::Window;

/// Named windows for a channel: the suggested one first. Computed tomography has windows that every reader knows by name, since its intensities are
/// Hounsfield units; for other channels only relative ones make sense.
pub(crate) fn presets(image: &ImageInfo) -> Vec<(&'static str, Window)> {
    let auto = image.window;
    let highest = image.minimum + image.step * f32::from(u16::MAX);
    let full = image.full.unwrap_or_else(|| Window::new((image.minimum + highest) / 2.0, highest - image.minimum));
    let is_ct = image.channel.to_uppercase().split(|c: char| !c.is_alphanumeric()).any(|word| word == "CT");
    let others = if is_ct {
        vec![
            ("Soft tissue", Window::new(40.0, 400.0)),
            ("Brain", Window::new(40.0, 80.0)),
            ("Lung", Window::new(-600.0, 1500.0)),
            ("Bone", Window::new(400.0, 1800.0)),
        ]
    } else {
        vec![
            ("More contrast", Window::new(auto.centre, auto.width * 0.6)),
            ("Less contrast", Window::new(auto.centre, auto.width * 1.6)),
            ("Full range", full),
        ]
    };
    [("Auto", auto)].into_iter().chain(others).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ct_has_named_windows() {
        fn check(channel: &str, expected: &[&str]) {
            let image = ImageInfo {
                channel: channel.into(),
                minimum: 0.0,
                step: 1.0,
                window: Window::new(5.0, 10.0),
                full: None,
                warnings: Vec::new(),
            };
            assert_eq!(presets(&image).iter().map(|(name, _)| *name).collect::<Vec<_>>(), expected);
        }
        check("CT", &["Auto", "Soft tissue", "Brain", "Lung", "Bone"]);
        check("MRI", &["Auto", "More contrast", "Less contrast", "Full range"]);
        check("PETCTX", &["Auto", "More contrast", "Less contrast", "Full range"]);
    }
}
