//! Edits of a whole plane at once. An edit is one file here and one row in [`EDITS`]. What comes from elsewhere than
//! the plane itself is offered first: nothing is written silently.

mod copy;
mod grow;
mod interpolate;
mod smooth;

use shared::label::Label;

use super::stencil::PlaneGrid;

/// All edits, in the order in which they are shown.
pub(crate) const EDITS: &[Edit] = &[
    Edit(&grow::Grow),
    Edit(&grow::Shrink),
    Edit(&smooth::Smooth),
    Edit(&copy::CopyPrevious),
    Edit(&copy::CopyNext),
    Edit(&interpolate::Interpolate),
];

/// One of [`EDITS`].
#[derive(Clone, Copy)]
pub(crate) struct Edit(&'static dyn Change);

/// What the page says about an edit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Card {
    /// Stable word: `grow`.
    pub(crate) id: &'static str,
    /// Its name.
    pub(crate) name: &'static str,
    /// What it does.
    pub(crate) about: &'static str,
    /// Whether it is shown before it is done.
    pub(crate) is_offered: bool,
}

/// A plane that the expert has corrected, parallel to the one that is edited.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Neighbour<'a> {
    /// Planes between it and the one that is edited, plus one.
    pub(crate) distance: usize,
    /// Its labels, u fastest.
    pub(crate) labels: &'a [Label],
}

/// What an edit works on.
#[derive(Clone, Copy)]
pub(crate) struct Plate<'a> {
    /// The plane's voxels.
    pub(crate) grid: &'a PlaneGrid,
    /// Its labels, u fastest.
    pub(crate) labels: &'a [Label],
    /// The chosen label.
    pub(crate) label: Label,
    /// The planes before and after it, as they are shown.
    pub(crate) adjacent: [Option<&'a [Label]>; 2],
    /// The nearest planes before and after it that the expert has corrected.
    pub(crate) corrected: [Option<Neighbour<'a>>; 2],
}

/// What an edit does.
pub(crate) trait Change: Send + Sync {
    /// Its words.
    fn card(&self) -> &'static Card;

    /// The plane's labels after it.
    ///
    /// # Errors
    /// Why it cannot be done, in words for the person at the screen.
    fn apply(&self, plate: &Plate<'_>) -> Result<Vec<Label>, &'static str>;
}

impl Plate<'_> {
    /// The label of the voxel `du`, `dv` steps on, if it lies in the plane.
    fn label_beside(&self, offset: usize, [du, dv]: [isize; 2]) -> Option<Label> {
        let [columns, rows] = self.grid.dims;
        let (u, v) = ((offset % columns).checked_add_signed(du)?, (offset / columns).checked_add_signed(dv)?);
        (u < columns && v < rows).then(|| self.labels.get(u + v * columns).copied()).flatten()
    }
}

/// Steps to the four voxels that share an edge with one.
const SIDES: [[isize; 2]; 4] = [[-1, 0], [1, 0], [0, -1], [0, 1]];

impl std::ops::Deref for Edit {
    type Target = dyn Change;

    fn deref(&self) -> &Self::Target {
        self.0
    }
}

impl std::fmt::Debug for Edit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.card().id)
    }
}

#[cfg(test)]
mod pictures {
    //! Little pictures in which edits are tested: `.` is background, a digit its label.

    use super::*;

    pub(super) fn labels(rows: &[&str]) -> Vec<Label> {
        rows.concat().bytes().map(|cell| if cell == b'.' { 0 } else { cell - b'0' }).collect()
    }

    /// A picture with label 1 chosen, edited.
    #[track_caller]
    pub(super) fn check(edit: &dyn Change, before: &[&str], after: &[&str]) {
        check_beside(edit, before, [None, None], after);
    }

    /// The same beside corrected planes, each with its distance; at a distance of 1 they are the adjacent ones.
    #[track_caller]
    pub(super) fn check_beside(
        edit: &dyn Change,
        before: &[&str],
        beside: [Option<(usize, &[&str])>; 2],
        after: &[&str],
    ) {
        let grid = PlaneGrid { dims: [before[0].len(), before.len()], spacing_mm: [1.0; 2] };
        let beside = beside.map(|plane| plane.map(|(distance, rows)| (distance, labels(rows))));
        let plate = Plate {
            grid: &grid,
            labels: &labels(before),
            label: 1,
            adjacent: beside
                .each_ref()
                .map(|plane| plane.as_ref().filter(|(distance, _)| *distance == 1).map(|(_, labels)| &labels[..])),
            corrected: beside
                .each_ref()
                .map(|plane| plane.as_ref().map(|(distance, labels)| Neighbour { distance: *distance, labels })),
        };
        assert_eq!(edit.apply(&plate), Ok(labels(after)));
    }
}
