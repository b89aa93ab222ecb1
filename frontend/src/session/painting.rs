//! Changing labels, always on the slice being corrected and on no other plane.

use shared::correction::SliceState;
use shared::geometry::{Axis, Plane};
use shared::label::{BACKGROUND, Label};

use super::bench::{Stroke, Sync};
use super::fact::Fact;
use super::{Overlay, Session, Shown};
use crate::annotate::brush::{Span, swept};
use crate::annotate::fill;
use crate::annotate::history::{Gesture, difference};
use crate::viewer::camera::ViewGrid;
use crate::viewer::gesture::{Ground, Tool};

/// Smallest and largest brush, in millimetres.
pub(crate) const BRUSH_MM: [f64; 2] = [0.5, 100.0];

/// What the hand holds.
#[derive(Clone, Copy)]
pub(crate) struct Painting {
    /// What the left button does.
    pub(crate) tool: Fact<Tool>,
    /// The label that is painted.
    pub(crate) label: Fact<Label>,
    /// Brush diameter.
    pub(crate) brush_mm: Fact<f64>,
    /// Steps that can be undone and redone.
    pub(crate) depth: Fact<[usize; 2]>,
}

impl Painting {
    /// A brush.
    pub(super) fn new() -> Self {
        Self { tool: Fact::new(Tool::Brush), label: Fact::new(1), brush_mm: Fact::new(6.0), depth: Fact::new([0, 0]) }
    }
}

impl Session {
    pub(super) fn set_tool(self, tool: Tool) {
        self.painting.tool.learn(tool);
        self.draw_all();
    }

    pub(super) fn set_label(self, label: Label) {
        if self.read(|bench| bench.detail.labels.find(label).is_some()) == Some(true) {
            self.painting.label.learn(label);
            if !matches!(self.painting.tool.now(), Tool::Brush | Tool::Fill) {
                self.painting.tool.set(Tool::Brush);
            }
            self.draw_all();
        }
    }

    pub(super) fn set_brush(self, diameter_mm: f64) {
        if diameter_mm.is_finite() {
            self.painting.brush_mm.learn(diameter_mm.clamp(BRUSH_MM[0], BRUSH_MM[1]));
            self.draw_all();
        }
    }

    /// Half millimetres when small, tenths of the size when large.
    pub(super) fn step_brush(self, steps: i64) {
        let now = self.painting.brush_mm.now();
        let step = ((now / 10.0) * 2.0).round().max(1.0) / 2.0;
        self.set_brush(now + step * steps as f64);
    }

    /// What painting would meet in a view.
    pub(crate) fn ground(self, axis: Axis) -> Ground {
        match self.rounds.target.now() {
            Some(target) if target.axis == axis && self.plane_of(axis) == Some(target) => Ground::Slice,
            Some(target) if target.axis != axis => Ground::OtherView,
            _ => Ground::Elsewhere,
        }
    }

    pub(super) fn refuse_paint(self) {
        let why = match self.rounds.target.now() {
            Some(target) => format!("This plane is not the slice being corrected. Press R to return to {} {}.", target.axis, target.index),
            None => "There is no slice to correct yet: slices are chosen when the presegmentation is finished.".into(),
        };
        self.messages.notice.set(Some(why));
    }

    pub(super) fn begin_stroke(self, axis: Axis, at: [f64; 2], invert: bool) {
        // Another pointer's stroke may still be under way; what it painted is a step of its own.
        self.end_stroke();
        let Some(plane) = self.rounds.target.now().filter(|_| self.ground(axis) == Ground::Slice) else { return };
        let Some(at) = self.plane_position(axis, at) else { return };
        self.prepare_to_paint(plane);
        let erases = (self.painting.tool.now() == Tool::Eraser) != invert;
        let label = if erases { BACKGROUND } else { self.painting.label.now() };
        let stroke = Stroke { gesture: Gesture::new(plane, label), at };
        self.change(|bench| bench.stroke = bench.correction_mut(plane).is_some().then_some(stroke));
        self.sweep(at);
    }

    /// Shows the labels that are painted on; a skipped slice is reopened by painting on it.
    fn prepare_to_paint(self, plane: Plane) {
        self.show_current();
        if self.state_of(plane) == SliceState::Skipped {
            self.reopen_slice();
        }
    }

    fn state_of(self, plane: Plane) -> SliceState {
        self.read(|bench| bench.state(plane)).unwrap_or_default()
    }

    pub(super) fn extend_stroke(self, at: [f64; 2]) {
        let plane = self.read(|bench| bench.stroke.as_ref().map(|stroke| stroke.gesture.plane())).flatten();
        if let Some(at) = plane.and_then(|plane| self.plane_position(plane.axis, at)) {
            self.sweep(at);
        }
    }

