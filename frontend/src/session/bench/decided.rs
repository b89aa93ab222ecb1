//! What a refinement changed, island by island, what the expert has decided about it, and whether the slices that it
//! worked with are in it as they were.

use std::collections::BTreeMap;

use shared::api::Decision;
use shared::geometry::{Geometry, Plane};
use shared::islands::{Changed, Island, islands};
use shared::label::Label;
use shared::patch::Patch;

use super::{Bench, read_plane};

/// What is known of the changes of the newest refinement.
pub(crate) struct Change {
    /// Which refinement.
    version: String,
    /// The islands, the largest first.
    pub(crate) islands: Vec<Island>,
    /// Whether the corrected slices are in it.
    pub(crate) proof: Proof,
}

/// What a comparison of the corrected slices with the refinement came to, voxel by voxel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Proof {
    /// Slices that the refinement worked with.
    pub(crate) slices: usize,
    /// Voxels that were compared.
    pub(crate) voxels: usize,
    /// Slices of which a voxel is called otherwise; there must be none.
    pub(crate) broken: Vec<Plane>,
}

/// A decision as it is in a segmentation here: its revision, and what takes it back.
pub(super) type Applied = BTreeMap<String, (u64, Patch)>;

impl Bench {
    /// Brings the loaded segmentations to what is decided about them, and looks for the newest one's changes. Returns
    /// whether a label is different now.
    pub(crate) fn follow_decisions(&mut self) -> bool {
        let mut is_changed = false;
        for version in self.segmentations.keys().cloned().collect::<Vec<_>>() {
            let wanted = self.decision(&version).map_or(0, |decision| decision.revision);
            if self.applied.get(&version).map_or(0, |(revision, _)| *revision) != wanted {
                self.take_back(&version);
                self.apply(&version);
                is_changed = true;
            }
        }
        self.find_change();
        is_changed
    }

    fn decision(&self, version: &str) -> Option<&Decision> {
        self.detail.decisions.iter().find(|decision| decision.version == version)
    }

    fn take_back(&mut self, version: &str) {
        if let (Some((_, back)), Some(labels)) = (self.applied.remove(version), self.segmentations.get_mut(version)) {
            back.apply(labels);
        }
    }

    fn apply(&mut self, version: &str) {
        let decision = self.detail.decisions.iter().find(|decision| decision.version == version);
        if let (Some(decision), Some(labels)) = (decision, self.segmentations.get_mut(version)) {
            self.applied.insert(version.to_owned(), (decision.revision, decision.patch.apply(labels)));
        }
    }

    /// Compares the newest refinement, as it was made, with what was on the screen before it; once.
    fn find_change(&mut self) {
        let [.., before, after] = &self.detail.versions[..] else { return };
        let (before, after) = (before.clone(), after.clone());
        if self.change.as_ref().is_some_and(|change| change.version == after)
            || !self.segmentations.contains_key(&before)
            || !self.segmentations.contains_key(&after)
        {
            return;
        }
        self.take_back(&after);
        let (old, new) = (&self.segmentations[&before], &self.segmentations[&after]);
        let planes: Vec<Plane> = self.detail.refined_with.iter().map(|slice| slice.plane).collect();
        let changed = changed(self.geometry(), old, new, &planes);
        let islands = islands(self.geometry().dims, &changed);
        let proof = self.prove(new);
        self.apply(&after);
        self.change = Some(Change { version: after, islands, proof });
    }

    fn prove(&self, labels: &[Label]) -> Proof {
        let mut proof = Proof::default();
        for slice in &self.detail.refined_with {
            let said = slice.labels(self.geometry(), &self.detail.labels).unwrap_or_default();
            let made = read_plane(self.geometry(), labels, slice.plane).unwrap_or_default();
            proof.slices += 1;
            proof.voxels += said.len();
            if said != made {
                proof.broken.push(slice.plane);
            }
        }
        proof
    }

