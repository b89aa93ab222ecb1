//! What the expert says a slice is. A corrected slice holds a label for every voxel of its plane: all background is a
//! statement, not an absence.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::geometry::{GeometryError, Plane};
use crate::label::{Label, LabelSet};
use crate::volume::Volume;

/// How far the expert is with a slice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum SliceState {
    /// Offered, perhaps painted on; not yet vouched for.
    #[default]
    Todo,
    /// The expert vouches for every voxel of the plane; refinement uses it.
    Done,
    /// The expert will not correct it; refinement ignores it.
    Skipped,
}

/// Labels of a plane as runs `(label, length)`, u fastest; lengths add up to the plane's size.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(transparent)]
pub struct Runs(pub Vec<(Label, u32)>);

/// A plane as the expert left it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CorrectedSlice {
    /// Which plane.
    pub plane: Plane,
    /// How far the expert is.
    pub state: SliceState,
    /// The labels.
    pub runs: Runs,
    /// Counts the saves of this slice; 0 has never been saved.
    pub revision: u64,
}

/// Why a correction cannot be accepted.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum CorrectionError {
    /// The runs do not cover the plane exactly.
    #[error("the slice {plane} has {expected} voxels, the correction covers {got}")]
    WrongLength {
        /// The plane.
        plane: Plane,
        /// Its size.
        expected: usize,
        /// Sum of the run lengths.
        got: u64,
    },
    /// A label that the task does not have.
    #[error("label {label} is not one of this task's labels")]
    UnknownLabel {
        /// The label.
        label: Label,
    },
    /// A plane that the volume does not have.
    #[error(transparent)]
    Geometry(#[from] GeometryError),
}

impl Runs {
    /// Encodes labels.
    pub fn encode(labels: &[Label]) -> Self {
        let mut runs: Vec<(Label, u32)> = Vec::new();
        for &label in labels {
            match runs.last_mut() {
                Some((last, length)) if *last == label && *length < u32::MAX => *length += 1,
                _ => runs.push((label, 1)),
            }
        }
        Self(runs)
    }

    /// Number of voxels covered.
    pub fn len(&self) -> u64 {
        self.0.iter().map(|(_, length)| u64::from(*length)).sum()
    }

    /// Whether nothing is covered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Decodes into exactly `expected` labels, or nothing if the runs cover another number of voxels. Allocates only
    /// when they fit.
    pub fn decode(&self, expected: usize) -> Option<Vec<Label>> {
        if self.len() != expected as u64 {
            return None;
        }
        Some(self.0.iter().flat_map(|&(label, length)| std::iter::repeat_n(label, length as usize)).collect())
    }
}

impl CorrectedSlice {
    /// Whether two slices say the same, whatever they are based on.
    pub fn says_the_same(&self, other: &Self) -> bool {
        (self.plane, self.state) == (other.plane, other.state) && self.runs == other.runs
    }

    /// The labels, u fastest, checked against the volume's grid and the task's labels.
    ///
    /// # Errors
    /// [`CorrectionError`].
    pub fn labels(
        &self,
        geometry: &crate::geometry::Geometry,
        allowed: &LabelSet,
    ) -> Result<Vec<Label>, CorrectionError> {
        geometry.check_plane(self.plane)?;
        let [u, v] = geometry.plane_dims(self.plane.axis);
        let labels = self.runs.decode(u * v).ok_or(CorrectionError::WrongLength {
            plane: self.plane,
            expected: u * v,
            got: self.runs.len(),
        })?;
        match labels.iter().find(|label| !allowed.allows(**label)) {
            Some(&label) => Err(CorrectionError::UnknownLabel { label }),
            None => Ok(labels),
        }
    }
}

/// What was said of each plane, u fastest; of one that is there twice, twice.
///
/// # Errors
/// [`CorrectionError`] of the first slice that does not fit.
pub fn drawn_planes<'a>(
    geometry: &crate::geometry::Geometry,
    allowed: &LabelSet,
    slices: impl IntoIterator<Item = &'a CorrectedSlice>,
) -> Result<Vec<(Plane, Vec<Label>)>, CorrectionError> {
    slices.into_iter().map(|slice| Ok((slice.plane, slice.labels(geometry, allowed)?))).collect()
}

