//! Smoothing: every voxel takes the label that most of the nine around it hold. Corners and hairs of a voxel go,
//! straight edges stay.

use shared::label::Label;

use super::{Card, Change, Plate};

/// See the module.
pub(super) struct Smooth;

/// Of nine voxels, as many have to agree.
const MOST: usize = 5;

impl Change for Smooth {
    fn card(&self) -> &'static Card {
        &Card { id: "smooth", name: "Smooth", about: "Smooths the outlines of this plane", is_offered: false }
    }

    fn apply(&self, plate: &Plate<'_>) -> Result<Vec<Label>, &'static str> {
        let around = || (-1..=1).flat_map(|dv| (-1..=1).map(move |du| [du, dv]));
        let becomes = |(offset, &own): (usize, &Label)| {
            let holding =
                |label: Label| around().filter(|step| plate.label_beside(offset, *step) == Some(label)).count();
            let there = around().filter(|step| plate.label_beside(offset, *step).is_some()).count();
            // At the plane's edge fewer than nine are there.
            let is_most = |count: usize| count * 9 >= MOST * there;
            if is_most(holding(own)) {
                return own;
            }
            let labels = || around().filter_map(|step| plate.label_beside(offset, step));
            labels().find(|label| is_most(holding(*label))).unwrap_or(own)
        };
        Ok(plate.labels.iter().enumerate().map(becomes).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::annotate::edits::pictures::check;

    #[test]
    fn hairs_and_holes_go() {
        check(
            &Smooth,
            &["......", "..1...", ".111..", ".1111.", ".111..", "......"],
            &["......", "......", ".111..", ".111..", "..11..", "......"],
        );
        check(&Smooth, &["11111", "11.11", "11111"], &["11111", "11111", "11111"]);
    }

    #[test]
    fn straight_edges_stay() {
        check(&Smooth, &["..11", "..11", "..11", "..11"], &["..11", "..11", "..11", "..11"]);
    }
}
