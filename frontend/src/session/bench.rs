//! The open case: its voxels and what is being painted, outside the reactive graph. Pure data; nothing here works on more than a plane at a time.

use std::collections::{BTreeMap, HashMap};

use shared::api::CaseDetail;
use shared::correction::{CorrectedSlice, Runs, SliceState};
use shared::geometry::{Axis, Geometry, Plane};
use shared::label::{BACKGROUND, Label};
use shared::volume::PlaneLayout;

use crate::annotate::history::{Gesture, History};

/// A plane as the expert has it.
#[derive(Clone, Debug)]
pub(crate) struct Correction {
    /// Its labels, u fastest.
    pub(crate) labels: Vec<Label>,
    /// How far the expert is.
    pub(crate) state: SliceState,
    /// Counts the changes made here since the case was opened.
    pub(crate) edits: u64,
    /// Where it stands with the server.
    pub(crate) sync: Sync,
}

/// Where a correction stands with the server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sync {
    /// The server's revision that this is based on.
    pub(crate) revision: u64,
    /// Has changes that were not sent.
    pub(crate) unsent: bool,
    /// A save is under way.
    pub(crate) in_flight: bool,
    /// What another window has saved meanwhile.
    pub(crate) theirs: Option<CorrectedSlice>,
}

/// The open case.
pub(crate) struct Bench {
    /// What the server says about it.
    pub(crate) detail: CaseDetail,
    /// The first channel's voxels.
    pub(crate) image: Option<Vec<u16>>,
    /// Uncertainty, 255 is 1.
    pub(crate) uncertainty: Option<Vec<u8>>,
    /// Segmentations loaded so far.
    pub(crate) segmentations: HashMap<String, Vec<Label>>,
    /// Planes the expert has touched.
    pub(crate) corrections: BTreeMap<Plane, Correction>,
    /// Undo and redo.
    pub(crate) history: History,
    /// The stroke under way.
    pub(crate) stroke: Option<Stroke>,
}

/// A stroke under way.
pub(crate) struct Stroke {
    /// What it changed.
    pub(crate) gesture: Gesture,
    /// Where it is now, in plane space.
    pub(crate) at: [i64; 2],
}

impl Bench {
    /// A case without voxels yet, with what the server holds of its corrections.
    pub(crate) fn new(detail: CaseDetail) -> Self {
        let mut bench = Self {
            image: None,
            uncertainty: None,
            segmentations: HashMap::new(),
            corrections: BTreeMap::new(),
            history: History::default(),
            stroke: None,
            detail,
        };
        for slice in bench.detail.corrections.clone() {
            bench.adopt(&slice);
        }
        bench
    }

    /// The grid.
    pub(crate) fn geometry(&self) -> &Geometry {
        &self.detail.geometry
    }

    /// The newest segmentation's name.
    pub(crate) fn latest(&self) -> Option<&String> {
        self.detail.versions.last()
    }

    /// Takes over a slice as saved; returns whether it fits this case.
    pub(crate) fn adopt(&mut self, slice: &CorrectedSlice) -> bool {
        let Ok(labels) = slice.labels(&self.detail.geometry, &self.detail.labels) else { return false };
        let edits = self.corrections.get(&slice.plane).map_or(0, |correction| correction.edits + 1);
        let sync = Sync { revision: slice.revision, ..Sync::default() };
        self.corrections.insert(slice.plane, Correction { labels, state: slice.state, edits, sync });
        true
    }

    /// The correction of a plane as it is saved.
    pub(crate) fn saved_form(&self, plane: Plane) -> Option<CorrectedSlice> {
        let correction = self.corrections.get(&plane)?;
        let (state, runs) = (correction.state, Runs::encode(&correction.labels));
        Some(CorrectedSlice { plane, state, runs, revision: correction.sync.revision })
    }

    /// The correction of a plane, begun from what is shown there if there is none. Nothing without a segmentation to begin from.
    pub(crate) fn correction_mut(&mut self, plane: Plane) -> Option<&mut Correction> {
        if !self.corrections.contains_key(&plane) {
            let labels = self.current_labels(plane)?;
            self.corrections.insert(plane, Correction { labels, state: SliceState::Todo, edits: 0, sync: Sync::default() });
        }
        self.corrections.get_mut(&plane)
    }