    /// Whether an island is as the refinement made it.
    pub(crate) fn is_taken(&self, island: &Island) -> bool {
        let labels = self.change.as_ref().and_then(|change| self.segmentations.get(&change.version));
        labels.is_none_or(|labels| {
            island.voxels.iter().any(|at| labels.get(*at as usize).is_some_and(|label| *label == island.after))
        })
    }

    /// The decision that some islands of the newest refinement are taken, or are as they were before it; what was
    /// decided about others stays.
    pub(crate) fn decided(&self, numbers: &[usize], is_taken: bool) -> Option<Decision> {
        let change = self.change.as_ref()?;
        let known = self.decision(&change.version);
        let mut voxels: BTreeMap<u32, Label> = known.into_iter().flat_map(|known| known.patch.voxels()).collect();
        for island in numbers.iter().filter_map(|number| change.islands.get(*number)) {
            for at in &island.voxels {
                if is_taken {
                    voxels.remove(at);
                } else {
                    voxels.insert(*at, island.before);
                }
            }
        }
        let (version, revision) = (change.version.clone(), known.map_or(0, |known| known.revision));
        Some(Decision { version, revision, patch: Patch::of(voxels) })
    }

    /// The decision that the newest refinement is to be as another version is, where that is loaded.
    pub(crate) fn decided_as(&self, version: &str) -> Option<Decision> {
        let newest = self.latest()?;
        let known = self.decision(newest);
        let mut made = self.segmentations.get(newest)?.clone();
        self.applied.get(newest).into_iter().for_each(|(_, back)| drop(back.apply(&mut made)));
        let patch = Patch::difference(&made, self.segmentations.get(version)?);
        Some(Decision { version: newest.clone(), revision: known.map_or(0, |known| known.revision), patch })
    }

    /// A decision has been saved, or was learned of.
    pub(crate) fn learn_decision(&mut self, decision: Decision) {
        self.detail.decisions.retain(|known| known.version != decision.version);
        self.detail.decisions.push(decision);
        self.follow_decisions();
    }

    /// Voxels of the newest segmentation that the expert has decided about.
    pub(crate) fn decided_voxels(&self) -> u64 {
        self.latest().and_then(|version| self.decision(version)).map_or(0, |decision| decision.patch.len())
    }

    /// The revision of what is decided about the newest segmentation, for whoever draws it.
    pub(crate) fn decided_revision(&self) -> u64 {
        self.latest().and_then(|version| self.applied.get(version)).map_or(0, |(revision, _)| *revision)
    }
}

/// Voxels that differ, but for those of planes that the expert has corrected: they are what they were said to be.
fn changed(geometry: &Geometry, before: &[Label], after: &[Label], corrected: &[Plane]) -> Vec<Changed> {
    let mut is_corrected = geometry.dims.map(|count| vec![false; count]);
    for plane in corrected {
        let marks = &mut is_corrected[geometry.stored_axis(plane.axis)];
        marks.get_mut(plane.index).into_iter().for_each(|mark| *mark = true);
    }
    let differing = before.iter().zip(after).enumerate().filter(|(_, (before, after))| before != after);
    let open = differing.filter(|(at, _)| {
        let voxel = Geometry::voxel_at(*at, geometry.dims);
        (0..3).all(|axis| !is_corrected[axis][voxel[axis]])
    });
    open.map(|(at, (before, after))| Changed { at: at as u32, before: *before, after: *after }).collect()
}

#[cfg(test)]
mod tests {
    use shared::api::PRESEGMENTATION;
    use shared::correction::{CorrectedSlice, Runs, SliceState};
    use shared::geometry::Axis;

    use super::super::detail_for_test;
    use super::*;
    use crate::session::visit::Door;

