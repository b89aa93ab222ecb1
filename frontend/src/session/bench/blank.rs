//! Blank start: a slice is shown without its presegmentation, so that the eye is not led by it. What is drawn is drawn
//! on background; the presegmentation comes when it is asked for.

use shared::geometry::Plane;
use shared::label::{BACKGROUND, Label};

use super::Bench;
use crate::annotate::history::{Step, difference};

/// Which slices begin blank.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum BlankStart {
    /// None.
    #[default]
    Never,
    /// All that have not been worked on.
    Always,
    /// A quarter of them, chosen by chance and always the same.
    Sometimes,
}

impl BlankStart {
    /// All, with their words.
    pub(crate) const ALL: [(Self, &str); 3] =
        [(Self::Never, "never"), (Self::Sometimes, "one slice in four"), (Self::Always, "every new slice")];

    fn begins(self, case: &str, plane: Plane) -> bool {
        match self {
            Self::Never => false,
            Self::Always => true,
            // Everybody who sees the case begins the same slices blank.
            Self::Sometimes => chance(&format!("{case} {plane}")).is_multiple_of(4),
        }
    }
}

/// FNV-1a, mixed so that its last bits depend on all of the text.
fn chance(text: &str) -> u64 {
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    (hash ^ (hash >> 32)) >> 7
}

impl Bench {
    /// A slice is gone to: it begins blank if it is to, and nothing has been said of it.
    pub(crate) fn begin_blank(&mut self, plane: Plane, start: BlankStart) {
        let is_new = !self.corrections.contains_key(&plane) && !self.revealed.contains(&plane);
        if is_new && start.begins(self.visit.case.as_str(), plane) {
            self.blank.insert(plane);
        } else if is_new {
            self.blank.remove(&plane);
        }
    }

    /// Background, with what was painted in planes that cross.
    pub(super) fn blank_labels(&self, plane: Plane) -> Option<Vec<Label>> {
        let mut labels = vec![BACKGROUND; self.version_labels(self.latest()?, plane)?.len()];
        self.write_crossing(plane, &mut labels);
        Some(labels)
    }

    /// The presegmentation is asked for: it comes where nothing was drawn. Returns the step, if something was.
    pub(crate) fn reveal(&mut self, plane: Plane) -> Option<Step> {
        if !self.blank.remove(&plane) {
            return None;
        }
        self.revealed.insert(plane);
        let segmented = self.labels_across(plane)?;
        let correction = self.corrections.get_mut(&plane)?;
        let drawn = correction.labels.iter().zip(segmented);
        let both: Vec<Label> =
            drawn.map(|(drawn, segmented)| if *drawn == BACKGROUND { segmented } else { *drawn }).collect();
        let step = difference(plane, &correction.labels, &both)?;
        step.apply(&mut correction.labels);
        Some(step)
    }
}

#[cfg(test)]
mod tests {
    use shared::api::PRESEGMENTATION;
    use shared::geometry::Axis;

    use super::super::detail_for_test;
    use super::*;
    use crate::session::visit::Door;

    const PLANE: Plane = Plane { axis: Axis::Axial, index: 1 };

    fn bench() -> Bench {
        let mut bench = Bench::new(Door::default().open("c".into()), detail_for_test());
        bench.segmentations.insert(PRESEGMENTATION.into(), vec![1; 27]);
        bench
    }

    #[test]
    fn a_quarter_begins_blank_and_always_the_same() {
        let planes = (0..1000).map(|index| Plane { axis: Axis::Coronal, index });
        let blank: Vec<usize> =
            planes.filter(|plane| BlankStart::Sometimes.begins("c", *plane)).map(|plane| plane.index).collect();
        assert!((200..300).contains(&blank.len()), "{}", blank.len());
        assert!(blank.windows(2).any(|pair| pair[1] - pair[0] > 8), "by chance, not one in every four");
    }

    #[test]
    fn what_is_drawn_on_blank_stays_and_the_presegmentation_comes_when_asked_for() {
        let mut bench = bench();
        bench.begin_blank(PLANE, BlankStart::Always);
        assert_eq!(bench.current_labels(PLANE).unwrap(), [0; 9]);
        bench.correction_mut(PLANE).unwrap().labels[4] = 2;
        bench.begin_blank(PLANE, BlankStart::Always);
        assert_eq!(bench.current_labels(PLANE).unwrap(), [0, 0, 0, 0, 2, 0, 0, 0, 0]);
        let step = bench.reveal(PLANE).unwrap();
        assert_eq!(bench.current_labels(PLANE).unwrap(), [1, 1, 1, 1, 2, 1, 1, 1, 1]);
        step.revert(&mut bench.corrections.get_mut(&PLANE).unwrap().labels);
        assert_eq!(bench.current_labels(PLANE).unwrap(), [0, 0, 0, 0, 2, 0, 0, 0, 0]);
        assert_eq!(bench.reveal(PLANE), None, "asked for once");
    }

    #[test]
    fn a_slice_that_was_revealed_does_not_go_blank_again() {
        let mut bench = bench();
        bench.begin_blank(PLANE, BlankStart::Always);
        assert_eq!(bench.reveal(PLANE), None, "nothing was drawn");
        assert_eq!(bench.current_labels(PLANE).unwrap(), [1; 9]);
        bench.begin_blank(PLANE, BlankStart::Always);
        assert_eq!(bench.current_labels(PLANE).unwrap(), [1; 9]);
        let other = Plane { index: 2, ..PLANE };
        bench.begin_blank(other, BlankStart::Always);
        bench.begin_blank(other, BlankStart::Never);
        assert_eq!(bench.current_labels(other).unwrap(), [1; 9]);
    }
}