    /// Moves the brush of the stroke under way to a voxel.
    fn sweep(self, at: [i64; 2]) {
        let diameter_mm = self.painting.brush_mm.now();
        let changed = self.change(|bench| {
            let mut stroke = bench.stroke.take()?;
            let plane = stroke.gesture.plane();
            let grid = ViewGrid::new(bench.geometry(), plane.axis).plane_grid();
            let spans = swept(&grid, stroke.at, at, diameter_mm);
            stroke.at = at;
            let changed = bench.correction_mut(plane).is_some_and(|correction| {
                let changed = stroke.gesture.paint(&mut correction.labels, grid.dims[0], &spans);
                correction.edits += u64::from(changed);
                changed
            });
            bench.stroke = Some(stroke);
            changed.then_some(plane.axis)
        });
        if let Some(axis) = changed.flatten() {
            self.repaint_view(axis);
        }
    }

    pub(super) fn end_stroke(self) {
        let stroke = self.change(|bench| bench.stroke.take()).flatten();
        let Some(stroke) = stroke else { return };
        let plane = stroke.gesture.plane();
        match stroke.gesture.finish() {
            Some(step) => {
                self.change(|bench| bench.history.push(step));
                self.labels_changed(plane);
            }
            None => self.drop_untouched(plane),
        }
    }

    pub(super) fn cancel_stroke(self) {
        let stroke = self.change(|bench| bench.stroke.take()).flatten();
        let Some(stroke) = stroke else { return };
        let plane = stroke.gesture.plane();
        if let Some(step) = stroke.gesture.finish() {
            self.change(|bench| bench.correction_mut(plane).into_iter().for_each(|correction| step.revert(&mut correction.labels)));
        }
        self.drop_untouched(plane);
        self.repaint();
    }

    /// A correction that never changed anything is none: the next refinement may still change its plane.
    fn drop_untouched(self, plane: Plane) {
        self.change(|bench| {
            let untouched = bench.corrections.get(&plane).is_some_and(|correction| correction.sync == Sync::default());
            if untouched {
                bench.corrections.remove(&plane);
            }
        });
    }

    pub(super) fn fill(self, axis: Axis, at: [f64; 2]) {
        let Some(plane) = self.rounds.target.now().filter(|_| self.ground(axis) == Ground::Slice) else { return };
        let Some(at) = self.plane_position(axis, at) else { return };
        self.prepare_to_paint(plane);
        let label = self.painting.label.now();
        let step = self.change(|bench| {
            let grid = ViewGrid::new(bench.geometry(), axis).plane_grid();
            let correction = bench.correction_mut(plane)?;
            let spans: Vec<Span> = fill::connected(&correction.labels, grid.dims, at);
            let mut gesture = Gesture::new(plane, label);
            gesture.paint(&mut correction.labels, grid.dims[0], &spans);
            gesture.finish()
        });
        match step.flatten() {
            Some(step) => {
                self.change(|bench| bench.history.push(step));
                self.labels_changed(plane);
            }
            None => self.drop_untouched(plane),
        }
    }

    pub(super) fn undo(self) {
        self.step_through(|bench| {
            let step = bench.history.undo()?.clone();
            bench.correction_mut(step.plane).into_iter().for_each(|correction| step.revert(&mut correction.labels));
            Some(step.plane)
        });
    }

    pub(super) fn redo(self) {
        self.step_through(|bench| {
            let step = bench.history.redo()?.clone();
            bench.correction_mut(step.plane).into_iter().for_each(|correction| step.apply(&mut correction.labels));
            Some(step.plane)
        });
    }

    /// Takes a step of the history and shows where it happened.
    fn step_through(self, step: impl FnOnce(&mut super::bench::Bench) -> Option<Plane>) {
        self.end_stroke();
        let Some(plane) = self.change(step).flatten() else { return };
        self.bring_to_view(plane);
        self.labels_changed(plane);
    }

    /// Labels of a plane are different now: no longer vouched for, to be saved, to be drawn.
    fn labels_changed(self, plane: Plane) {
        self.change(|bench| {
            if let Some(correction) = bench.corrections.get_mut(&plane) {
                correction.edits += 1;
                correction.state = SliceState::Todo;
            }
        });
        self.state_changed(plane);
    }