    /// A plane's labels now: the expert's where the plane was corrected, else the newest segmentation's with what the expert has vouched for in
    /// planes that cross it, so that one statement does not contradict another.
    pub(crate) fn current_labels(&self, plane: Plane) -> Option<Vec<Label>> {
        if let Some(correction) = self.corrections.get(&plane).filter(|correction| correction.state != SliceState::Skipped) {
            return Some(correction.labels.clone());
        }
        let mut labels = self.version_labels(self.latest()?, plane)?;
        let crossing =
            self.corrections.iter().filter(|(other, correction)| other.axis != plane.axis && correction.state == SliceState::Done);
        for (other, correction) in crossing {
            for (here, there) in crossing_offsets(self.geometry(), plane, *other) {
                if let (Some(label), Some(theirs)) = (labels.get_mut(here), correction.labels.get(there)) {
                    *label = *theirs;
                }
            }
        }
        Some(labels)
    }

    /// A plane of a segmentation, if it is loaded.
    pub(crate) fn version_labels(&self, version: &str, plane: Plane) -> Option<Vec<Label>> {
        read_plane(self.geometry(), self.segmentations.get(version)?, plane)
    }

    /// A plane of the image, if it is loaded.
    pub(crate) fn image_plane(&self, plane: Plane) -> Option<Vec<u16>> {
        read_plane(self.geometry(), self.image.as_ref()?, plane)
    }

    /// A plane of uncertainty, if it is loaded.
    pub(crate) fn uncertainty_plane(&self, plane: Plane) -> Option<Vec<u8>> {
        read_plane(self.geometry(), self.uncertainty.as_ref()?, plane)
    }

    /// The label of a voxel now.
    pub(crate) fn label_at(&self, voxel: [usize; 3]) -> Option<Label> {
        let geometry = self.geometry();
        let corrected = Axis::ALL.into_iter().find_map(|axis| {
            let plane = Plane { axis, index: voxel[geometry.stored_axis(axis)] };
            let correction = self.corrections.get(&plane).filter(|correction| correction.state != SliceState::Skipped)?;
            correction.labels.get(offset_in_plane(geometry, axis, voxel)).copied()
        });
        corrected.or_else(|| self.segmentations.get(self.latest()?)?.get(Geometry::offset(voxel, geometry.dims)).copied())
    }

    /// Slices offered, then slices corrected that are no longer offered.
    pub(crate) fn planes(&self) -> Vec<Plane> {
        let offered: Vec<Plane> = self.detail.slices.iter().flat_map(|list| list.slices.iter().map(|slice| slice.plane())).collect();
        let others: Vec<Plane> = self.corrections.keys().filter(|plane| !offered.contains(plane)).copied().collect();
        [offered, others].concat()
    }

    /// How far the expert is with a slice.
    pub(crate) fn state(&self, plane: Plane) -> SliceState {
        self.corrections.get(&plane).map_or(SliceState::Todo, |correction| correction.state)
    }

    /// The middle of what is segmented, to look at first; the middle of the scan if nothing is.
    pub(crate) fn centre(&self) -> [usize; 3] {
        let dims = self.geometry().dims;
        let labels = self.latest().and_then(|version| self.segmentations.get(version));
        let (mut sum, mut count) = ([0_usize; 3], 0_usize);
        for (offset, _) in labels.into_iter().flatten().enumerate().filter(|(_, label)| **label != BACKGROUND) {
            sum[0] += offset % dims[0];
            sum[1] += offset / dims[0] % dims[1];
            sum[2] += offset / (dims[0] * dims[1]);
            count += 1;
        }
        if count > 0 { sum.map(|sum| sum / count) } else { dims.map(|n| n / 2) }
    }
}

/// Offset of a voxel within its plane of `axis`, u fastest.
pub(crate) fn offset_in_plane(geometry: &Geometry, axis: Axis, voxel: [usize; 3]) -> usize {
    let [u, v] = geometry.in_plane_axes(axis);
    voxel[u] + voxel[v] * geometry.dims[u]
}

/// Offsets of the voxels that two planes of different axes share: in the first, in the second.
fn crossing_offsets(geometry: &Geometry, plane: Plane, other: Plane) -> impl Iterator<Item = (usize, usize)> {
    let (fixed, crossed) = (geometry.stored_axis(plane.axis), geometry.stored_axis(other.axis));
    let along = 3 - fixed - crossed;
    (0..geometry.dims[along]).map(move |at| {
        let mut voxel = [0; 3];
        voxel[fixed] = plane.index;
        voxel[crossed] = other.index;
        voxel[along] = at;
        (offset_in_plane(geometry, plane.axis, voxel), offset_in_plane(geometry, other.axis, voxel))
    })
}