/// Puts corrected planes back in their places in an empty volume. Where planes cross, later ones win.
///
/// # Errors
/// [`GeometryError`] of the first plane that the volume does not have.
pub fn corrections_volume(
    geometry: &crate::geometry::Geometry,
    drawn: &[(Plane, Vec<Label>)],
) -> Result<Volume<Label>, GeometryError> {
    let mut volume = Volume::filled(geometry.clone(), crate::label::BACKGROUND);
    for (plane, labels) in drawn {
        volume.write_plane(*plane, labels)?;
    }
    Ok(volume)
}

/// A segmentation with what the expert has corrected, as the workbench shows it: finished and unfinished planes, but
/// none that was skipped. Where planes cross, later ones win.
///
/// # Errors
/// [`CorrectionError`] of the first slice that does not fit.
pub fn corrected(
    mut segmentation: Volume<Label>,
    allowed: &LabelSet,
    slices: &[CorrectedSlice],
) -> Result<Volume<Label>, CorrectionError> {
    for slice in slices.iter().filter(|slice| slice.state != SliceState::Skipped) {
        let labels = slice.labels(segmentation.geometry(), allowed)?;
        segmentation.write_plane(slice.plane, &labels)?;
    }
    Ok(segmentation)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::{Axis, Geometry};
    use crate::label::LabelInfo;

    fn labels() -> LabelSet {
        LabelSet(vec![LabelInfo { value: 1, name: "one".into(), colour: "#ff0000".into(), code: None }])
    }

    fn slice(axis: Axis, index: usize, labels: &[Label]) -> CorrectedSlice {
        CorrectedSlice {
            plane: Plane { axis, index },
            state: SliceState::Done,
            runs: Runs::encode(labels),
            revision: 0,
        }
    }

    #[test]
    fn runs_encode_what_they_decode() {
        fn check(labels: &[Label], runs: &[(Label, u32)]) {
            assert_eq!(Runs::encode(labels).0, runs);
            assert_eq!(Runs::encode(labels).decode(labels.len()).unwrap(), labels);
        }
        check(&[0, 0, 1, 1, 1, 0], &[(0, 2), (1, 3), (0, 1)]);
        check(&[], &[]);
        check(&[2], &[(2, 1)]);
    }

    #[test]
    fn runs_that_claim_too_much_do_not_allocate() {
        assert_eq!(Runs(vec![(1, u32::MAX); 64]).decode(4), None);
    }

    #[test]
    fn planes_return_to_their_places() {
        let geometry = Geometry::axis_aligned([2, 2, 2], [1.0; 3]).unwrap();
        let slices = [slice(Axis::Axial, 1, &[1, 0, 0, 1]), slice(Axis::Sagittal, 0, &[0; 4])];
        let drawn = drawn_planes(&geometry, &labels(), &slices).unwrap();
        assert_eq!(corrections_volume(&geometry, &drawn).unwrap().voxels(), [0, 0, 0, 0, 0, 0, 0, 1]);
    }

    #[test]
    fn what_was_skipped_stays_as_it_was_segmented() {
        fn check(state: SliceState, expected: [Label; 8]) {
            let geometry = Geometry::axis_aligned([2, 2, 2], [1.0; 3]).unwrap();
            let slice = CorrectedSlice { state, ..slice(Axis::Axial, 1, &[0, 1, 1, 0]) };
            let volume = corrected(Volume::filled(geometry, 1), &labels(), &[slice]).unwrap();
            assert_eq!(volume.voxels(), expected);
        }
        check(SliceState::Done, [1, 1, 1, 1, 0, 1, 1, 0]);
        check(SliceState::Todo, [1, 1, 1, 1, 0, 1, 1, 0]);
        check(SliceState::Skipped, [1; 8]);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let geometry = Geometry::axis_aligned([2, 2, 2], [1.0; 3]).unwrap();
        let check = |bad: CorrectedSlice| drawn_planes(&geometry, &labels(), &[bad]).unwrap_err().to_string();
        assert_eq!(check(slice(Axis::Axial, 0, &[0; 5])), "the slice axial 0 has 4 voxels, the correction covers 5");
        assert_eq!(check(slice(Axis::Axial, 0, &[9; 4])), "label 9 is not one of this task's labels");
        assert_eq!(check(slice(Axis::Coronal, 7, &[0; 4])), "there is no coronal plane 7; the volume has 2 (0 to 1)");
    }

    proptest::proptest! {
        #[test]
        fn any_labels_survive_the_codec(labels in proptest::collection::vec(0_u8..4, 0..300)) {
            proptest::prop_assert_eq!(Runs::encode(&labels).decode(labels.len()), Some(labels));
        }
    }
}
