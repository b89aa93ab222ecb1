//! Growing and shrinking the chosen label by a voxel.

use shared::label::{BACKGROUND, Label};

use super::{Card, Change, Plate, SIDES};

/// Every background voxel beside the label joins it. Other labels stay.
pub(super) struct Grow;

/// Every voxel of the label beside background becomes background.
pub(super) struct Shrink;

impl Change for Grow {
    fn card(&self) -> &'static Card {
        &Card {
            id: "grow",
            name: "Grow",
            about: "Grows the chosen label by a voxel, into background",
            is_offered: false,
        }
    }

    fn apply(&self, plate: &Plate<'_>) -> Result<Vec<Label>, &'static str> {
        Ok(replaced(plate, BACKGROUND, plate.label))
    }
}

impl Change for Shrink {
    fn card(&self) -> &'static Card {
        &Card {
            id: "shrink",
            name: "Shrink",
            about: "Shrinks the chosen label by a voxel, where background lies beside it",
            is_offered: false,
        }
    }

    fn apply(&self, plate: &Plate<'_>) -> Result<Vec<Label>, &'static str> {
        Ok(replaced(plate, plate.label, BACKGROUND))
    }
}

/// Voxels `from` beside voxels `to` become `to`.
fn replaced(plate: &Plate<'_>, from: Label, to: Label) -> Vec<Label> {
    let becomes = |(offset, &label): (usize, &Label)| {
        let is_beside = || SIDES.into_iter().any(|side| plate.label_beside(offset, side) == Some(to));
        if label == from && is_beside() { to } else { label }
    };
    plate.labels.iter().enumerate().map(becomes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::annotate::edits::pictures::check;

    #[test]
    fn the_label_grows_into_background_only() {
        check(&Grow, &[".....", "..1..", "...2.", "....."], &["..1..", ".111.", "..12.", "....."]);
        check(&Grow, &["1..", "..."], &["11.", "1.."]);
    }

    #[test]
    fn the_label_shrinks_from_background_only() {
        check(&Shrink, &["11112", "11112", "11112", "....."], &["11112", "11112", "....2", "....."]);
        check(&Shrink, &[".1.", "111", ".1."], &["...", ".1.", "..."]);
    }
}
