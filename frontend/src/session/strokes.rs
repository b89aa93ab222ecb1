//! The gesture under way, from its press to the step that it becomes: always on the slice being corrected and on no
//! other plane.

use shared::correction::SliceState;
use shared::geometry::{Axis, Plane};

use super::Session;
use super::bench::Stroke;
use super::sync::Sync;
use crate::annotate::history::{Gesture, Step};
use crate::annotate::stencil::Span;
use crate::annotate::tools::{Hand, Position, Way, Work};
use crate::viewer::camera::ViewGrid;
use crate::viewer::gesture::Ground;

impl Session {
    pub(super) fn begin_stroke(self, axis: Axis, at: [f64; 2], invert: bool) {
        match self.plane_position(axis, at).filter(|_| self.ground(axis) == Ground::Slice) {
            Some(at) => self.begin_at(axis, at, invert),
            None => self.end_stroke(),
        }
    }

    /// Without a pointer: the tool is used on the crosshair's voxel.
    pub(super) fn press_here(self) {
        let Some(plane) = self.rounds.target.now().filter(|_| self.painting.tool.now().paints()) else { return };
        if self.ground(plane.axis) != Ground::Slice {
            return self.refuse_paint();
        }
        let crosshair = self.viewing.crosshair.now();
        let at = self.read(|bench| bench.geometry().in_plane_axes(plane.axis).map(|stored| crosshair[stored] as i64));
        if let Some(at) = at {
            self.begin_at(plane.axis, at, self.painting.inverted.now());
            self.release_stroke();
        }
    }

    fn begin_at(self, axis: Axis, at: Position, invert: bool) {
        if self.has_open_shape() {
            return self.set_corner(at);
        }
        // Another pointer's stroke may still be under way; what it painted is a step of its own.
        self.end_stroke();
        let Some(plane) = self.rounds.target.now() else { return };
        self.prepare_to_paint(plane);
        let (tool, hand) = (self.painting.tool.now(), Hand { inverted: invert, ..self.hand() });
        if self.asks_first(plane, at, &hand) {
            return;
        }
        let stroke = Stroke { tool, gesture: Gesture::new(plane, tool.leaves(&hand)), hand, way: vec![at] };
        self.change(|bench| bench.stroke = bench.correction_mut(plane).is_some().then_some(stroke));
        self.paint(|stroke, work| stroke.tool.press(work, at));
        self.draw(axis);
    }

    /// Whether the expert is asked before a press that is hardly meant. The same press again answers.
    fn asks_first(self, plane: Plane, at: Position, hand: &Hand) -> bool {
        let tool = self.painting.tool.now();
        let doubt = self.read(|bench| {
            let grid = ViewGrid::new(bench.geometry(), plane.axis).plane_grid();
            let labels = bench.current_labels(plane)?;
            tool.doubt(&Work { grid: &grid, labels: &labels, image: None, hand }, at)
        });
        let doubt = doubt.flatten();
        let is_answered = doubt.is_some() && self.painting.asked.now() == doubt;
        let question = doubt.filter(|_| !is_answered);
        if question.is_some() || is_answered {
            self.messages.notice.learn(question.clone());
        }
        self.painting.asked.learn(question.clone());
        question.is_some()
    }

    /// Shows the labels that are painted on; a skipped slice is reopened by painting on it.
    pub(super) fn prepare_to_paint(self, plane: Plane) {
        self.show_current();
        if self.state_of(plane) == SliceState::Skipped {
            self.reopen_slice();
        }
    }

    /// Whether corners are being set.
    pub(super) fn has_open_shape(self) -> bool {
        self.read(|bench| bench.stroke.as_ref().is_some_and(|stroke| stroke.tool.card().way == Way::Corners))
            == Some(true)
    }

