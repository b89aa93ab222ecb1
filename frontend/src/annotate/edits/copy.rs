//! Copying the labels of the plane before or after this one, as they are shown there.

use shared::label::Label;

use super::{Card, Change, Plate};

/// From the plane of the next lower index.
pub(super) struct CopyPrevious;

/// From the plane of the next higher index.
pub(super) struct CopyNext;

impl Change for CopyPrevious {
    fn card(&self) -> &'static Card {
        &Card {
            id: "copy-previous",
            name: "Copy from before",
            about: "Offers the labels of the plane before this one",
            is_offered: true,
        }
    }

    fn apply(&self, plate: &Plate<'_>) -> Result<Vec<Label>, &'static str> {
        plate.adjacent[0].map(<[Label]>::to_vec).ok_or("There is no plane before this one.")
    }
}

impl Change for CopyNext {
    fn card(&self) -> &'static Card {
        &Card {
            id: "copy-next",
            name: "Copy from after",
            about: "Offers the labels of the plane after this one",
            is_offered: true,
        }
    }

    fn apply(&self, plate: &Plate<'_>) -> Result<Vec<Label>, &'static str> {
        plate.adjacent[1].map(<[Label]>::to_vec).ok_or("There is no plane after this one.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::annotate::edits::pictures::check_beside;

    #[test]
    fn the_labels_beside_are_offered() {
        check_beside(&CopyPrevious, &["11", ".."], [Some((1, &["2.", ".1"])), None], &["2.", ".1"]);
        check_beside(&CopyNext, &["11", ".."], [None, Some((1, &["22", "22"]))], &["22", "22"]);
    }
}