    /// Sets the state of the slice being corrected and goes on to the next that is to be done. Nobody vouches for what is not on the screen: a slice
    /// that is not is shown instead.
    pub(super) fn finish_slice(self, state: SliceState) {
        let Some(plane) = self.rounds.target.now() else { return };
        self.end_stroke();
        let sight = self.sight_of(plane);
        if !sight.suffices_for(state) {
            self.bring_to_view(plane);
            let key = if state == SliceState::Skipped { "S" } else { "Enter" };
            let when = if sight.loaded { "Look at the slice" } else { "Wait until the scan and its segmentation are here" };
            self.messages.notice.set(Some(format!("{when}, then press {key} again.")));
            return;
        }
        let known = self.change(|bench| {
            if state == SliceState::Done && bench.state(plane) == SliceState::Skipped {
                bench.reopen(plane);
            }
            bench.correction_mut(plane).map(|correction| {
                correction.state = state;
                correction.edits += 1;
            })
        });
        if known.flatten().is_none() {
            return;
        }
        self.state_changed(plane);
        match self.next_to_do(plane) {
            Some(next) => self.go_to(next),
            None => self.messages.notice.set(Some("No slice is left to do. Refine when you are ready.".into())),
        }
    }

    /// What the expert sees of a slice.
    fn sight_of(self, plane: Plane) -> Sight {
        Sight {
            loaded: self.read(|bench| bench.image().is_some() && bench.current_labels(plane).is_some()) == Some(true),
            in_view: self.plane_of(plane.axis) == Some(plane),
            shown: self.viewing.shown.now(),
            overlay: self.viewing.overlay.now(),
        }
    }

    /// Shows a slice as it is now, if it is not on the screen.
    fn bring_to_view(self, plane: Plane) {
        if self.rounds.target.now() != Some(plane) || self.plane_of(plane.axis) != Some(plane) {
            self.go_to(plane);
        }
        self.show_current();
        self.repaint();
    }

    pub(super) fn reopen_slice(self) {
        let Some(plane) = self.rounds.target.now() else { return };
        self.end_stroke();
        let was_skipped = self.state_of(plane) == SliceState::Skipped;
        let step = self.change(|bench| bench.reopen(plane)).flatten();
        self.bring_to_view(plane);
        self.state_changed(plane);
        if was_skipped && step.is_some() {
            self.messages.notice.set(Some(
                "Reopened with the labels of the newest segmentation. Ctrl+Z brings back those from before it was skipped.".into(),
            ));
        }
    }

    /// Back to the newest segmentation's labels; one step that can be undone.
    pub(super) fn reset_slice(self) {
        let Some(plane) = self.rounds.target.now() else { return };
        self.end_stroke();
        let step = self.change(|bench| {
            let fresh = bench.version_labels(bench.latest()?, plane)?;
            let correction = bench.corrections.get_mut(&plane)?;
            let step = difference(plane, &correction.labels, &fresh)?;
            step.apply(&mut correction.labels);
            Some(step)
        });
        if let Some(step) = step.flatten() {
            self.change(|bench| bench.history.push(step));
            self.bring_to_view(plane);
            self.labels_changed(plane);
        }
    }

    /// How far the expert is with a plane is different now: to be saved, to be drawn.
    fn state_changed(self, plane: Plane) {
        self.touch(plane);
        self.refresh_slices();
        self.painting.depth.learn(self.read(|bench| bench.history.depth()).unwrap_or_default());
        self.repaint();
    }
}

/// What the expert sees of the slice being corrected.
struct Sight {
    /// The scan's voxels and the labels are here.
    loaded: bool,
    /// Its plane is in view.
    in_view: bool,
    shown: Shown,
    overlay: Overlay,
}

impl Sight {
    /// Whether enough is seen to give the slice a state. To skip it, its plane; to vouch for it, the very labels that are vouched for.
    fn suffices_for(&self, state: SliceState) -> bool {
        let labels_seen = self.shown == Shown::default() && self.overlay.segmentation;
        self.loaded && self.in_view && (state == SliceState::Skipped || labels_seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_vouches_for_what_is_not_on_the_screen() {
        fn check(change: impl FnOnce(&mut Sight), may_be_done: bool, may_be_skipped: bool) {
            let mut sight = Sight { loaded: true, in_view: true, shown: Shown::default(), overlay: Overlay::default() };
            change(&mut sight);
            let may = [SliceState::Done, SliceState::Skipped].map(|state| sight.suffices_for(state));
            assert_eq!(may, [may_be_done, may_be_skipped]);
        }
        check(|_| {}, true, true);
        check(|sight| sight.in_view = false, false, false);
        check(|sight| sight.loaded = false, false, false);
        check(|sight| sight.shown.comparing = true, false, true);
        check(|sight| sight.shown.version = Some("presegmentation".into()), false, true);
        check(|sight| sight.overlay.segmentation = false, false, true);
        check(|sight| sight.overlay.filled = false, true, true);
    }
}