    /// Another corner; the first one again closes the shape.
    fn set_corner(self, at: Position) {
        let first = self.read(|bench| bench.stroke.as_ref().map(|stroke| (stroke.way.len(), stroke.way[0]))).flatten();
        let is_near = |first: Position| (first[0] - at[0]).abs().max((first[1] - at[1]).abs()) <= 1;
        if first.is_some_and(|(corners, first)| corners > 2 && is_near(first)) {
            return self.finish_stroke();
        }
        self.change(|bench| bench.stroke.iter_mut().for_each(|stroke| stroke.way.push(at)));
        self.draw_all();
    }

    pub(super) fn extend_stroke(self, at: [f64; 2]) {
        let plane = self.read(|bench| bench.stroke.as_ref().map(|stroke| stroke.gesture.plane())).flatten();
        let Some(plane) = plane.filter(|_| !self.has_open_shape()) else { return };
        if let Some(to) = self.plane_position(plane.axis, at) {
            self.paint(|stroke, work| {
                let from = stroke.way.last().copied().unwrap_or(to);
                stroke.way.push(to);
                stroke.tool.drag(work, from, to)
            });
        }
    }

    /// Lets the tool of the stroke under way paint what it says.
    fn paint(self, spans: impl FnOnce(&mut Stroke, &Work<'_>) -> Vec<Span>) {
        let changed = self.change(|bench| {
            let mut stroke = bench.stroke.take()?;
            let plane = stroke.gesture.plane();
            let grid = ViewGrid::new(bench.geometry(), plane.axis).plane_grid();
            let hand = stroke.hand.clone();
            let image = hand.limit.and_then(|_| bench.intensities(plane));
            let changed = bench.correction_mut(plane).is_some_and(|correction| {
                let work = Work { grid: &grid, labels: &correction.labels, image: image.as_deref(), hand: &hand };
                let spans = work.allowed(spans(&mut stroke, &work));
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

    /// The pointer is up: a drag is finished, corners go on.
    pub(super) fn release_stroke(self) {
        if !self.has_open_shape() {
            self.finish_stroke();
        }
    }

    /// Something else begins: what was painted stays, corners that surround nothing yet are forgotten.
    pub(super) fn end_stroke(self) {
        self.leave_offer();
        if self.has_open_shape() { self.cancel_stroke() } else { self.finish_stroke() }
    }

    /// The stroke becomes a step.
    pub(super) fn finish_stroke(self) {
        self.paint(|stroke, work| stroke.tool.release(work, &stroke.way));
        let stroke = self.change(|bench| bench.stroke.take()).flatten();
        let Some(stroke) = stroke else { return };
        let plane = stroke.gesture.plane();
        match stroke.gesture.finish() {
            Some(step) => self.learn_step(step),
            None => self.drop_untouched(plane),
        }
    }

    /// A plane has been changed by a step: it can be undone, and planes that cross it follow.
    pub(super) fn learn_step(self, step: Step) {
        let plane = step.plane;
        let carried = self.change(|bench| {
            let carried = bench.carry_across(&step);
            bench.history.push(step.begun_in(bench.state(plane)));
            carried
        });
        self.save_all(carried);
        self.note_stroke(plane);
        self.labels_changed(plane);
    }

    /// Planes that have followed a step are saved as well.
    pub(super) fn save_all(self, planes: Option<Vec<Plane>>) {
        planes.into_iter().flatten().for_each(|plane| self.touch(plane));
    }

    pub(super) fn cancel_stroke(self) {
        self.leave_offer();
        let stroke = self.change(|bench| bench.stroke.take()).flatten();
        let Some(stroke) = stroke else { return };
        let plane = stroke.gesture.plane();
        if let Some(step) = stroke.gesture.finish() {
            self.change(|bench| {
                bench.correction_mut(plane).into_iter().for_each(|correction| step.revert(&mut correction.labels))
            });
        }
        self.drop_untouched(plane);
        self.repaint();
    }

    /// A correction that never changed anything is none: the next refinement may still change its plane.
    pub(super) fn drop_untouched(self, plane: Plane) {
        self.change(|bench| {
            let untouched = bench.corrections.get(&plane).is_some_and(|correction| correction.sync == Sync::default());
            if untouched {
                bench.corrections.remove(&plane);
            }
        });
    }
}
