//! Where corrected planes cross: the voxels that two of them share, and those that they call by different labels.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::correction::{CorrectedSlice, CorrectionError, SliceState, drawn_planes};
use crate::geometry::{Axis, Geometry, Plane};
use crate::label::{Label, LabelSet};

/// A voxel that two planes share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shared {
    /// Which, `[x, y, z]`.
    pub voxel: [usize; 3],
    /// Its offset in each of the two planes, u fastest.
    pub offsets: [usize; 2],
}

/// A voxel that two corrected planes call by different labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Contradiction {
    /// The planes, ascending.
    pub planes: [Plane; 2],
    /// The voxel, `[x, y, z]`.
    pub voxel: [usize; 3],
    /// What each of the planes calls it.
    pub labels: [Label; 2],
}

/// Offset of a voxel within its plane of `axis`, u fastest.
pub fn offset_in_plane(geometry: &Geometry, axis: Axis, voxel: [usize; 3]) -> usize {
    let [u, v] = geometry.in_plane_axes(axis);
    voxel[u] + voxel[v] * geometry.dims[u]
}

/// The voxels that two planes share: a line, or none if they are parallel.
pub fn crossing(geometry: &Geometry, planes: [Plane; 2]) -> impl Iterator<Item = Shared> + use<> {
    let [fixed, crossed] = planes.map(|plane| geometry.stored_axis(plane.axis));
    // Two different stored axes leave the third.
    let along = if fixed == crossed { None } else { Some(3 - fixed - crossed) };
    let voxel_at = move |along: usize, at: usize| {
        let mut voxel = [0; 3];
        (voxel[fixed], voxel[crossed], voxel[along]) = (planes[0].index, planes[1].index, at);
        voxel
    };
    let line = along.map(|along| {
        let offset = |plane: Plane, at: usize| offset_in_plane(geometry, plane.axis, voxel_at(along, at));
        let first = planes.map(|plane| offset(plane, 0));
        let stride = planes.map(|plane| offset(plane, 1) - offset(plane, 0));
        (along, geometry.dims[along], first, stride)
    });
    line.into_iter().flat_map(move |(along, count, first, stride)| {
        let offsets = move |at: usize| [first[0] + at * stride[0], first[1] + at * stride[1]];
        (0..count).map(move |at| Shared { voxel: voxel_at(along, at), offsets: offsets(at) })
    })
}

/// Voxels that two planes, given with their labels, call by different names. The planes of each contradiction stand in
/// ascending order.
pub fn contradictions(geometry: &Geometry, a: (Plane, &[Label]), b: (Plane, &[Label])) -> Vec<Contradiction> {
    let [(first, first_labels), (second, second_labels)] = if a.0 <= b.0 { [a, b] } else { [b, a] };
    let differ = |shared: Shared| {
        let labels = [*first_labels.get(shared.offsets[0])?, *second_labels.get(shared.offsets[1])?];
        (labels[0] != labels[1]).then_some(Contradiction { planes: [first, second], voxel: shared.voxel, labels })
    };
    crossing(geometry, [first, second]).filter_map(differ).collect()
}

/// Voxels that slices which are done call by different labels, by planes and voxel.
///
/// # Errors
/// [`CorrectionError`] of the first slice that does not fit.
pub fn contradictions_among(
    geometry: &Geometry,
    allowed: &LabelSet,
    slices: &[CorrectedSlice],
) -> Result<BTreeSet<Contradiction>, CorrectionError> {
    let done = drawn_planes(geometry, allowed, slices.iter().filter(|slice| slice.state == SliceState::Done))?;
    let pairs = done.iter().enumerate().flat_map(|(at, a)| done[at + 1..].iter().map(move |b| (a, b)));
    Ok(pairs.flat_map(|(a, b)| contradictions(geometry, (a.0, &a.1), (b.0, &b.1))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::correction::Runs;
    use crate::label::LabelInfo;

    fn plane(axis: Axis, index: usize) -> Plane {
        Plane { axis, index }
    }

    #[test]
    fn planes_share_a_line_of_voxels() {
        let geometry = Geometry::axis_aligned([2, 3, 4], [1.0; 3]).unwrap();
        let shared: Vec<Shared> = crossing(&geometry, [plane(Axis::Axial, 3), plane(Axis::Sagittal, 1)]).collect();
        assert_eq!(shared.iter().map(|shared| shared.voxel).collect::<Vec<_>>(), [[1, 0, 3], [1, 1, 3], [1, 2, 3]]);
        assert_eq!(shared.iter().map(|shared| shared.offsets).collect::<Vec<_>>(), [[1, 9], [3, 10], [5, 11]]);
        assert_eq!(crossing(&geometry, [plane(Axis::Axial, 3), plane(Axis::Axial, 2)]).count(), 0);
    }

    #[test]
    fn only_finished_slices_contradict_each_other() {
        fn check(states: [SliceState; 2], voxels: &[[usize; 3]]) {
            let geometry = Geometry::axis_aligned([2, 2, 2], [1.0; 3]).unwrap();
            let labels = LabelSet(vec![LabelInfo { value: 1, name: "one".into(), colour: String::new(), code: None }]);
            let slice = |plane, state, labels: &[Label]| CorrectedSlice {
                plane,
                state,
                runs: Runs::encode(labels),
                revision: 1,
            };
            let slices = [
                slice(plane(Axis::Axial, 0), states[0], &[1, 1, 0, 0]),
                slice(plane(Axis::Coronal, 0), states[1], &[0, 1, 0, 0]),
            ];
            let found = contradictions_among(&geometry, &labels, &slices).unwrap();
            assert_eq!(found.iter().map(|found| found.voxel).collect::<Vec<_>>(), voxels);
            for found in found {
                assert_eq!((found.planes, found.labels), ([plane(Axis::Coronal, 0), plane(Axis::Axial, 0)], [0, 1]));
            }
        }
        check([SliceState::Done, SliceState::Done], &[[0, 0, 0]]);
        check([SliceState::Done, SliceState::Todo], &[]);
        check([SliceState::Skipped, SliceState::Done], &[]);
    }

    proptest::proptest! {
        /// Labels read from one volume never contradict each other, whichever way its axes run.
        #[test]
        fn planes_of_one_volume_agree(
            order in 0_usize..6,
            seed in 0_usize..1000,
            indices in proptest::array::uniform3(0_usize..3),
        ) {
            let rows = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]][order].map(|axis| {
                let mut row = [0.0; 4];
                row[axis] = 1.0;
                row
            });
            let geometry = Geometry::new([3, 4, 5], [1.0; 3], rows).unwrap();
            let voxels: Vec<Label> = (0..geometry.voxel_count()).map(|at| ((at * 7 + seed) % 5) as Label).collect();
            let volume = crate::volume::Volume::new(geometry.clone(), voxels).unwrap();
            let axes = [Axis::Axial, Axis::Coronal, Axis::Sagittal];
            let planes: [Plane; 3] = std::array::from_fn(|at| plane(axes[at], indices[at]));
            let read = planes.map(|plane| (plane, volume.read_plane(plane).unwrap()));
            for (a, b) in [(0, 1), (0, 2), (1, 2)] {
                let found = contradictions(&geometry, (read[a].0, &read[a].1), (read[b].0, &read[b].1));
                proptest::prop_assert!(found.is_empty());
            }
        }
    }
}
