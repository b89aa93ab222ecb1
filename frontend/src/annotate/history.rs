//! Undo and redo. One step is one gesture; it keeps the runs of voxels that it changed, never a copy of the plane.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use shared::correction::SliceState;
use shared::geometry::Plane;
use shared::label::Label;

use super::stencil::Span;

/// Steps kept; a step of a large brush takes a few hundred bytes.
const STEPS: usize = 500;

/// What one gesture changed in one plane, and how far the expert was with it before and after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Step {
    /// Where.
    pub(crate) plane: Plane,
    /// Before and after.
    pub(crate) states: [SliceState; 2],
    runs: Vec<Run>,
}

/// Voxels `start..start + length` (u fastest) that were `before` and are `after`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Run {
    start: u32,
    length: u32,
    before: Label,
    after: Label,
}

impl Step {
    /// A step that says how far the expert is and changes no label.
    pub(crate) fn of_state(plane: Plane, states: [SliceState; 2]) -> Self {
        Self { plane, states, runs: Vec::new() }
    }

    /// A step on a plane that was in this state.
    pub(crate) fn begun_in(self, before: SliceState) -> Self {
        Self { states: [before, self.states[1]], ..self }
    }

    /// A step that leaves its plane in the state that it was in.
    pub(crate) fn within_state(self, state: SliceState) -> Self {
        Self { states: [state; 2], ..self }
    }

    /// Does it again.
    pub(crate) fn apply(&self, labels: &mut [Label]) {
        self.write(labels, |run| run.after);
    }

    /// Takes it back.
    pub(crate) fn revert(&self, labels: &mut [Label]) {
        self.write(labels, |run| run.before);
    }

    /// Offsets of the voxels that it changed.
    pub(crate) fn offsets(&self) -> impl Iterator<Item = usize> {
        self.runs.iter().flat_map(|run| run.start as usize..(run.start + run.length) as usize)
    }

    fn write(&self, labels: &mut [Label], value: impl Fn(&Run) -> Label) {
        for run in &self.runs {
            let start = run.start as usize;
            if let Some(voxels) = labels.get_mut(start..start + run.length as usize) {
                voxels.fill(value(run));
            }
        }
    }
}

/// A gesture under way: paints one label and remembers what was there.
#[derive(Clone, Debug)]
pub(crate) struct Gesture {
    plane: Plane,
    after: Label,
    changed: Vec<(u32, Label)>,
}

impl Gesture {
    /// Nothing painted yet.
    pub(crate) fn new(plane: Plane, after: Label) -> Self {
        Self { plane, after, changed: Vec::new() }
    }

    /// The plane it paints on.
    pub(crate) fn plane(&self) -> Plane {
        self.plane
    }

    /// Paints spans of a plane that is `columns` voxels wide; returns whether a voxel changed.
    pub(crate) fn paint(&mut self, labels: &mut [Label], columns: usize, spans: &[Span]) -> bool {
        let already = self.changed.len();
        for offset in spans.iter().flat_map(|span| span.v * columns + span.from..span.v * columns + span.to) {
            match labels.get_mut(offset) {
                // A voxel painted before holds `after` already, so it is remembered once.
                Some(label) if *label != self.after => {
                    self.changed.push((offset as u32, *label));
                    *label = self.after;
                }
                _ => {}
            }
        }
        self.changed.len() > already
    }

    /// The step, or nothing if no voxel changed.
    pub(crate) fn finish(mut self) -> Option<Step> {
        self.changed.sort_unstable();
        let mut runs: Vec<Run> = Vec::new();
        for (offset, before) in self.changed {
            match runs.last_mut() {
                Some(run) if run.start + run.length == offset && run.before == before => run.length += 1,
                _ => runs.push(Run { start: offset, length: 1, before, after: self.after }),
            }
        }
        (!runs.is_empty()).then_some(Step { plane: self.plane, states: [SliceState::Todo; 2], runs })
    }
}

/// The step that turns `before` into `after`, or nothing if they are equal.
pub(crate) fn difference(plane: Plane, before: &[Label], after: &[Label]) -> Option<Step> {
    let mut runs: Vec<Run> = Vec::new();
    for (offset, (&before, &after)) in
        before.iter().zip(after).enumerate().filter(|(_, (before, after))| before != after)
    {
        match runs.last_mut() {
            Some(run)
                if run.start as usize + run.length as usize == offset && run.before == before && run.after == after =>
            {
                run.length += 1
            }
            _ => runs.push(Run { start: offset as u32, length: 1, before, after }),
        }
    }
    (!runs.is_empty()).then_some(Step { plane, states: [SliceState::Todo; 2], runs })
}

/// Steps done and steps taken back, over all planes of a case in the order they happened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct History {
    done: Vec<Step>,
    undone: Vec<Step>,
}

impl History {
    /// Remembers a step; what was taken back before it can no longer be redone.
    pub(crate) fn push(&mut self, step: Step) {
        self.undone.clear();
        if self.done.len() == STEPS {
            self.done.remove(0);
        }
        self.done.push(step);
    }