fn read_plane<T: Copy>(geometry: &Geometry, voxels: &[T], plane: Plane) -> Option<Vec<T>> {
    let layout = PlaneLayout::new(geometry, plane).ok()?;
    layout.offsets().map(|offset| voxels.get(offset).copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::api::{CaseSummary, PRESEGMENTATION};
    use shared::case::Stage;
    use shared::label::{LabelInfo, LabelSet};

    /// 3 × 3 × 3 voxels; the segmentation holds label 1 in the axial plane 1 and background elsewhere.
    fn bench() -> Bench {
        let summary = CaseSummary {
            id: "c".into(),
            name: "case".into(),
            bundle: "b".into(),
            created_s: 0,
            stage: Stage::Correcting,
            job: None,
            slices: 0,
            slices_done: 0,
            rounds: 0,
        };
        let colour = |value| LabelInfo { value, name: String::new(), colour: String::new() };
        let mut bench = Bench::new(CaseDetail {
            summary,
            geometry: Geometry::axis_aligned([3, 3, 3], [1.0; 3]).unwrap(),
            images: vec![],
            labels: LabelSet(vec![colour(1), colour(2)]),
            versions: vec![PRESEGMENTATION.into()],
            slices: None,
            corrections: vec![],
        });
        let voxels = [[0; 9], [1; 9], [0; 9]].concat();
        bench.segmentations.insert(PRESEGMENTATION.into(), voxels);
        bench
    }

    const AXIAL: Plane = Plane { axis: Axis::Axial, index: 1 };
    const CORONAL: Plane = Plane { axis: Axis::Coronal, index: 2 };

    #[test]
    fn a_correction_begins_with_the_segmentation() {
        let mut bench = bench();
        assert_eq!(bench.correction_mut(AXIAL).unwrap().labels, [1; 9]);
        assert_eq!(bench.correction_mut(CORONAL).unwrap().labels, [0, 0, 0, 1, 1, 1, 0, 0, 0]);
        assert_eq!(bench.state(AXIAL), SliceState::Todo);
    }

    #[test]
    fn what_was_vouched_for_shows_in_planes_that_cross() {
        fn check(state: SliceState, expected: [Label; 9]) {
            let mut bench = bench();
            let correction = bench.correction_mut(AXIAL).unwrap();
            correction.labels = vec![2; 9];
            correction.state = state;
            assert_eq!(bench.current_labels(CORONAL).unwrap(), expected);
        }
        check(SliceState::Done, [0, 0, 0, 2, 2, 2, 0, 0, 0]);
        check(SliceState::Todo, [0, 0, 0, 1, 1, 1, 0, 0, 0]);
        check(SliceState::Skipped, [0, 0, 0, 1, 1, 1, 0, 0, 0]);
    }

    #[test]
    fn painting_a_plane_touches_no_other_plane() {
        let mut bench = bench();
        bench.correction_mut(AXIAL).unwrap().labels = vec![2; 9];
        for index in [0, 2] {
            assert_eq!(bench.current_labels(Plane { index, ..AXIAL }).unwrap(), [0; 9]);
        }
        assert_eq!((bench.label_at([0, 0, 1]), bench.label_at([0, 0, 2])), (Some(2), Some(0)));
    }

    #[test]
    fn saved_slices_come_back_as_they_were() {
        let mut first = bench();
        first.correction_mut(CORONAL).unwrap().state = SliceState::Done;
        let saved = first.saved_form(CORONAL).unwrap();
        let mut second = bench();
        assert!(second.adopt(&CorrectedSlice { revision: 7, ..saved.clone() }));
        assert_eq!(second.saved_form(CORONAL).unwrap(), CorrectedSlice { revision: 7, ..saved.clone() });
        assert!(!second.adopt(&CorrectedSlice { runs: Runs(vec![(0, 4)]), ..saved }));
    }

    #[test]
    fn the_first_look_is_at_what_is_segmented() {
        let mut bench = bench();
        assert_eq!(bench.centre(), [1, 1, 1]);
        bench.segmentations.insert(PRESEGMENTATION.into(), vec![0; 27]);
        assert_eq!(bench.centre(), [1, 1, 1]);
    }
}