    /// 3 × 3 × 3 voxels. The refinement has added label 1 in a row of the axial plane 0, erased a voxel of plane 2, and
    /// kept the axial plane 1 as it was corrected.
    fn refined() -> Bench {
        let mut detail = detail_for_test();
        detail.versions = vec![PRESEGMENTATION.into(), "refinement-1".into()];
        let plane = Plane { axis: Axis::Axial, index: 1 };
        let slice = CorrectedSlice { plane, state: SliceState::Done, runs: Runs(vec![(2, 9)]), revision: 1 };
        detail.refined_with = vec![slice];
        let mut bench = Bench::new(Door::default().open("c".into()), detail);
        let before = [[0; 9], [1; 9], [2; 9]].concat();
        let mut after = [[0; 9], [2; 9], [2; 9]].concat();
        after[..3].fill(1);
        after[20] = 0;
        bench.segmentations.insert(PRESEGMENTATION.into(), before);
        bench.segmentations.insert("refinement-1".into(), after);
        bench.follow_decisions();
        bench
    }

    fn newest(bench: &Bench) -> &[Label] {
        &bench.segmentations["refinement-1"]
    }

    #[test]
    fn islands_are_what_the_network_changed_and_corrected_slices_are_proved() {
        let bench = refined();
        let change = bench.change.as_ref().unwrap();
        let found: Vec<_> = change.islands.iter().map(|i| (i.before, i.after, i.voxels.clone())).collect();
        assert_eq!(found, [(0, 1, vec![0, 1, 2]), (2, 0, vec![20])]);
        assert_eq!(change.proof, Proof { slices: 1, voxels: 9, broken: vec![] });
    }

    #[test]
    fn what_is_rejected_returns_to_what_it_was_and_can_be_taken_again() {
        let mut bench = refined();
        let made = newest(&bench).to_vec();
        let decision = bench.decided(&[0], false).unwrap();
        assert_eq!(decision.patch, Patch(vec![(0, 3, 0)]));
        bench.learn_decision(Decision { revision: 1, ..decision });
        assert_eq!(newest(&bench)[..3], [0, 0, 0]);
        let islands = &bench.change.as_ref().unwrap().islands;
        assert_eq!([bench.is_taken(&islands[0]), bench.is_taken(&islands[1])], [false, true]);
        let both = bench.decided(&[1], false).unwrap();
        assert_eq!((both.revision, &both.patch), (1, &Patch(vec![(0, 3, 0), (20, 1, 2)])));
        bench.learn_decision(Decision { revision: 2, ..both });
        let none = bench.decided(&[0, 1], true).unwrap();
        assert!(none.patch.is_empty());
        bench.learn_decision(Decision { revision: 3, ..none });
        assert_eq!(newest(&bench), made);
    }

    #[test]
    fn an_older_version_is_brought_back_whatever_was_decided_before() {
        let mut bench = refined();
        let decision = bench.decided(&[0], false).unwrap();
        bench.learn_decision(Decision { revision: 1, ..decision });
        let back = bench.decided_as(PRESEGMENTATION).unwrap();
        assert_eq!(back.patch, Patch(vec![(0, 3, 0), (9, 9, 1), (20, 1, 2)]));
        bench.learn_decision(Decision { revision: 2, ..back });
        assert_eq!(newest(&bench), bench.segmentations[PRESEGMENTATION]);
    }

    #[test]
    fn a_case_that_is_opened_again_shows_what_was_decided() {
        let mut bench = refined();
        let decision = Decision { revision: 4, ..bench.decided(&[1], false).unwrap() };
        let mut again = refined();
        again.change = None;
        again.detail.decisions = vec![decision];
        assert!(again.follow_decisions());
        assert_eq!(newest(&again)[20], 2);
        assert_eq!(again.change.as_ref().unwrap().islands.len(), 2, "islands are of what was made");
        assert!(!again.follow_decisions());
        bench.detail.decisions.clear();
        assert!(!bench.follow_decisions());
    }

    #[test]
    fn a_slice_that_is_not_kept_is_named() {
        let mut bench = refined();
        bench.change = None;
        bench.segmentations.get_mut("refinement-1").unwrap()[10] = 0;
        bench.follow_decisions();
        assert_eq!(bench.change.unwrap().proof.broken, [Plane { axis: Axis::Axial, index: 1 }]);
    }
}
