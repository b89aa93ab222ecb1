//! Voxels that are called otherwise than a segmentation calls them: what the expert decides about a whole volume, kept
//! as runs.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::label::{Label, LabelSet};

/// Runs `(first voxel, length, label)`, x fastest, ascending, none empty and none over another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(transparent)]
pub struct Patch(pub Vec<(u32, u32, Label)>);

/// Why a patch does not fit a volume.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PatchError {
    /// A run that is empty, lies outside, or begins before the one before it has ended.
    #[error("run {run} of the patch is empty, lies outside the volume of {voxels} voxels or over another run")]
    BadRun {
        /// Which, counted from 0.
        run: usize,
        /// The volume's size.
        voxels: usize,
    },
    /// A label that the task does not have.
    #[error("label {0} is not one of this task's labels")]
    UnknownLabel(Label),
}

impl Patch {
    /// What turns `from` into `to`; a voxel beyond the end of either is none.
    pub fn difference(from: &[Label], to: &[Label]) -> Self {
        let differing = from.iter().zip(to).enumerate().filter(|(_, (from, to))| from != to);
        Self::of(differing.map(|(at, (_, to))| (at as u32, *to)))
    }

    /// The patch of these voxels, which ascend.
    pub fn of(voxels: impl IntoIterator<Item = (u32, Label)>) -> Self {
        let mut runs: Vec<(u32, u32, Label)> = Vec::new();
        for (at, label) in voxels {
            match runs.last_mut() {
                Some((start, length, last)) if *last == label && *start + *length == at => *length += 1,
                _ => runs.push((at, 1, label)),
            }
        }
        Self(runs)
    }

    /// The voxels, ascending, with their labels.
    pub fn voxels(&self) -> impl Iterator<Item = (u32, Label)> + '_ {
        self.0
            .iter()
            .flat_map(|&(start, length, label)| (start..start.saturating_add(length)).map(move |at| (at, label)))
    }

    /// How many voxels there are.
    pub fn len(&self) -> u64 {
        self.0.iter().map(|(_, length, _)| u64::from(*length)).sum()
    }

    /// Whether nothing is called otherwise.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Writes the labels; returns the patch that takes them back.
    pub fn apply(&self, voxels: &mut [Label]) -> Self {
        let mut before = Vec::new();
        for (at, label) in self.voxels() {
            if let Some(voxel) = voxels.get_mut(at as usize) {
                before.push((at, std::mem::replace(voxel, label)));
            }
        }
        Self::of(before)
    }

    /// Checks it against a volume's size and a task's labels.
    ///
    /// # Errors
    /// [`PatchError`] of the first run that does not fit.
    pub fn check(&self, voxels: usize, allowed: &LabelSet) -> Result<(), PatchError> {
        let mut end = 0;
        for (run, &(start, length, label)) in self.0.iter().enumerate() {
            let next = u64::from(start) + u64::from(length);
            if length == 0 || u64::from(start) < end || next > voxels as u64 {
                return Err(PatchError::BadRun { run, voxels });
            }
            if !allowed.allows(label) {
                return Err(PatchError::UnknownLabel(label));
            }
            end = next;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::label::LabelInfo;

    #[test]
    fn a_patch_turns_one_volume_into_the_other_and_back() {
        fn check(from: &[Label], to: &[Label], runs: &[(u32, u32, Label)]) {
            let patch = Patch::difference(from, to);
            assert_eq!(patch.0, runs);
            let mut voxels = from.to_vec();
            let back = patch.apply(&mut voxels);
            assert_eq!(voxels, to);
            assert_eq!(back.len(), patch.len());
            back.apply(&mut voxels);
            assert_eq!(voxels, from);
        }
        check(&[0, 0, 1, 1, 2], &[0, 1, 1, 2, 2], &[(1, 1, 1), (3, 1, 2)]);
        check(&[0, 0, 0, 0], &[0, 3, 3, 3], &[(1, 3, 3)]);
        check(&[1, 2], &[2, 2], &[(0, 1, 2)]);
        check(&[1], &[1], &[]);
    }

    #[test]
    fn a_patch_that_does_not_fit_is_refused() {
        let allowed = LabelSet(vec![LabelInfo { value: 1, name: String::new(), colour: String::new(), code: None }]);
        let check = |runs: &[(u32, u32, Label)], expected: Result<(), PatchError>| {
            assert_eq!(Patch(runs.to_vec()).check(10, &allowed), expected, "{runs:?}");
        };
        let bad = |run| Err(PatchError::BadRun { run, voxels: 10 });
        check(&[], Ok(()));
        check(&[(0, 4, 1), (4, 6, 0)], Ok(()));
        check(&[(0, 4, 1), (3, 1, 0)], bad(1));
        check(&[(0, 0, 1)], bad(0));
        check(&[(9, 2, 1)], bad(0));
        check(&[(u32::MAX, u32::MAX, 1)], bad(0));
        check(&[(0, 1, 7)], Err(PatchError::UnknownLabel(7)));
    }
}
