//! A whole volume of labels comes back that was edited elsewhere: which planes were edited is told by comparing it with
//! what was sent, and only these are corrections.

use std::path::Path;

use shared::correction::{CorrectedSlice, Runs, SliceState};
use shared::geometry::{Axis, Geometry, GeometryError, Plane};
use shared::label::{Label, LabelSet};
use shared::volume::Volume;

use super::IntakeError;
use crate::scan_io::{LabelFile, NamedSegment, read_origin};

/// The labels of a file on a stored scan's grid, with the task's numbers; `segments` were named beside the file.
///
/// # Errors
/// [`IntakeError::Files`], [`IntakeError::LabelsElsewhere`], [`IntakeError::UnknownLabel`].
pub(super) fn read_labels(
    file: &Path,
    scan: &Path,
    names: &LabelSet,
    segments: Vec<NamedSegment>,
) -> Result<Volume<Label>, IntakeError> {
    // The header says where the scan's voxels may lie.
    let origin = read_origin(scan)?;
    let labels = LabelFile::read_for(file, &origin)?.on(&origin).map_err(IntakeError::LabelsElsewhere)?;
    let labels = labels.with_segments(segments).named(names).and_then(LabelFile::all)?;
    match labels.voxels().iter().find(|label| !names.allows(**label)) {
        Some(unknown) => Err(IntakeError::UnknownLabel(*unknown)),
        None => Ok(labels),
    }
}

/// The edits in a volume that was sent in one of several states, as the slices that differ from the state it is nearest
/// to: every voxel of such a slice is vouched for, and no other slice. They are slices of one axis, the one that needs
/// the fewest. `held` are the corrections that there are; an edit goes on from what holds of its plane.
///
/// # Errors
/// [`GeometryError`] if a state lies on another grid.
pub fn edited_slices(
    sent: &[Volume<Label>],
    edited: &Volume<Label>,
    held: &[CorrectedSlice],
) -> Result<Vec<CorrectedSlice>, GeometryError> {
    let apart = |state: &Volume<Label>| state.voxels().iter().zip(edited.voxels()).filter(|(a, b)| a != b).count();
    let Some(nearest) = sent.iter().min_by_key(|state| apart(state)) else { return Ok(Vec::new()) };
    let slice = |plane: Plane| {
        let revision = held.iter().find(|slice| slice.plane == plane).map_or(0, |slice| slice.revision);
        let runs = Runs::encode(&edited.read_plane(plane)?);
        Ok(CorrectedSlice { plane, state: SliceState::Done, runs, revision })
    };
    edited_planes(nearest, edited).into_iter().map(slice).collect()
}

/// The planes of one axis in which two volumes differ, of the axis with the fewest; axial ones among equals.
fn edited_planes(before: &Volume<Label>, after: &Volume<Label>) -> Vec<Plane> {
    let geometry = after.geometry();
    let mut differ = geometry.dims.map(|extent| vec![false; extent]);
    for (at, _) in before.voxels().iter().zip(after.voxels()).enumerate().filter(|(_, (a, b))| a != b) {
        for (planes, index) in differ.iter_mut().zip(Geometry::voxel_at(at, geometry.dims)) {
            planes[index] = true;
        }
    }
    let planes = |axis: Axis| {
        let indices = differ[geometry.stored_axis(axis)].iter().enumerate().filter(|(_, differs)| **differs);
        indices.map(|(index, _)| Plane { axis, index }).collect::<Vec<_>>()
    };
    let axes = [Axis::Axial, Axis::Coronal, Axis::Sagittal].map(planes);
    axes.into_iter().min_by_key(Vec::len).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume(change: &[([usize; 3], Label)]) -> Volume<Label> {
        let mut volume = Volume::filled(Geometry::axis_aligned([4, 5, 6], [1.0; 3]).unwrap(), 0);
        for (voxel, label) in change {
            volume.voxels_mut()[Geometry::offset(*voxel, [4, 5, 6])] = *label;
        }
        volume
    }

    #[track_caller]
    fn check(sent: &[Volume<Label>], edited: &Volume<Label>, expected: &[&str]) {
        let slices = edited_slices(sent, edited, &[]).unwrap();
        assert_eq!(slices.iter().map(|slice| slice.plane.to_string()).collect::<Vec<_>>(), expected);
        for slice in slices {
            assert_eq!(slice.state, SliceState::Done);
            let labels = edited.read_plane(slice.plane).unwrap();
            assert_eq!(slice.runs.decode(labels.len()), Some(labels));
        }
    }

    #[test]
    fn only_slices_that_differ_are_corrections() {
        let sent = volume(&[([1, 1, 1], 1)]);
        check(std::slice::from_ref(&sent), &sent, &[]);
        check(&[], &sent, &[]);
        check(std::slice::from_ref(&sent), &volume(&[([1, 1, 1], 1), ([2, 3, 4], 1), ([0, 0, 4], 2)]), &["axial 4"]);
        // Painted in a coronal view.
        let painted: Vec<_> = (0..6).map(|z| ([1, 2, z], 1)).chain([([1, 1, 1], 1), ([3, 2, 1], 1)]).collect();
        check(std::slice::from_ref(&sent), &volume(&painted), &["coronal 2"]);
        // Erasing is an edit.
        check(&[sent], &volume(&[]), &["axial 1"]);
    }

    #[test]
    fn edits_are_told_from_the_state_that_was_sent() {
        let first = volume(&[([1, 1, 1], 1)]);
        let refined = volume(&(0..6).map(|z| ([1, 1, z], 1)).collect::<Vec<_>>());
        let edited = volume(&[([1, 1, 1], 1), ([3, 3, 3], 2)]);
        check(&[first.clone(), refined.clone()], &edited, &["axial 3"]);
        check(&[refined, first], &edited, &["axial 3"]);
    }

    #[test]
    fn an_edit_goes_on_from_what_holds() {
        let plane = Plane { axis: Axis::Axial, index: 4 };
        let held = CorrectedSlice { plane, state: SliceState::Todo, runs: Runs::encode(&[0; 20]), revision: 7 };
        let slices = edited_slices(&[volume(&[])], &volume(&[([2, 3, 4], 1)]), &[held]).unwrap();
        assert_eq!(slices[0].revision, 7);
    }
}
