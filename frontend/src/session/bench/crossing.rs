//! Where corrected planes cross: what one says shows in the others, and where they contradict each other.

use shared::correction::SliceState;
use shared::crossing::{Contradiction, Shared, contradictions, crossing};
use shared::geometry::Plane;
use shared::label::Label;

use super::{Bench, Correction};
use crate::annotate::history::{Step, difference};

impl Bench {
    /// The newest segmentation's labels of a plane, with what the expert has painted in planes that cross it.
    pub(crate) fn labels_across(&self, plane: Plane) -> Option<Vec<Label>> {
        let mut labels = self.version_labels(self.latest()?, plane)?;
        self.write_crossing(plane, &mut labels);
        Some(labels)
    }

    /// Writes what was painted in planes that cross this one; the later word over the earlier.
    pub(super) fn write_crossing(&self, plane: Plane, labels: &mut [Label]) {
        let mut across: Vec<(&Plane, &Correction)> = self.counting_across(plane).collect();
        across.sort_by_key(|(_, correction)| correction.said);
        for (other, correction) in across {
            for shared in crossing(self.geometry(), [plane, *other]) {
                if let (Some(label), Some(theirs)) =
                    (labels.get_mut(shared.offsets[0]), correction.labels.get(shared.offsets[1]))
                {
                    *label = *theirs;
                }
            }
        }
    }

    /// Corrections of planes that cross this one.
    fn counting_across(&self, plane: Plane) -> impl Iterator<Item = (&Plane, &Correction)> {
        self.corrections.iter().filter(move |(other, correction)| other.axis != plane.axis && correction.counts())
    }

    /// Carries what a step has changed in its plane to the unfinished planes that cross it: there, too, the last stroke
    /// is what is shown. A finished plane keeps what was vouched for; that the two contradict each other is told.
    /// Returns the planes that have changed.
    pub(crate) fn carry_across(&mut self, step: &Step) -> Vec<Plane> {
        let Some(labels) = self.corrections.get(&step.plane).map(|correction| correction.labels.clone()) else {
            return Vec::new();
        };
        let mut is_changed = vec![false; labels.len()];
        step.offsets().for_each(|offset| is_changed.get_mut(offset).into_iter().for_each(|changed| *changed = true));
        let geometry = self.detail.geometry.clone();
        let mut carried = Vec::new();
        for (other, correction) in &mut self.corrections {
            if other.axis == step.plane.axis || correction.state != SliceState::Todo {
                continue;
            }
            let before = correction.edits;
            for shared in crossing(&geometry, [step.plane, *other]).filter(|shared| is_changed[shared.offsets[0]]) {
                match correction.labels.get_mut(shared.offsets[1]) {
                    Some(label) if *label != labels[shared.offsets[0]] => {
                        *label = labels[shared.offsets[0]];
                        correction.edits = before + 1;
                    }
                    _ => {}
                }
            }
            if correction.edits != before {
                carried.push(*other);
            }
        }
        carried
    }

    /// Looks for voxels that corrected planes call by different labels, where at least one of the planes is done.
    pub(crate) fn find_contradictions(&mut self) {
        let counting: Vec<(&Plane, &Correction)> =
            self.corrections.iter().filter(|(_, correction)| correction.counts()).collect();
        let pairs = counting.iter().enumerate().flat_map(|(at, a)| counting[at + 1..].iter().map(move |b| (a, b)));
        let is_finished = |correction: &Correction| correction.state == SliceState::Done;
        self.contradictions = pairs
            .filter(|(a, b)| is_finished(a.1) || is_finished(b.1))
            .flat_map(|(a, b)| contradictions(&self.detail.geometry, (*a.0, &a.1.labels), (*b.0, &b.1.labels)))
            .collect();
    }

    /// Whether both planes of a contradiction are vouched for: then it stands in the way of refining.
    pub(crate) fn is_between_finished(&self, contradiction: &Contradiction) -> bool {
        contradiction.planes.iter().all(|plane| self.state(*plane) == SliceState::Done)
    }

    /// Makes a plane agree with another in some voxels of the line that they share. It stays as vouched for as it was:
    /// the expert has decided. Returns the step if labels have changed.
    pub(crate) fn agree(&mut self, plane: Plane, with: Plane, is_meant: impl Fn([usize; 3]) -> bool) -> Option<Step> {
        let right = self.corrections.get(&with)?.labels.clone();
        let line: Vec<Shared> =
            crossing(&self.detail.geometry, [plane, with]).filter(|shared| is_meant(shared.voxel)).collect();
        let correction = self.corrections.get_mut(&plane)?;
        let mut labels = correction.labels.clone();
        for shared in line {
            *labels.get_mut(shared.offsets[0])? = *right.get(shared.offsets[1])?;
        }
        let step = difference(plane, &correction.labels, &labels)?.within_state(correction.state);
        correction.labels = labels;
        correction.edits += 1;
        self.history.push(step.clone());
        self.say(plane);
        Some(step)
    }
}