    /// The step to revert now.
    pub(crate) fn undo(&mut self) -> Option<&Step> {
        self.undone.push(self.done.pop()?);
        self.undone.last()
    }

    /// The step to apply now.
    pub(crate) fn redo(&mut self) -> Option<&Step> {
        self.done.push(self.undone.pop()?);
        self.done.last()
    }

    /// Forgets the steps of a plane, whose labels have come from elsewhere.
    pub(crate) fn forget(&mut self, plane: Plane) {
        self.done.retain(|step| step.plane != plane);
        self.undone.retain(|step| step.plane != plane);
    }

    /// Planes whose steps are remembered.
    pub(crate) fn planes(&self) -> BTreeSet<Plane> {
        self.done.iter().chain(&self.undone).map(|step| step.plane).collect()
    }

    /// The last steps, and no more than `most` in either direction.
    pub(crate) fn recent(&self, most: usize) -> Self {
        let last = |steps: &[Step]| steps[steps.len().saturating_sub(most)..].to_vec();
        Self { done: last(&self.done), undone: last(&self.undone) }
    }

    /// Steps that can be undone and redone.
    pub(crate) fn depth(&self) -> [usize; 2] {
        [self.done.len(), self.undone.len()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::geometry::Axis;

    const PLANE: Plane = Plane { axis: Axis::Axial, index: 0 };

    fn gesture(labels: &mut [Label], after: Label, spans: &[(usize, usize)]) -> Option<Step> {
        let mut gesture = Gesture::new(PLANE, after);
        for &(from, to) in spans {
            gesture.paint(labels, labels.len(), &[Span { v: 0, from, to }]);
        }
        gesture.finish()
    }

    #[test]
    fn a_gesture_is_one_step_there_and_back() {
        fn check(before: &[Label], after: Label, spans: &[(usize, usize)], expected: &[Label], runs: usize) {
            let mut labels = before.to_vec();
            let step = gesture(&mut labels, after, spans).unwrap();
            assert_eq!(labels, expected);
            assert_eq!(step.runs.len(), runs);
            step.revert(&mut labels);
            assert_eq!(labels, before);
            step.apply(&mut labels);
            assert_eq!(labels, expected);
        }
        check(&[0, 0, 0, 0], 1, &[(1, 3)], &[0, 1, 1, 0], 1);
        // Painted twice, back to front, over two labels: still one step of two runs.
        check(&[0, 2, 2, 0], 1, &[(2, 3), (0, 3)], &[1, 1, 1, 0], 2);
        check(&[1, 2, 1, 1], 0, &[(0, 4)], &[0, 0, 0, 0], 3);
    }

    #[test]
    fn painting_what_is_there_is_no_step() {
        assert_eq!(gesture(&mut [1, 1], 1, &[(0, 2)]), None);
        assert_eq!(difference(PLANE, &[1, 2], &[1, 2]), None);
    }

    #[test]
    fn a_difference_leads_from_one_to_the_other() {
        let mut labels = [0, 1, 1, 2];
        difference(PLANE, &[0, 1, 1, 2], &[0, 2, 2, 0]).unwrap().apply(&mut labels);
        assert_eq!(labels, [0, 2, 2, 0]);
    }

    #[test]
    fn hundreds_of_steps_undo_and_redo() {
        let mut labels = vec![0; 200];
        let mut history = History::default();
        for at in 0..200 {
            history.push(gesture(&mut labels, 1, &[(at, at + 1)]).unwrap());
        }
        while let Some(step) = history.undo() {
            step.revert(&mut labels);
        }
        assert_eq!((labels.iter().sum::<u8>(), history.depth()), (0, [0, 200]));
        for _ in 0..150 {
            history.redo().unwrap().apply(&mut labels);
        }
        assert_eq!((labels.iter().map(|l| usize::from(*l)).sum::<usize>(), history.depth()), (150, [150, 50]));
        history.push(gesture(&mut labels, 2, &[(0, 1)]).unwrap());
        assert_eq!(history.depth(), [151, 0]);
    }

    #[test]
    fn the_oldest_step_goes_first() {
        let mut history = History::default();
        for at in 0..STEPS + 1 {
            history.push(gesture(&mut vec![0; STEPS + 1], 1, &[(at, at + 1)]).unwrap());
        }
        assert_eq!(history.depth(), [STEPS, 0]);
        assert_eq!(history.done[0].runs[0].start, 1);
    }

    #[test]
    fn a_plane_is_forgotten_and_no_other() {
        let other = Plane { index: 1, ..PLANE };
        let mut history = History::default();
        for plane in [PLANE, other, PLANE, other] {
            history.push(difference(plane, &[0], &[1]).unwrap());
        }
        history.undo();
        history.forget(PLANE);
        assert_eq!(history.depth(), [1, 1]);
        assert_eq!(history.undo().unwrap().plane, other);
    }
}
