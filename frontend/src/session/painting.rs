//! What the hand holds, undo and redo, and how far the expert is with a slice.

use std::collections::BTreeSet;

use shared::correction::SliceState;
use shared::geometry::{Axis, Plane};
use shared::label::Label;

use super::bench::{Bench, Sharpness};
use super::fact::Fact;
use super::{Overlay, Session, Shown};
use crate::annotate::history::{Step, difference};
use crate::annotate::tools::{self, Effect, Hand, Tool};
use crate::viewer::gesture::{FingerPaints, Ground};

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
    /// Ctrl is held: brush and eraser change roles.
    pub(crate) inverted: Fact<bool>,
    /// Labels that are not to be changed.
    pub(crate) locked: Fact<BTreeSet<Label>>,
    /// Only voxels of these intensities are to be changed.
    pub(crate) limit: Fact<Option<[f32; 2]>>,
    /// The edit whose result is offered.
    pub(crate) offer: Fact<Option<&'static str>>,
    /// What was asked before a press that is hardly meant: the question, until the hand does something else.
    pub(super) asked: Fact<Option<String>>,
    /// Whether a pen's pressure widens and narrows the brush.
    pub(crate) pressure: Fact<bool>,
    /// How hard the pen is pressed, 0 to 1; nothing of other pointers.
    pub(super) pressed: Fact<Option<f64>>,
    /// Whether one finger paints.
    pub(crate) finger: Fact<FingerPaints>,
    /// A pen has come near since the page was opened.
    pub(crate) pen_seen: Fact<bool>,
    /// Steps that can be undone and redone.
    pub(crate) depth: Fact<[usize; 2]>,
}

impl Painting {
    /// A brush.
    pub(super) fn new() -> Self {
        Self {
            tool: Fact::new(tools::FIRST),
            label: Fact::new(1),
            brush_mm: Fact::new(6.0),
            inverted: Fact::new(false),
            locked: Fact::new(BTreeSet::new()),
            limit: Fact::new(None),
            offer: Fact::new(None),
            asked: Fact::new(None),
            pressure: Fact::new(false),
            pressed: Fact::new(None),
            finger: Fact::new(FingerPaints::default()),
            pen_seen: Fact::new(false),
            depth: Fact::new([0, 0]),
        }
    }
}

impl Session {
    pub(super) fn set_tool(self, tool: Tool) {
        self.painting.tool.learn(tool);
        self.draw_all();
    }

    /// Whether a label may be changed.
    pub(super) fn toggle_lock(self, label: Label) {
        self.painting.locked.update(|locked| {
            if !locked.remove(&label) {
                locked.insert(label);
            }
        });
        self.draw_all();
    }

    /// Limits the hand to intensities; to those that the chosen label has in the slice where it is not said to which.
    pub(super) fn set_limit(self, limit: Option<[f32; 2]>) {
        self.painting.limit.learn(limit.map(|[low, high]| [low.min(high), low.max(high)]));
        self.draw_all();
    }

    /// The intensities that most voxels of the chosen label have in the slice being corrected; those of the window
    /// without any.
    pub(crate) fn usual_intensities(self) -> [f32; 2] {
        let (label, window) = (self.painting.label.now(), self.viewing.window.now());
        let usual = self.rounds.target.now().and_then(|plane| {
            self.read(|bench| {
                let labels = bench.current_labels(plane)?;
                let all = bench.intensities(plane)?.into_iter().zip(labels).filter(|(_, held)| *held == label);
                let mut sorted: Vec<f32> = all.map(|(intensity, _)| intensity).collect();
                sorted.sort_unstable_by(f32::total_cmp);
                Some([*sorted.get(sorted.len() / 20)?, *sorted.get(sorted.len() * 19 / 20)?])
            })
            .flatten()
        });
        usual.unwrap_or([window.centre - window.width / 2.0, window.centre + window.width / 2.0])
    }

    /// Shows what a press would do with Ctrl, or without.
    pub(super) fn invert(self, inverted: bool) {
        if self.painting.inverted.now() != inverted {
            self.painting.inverted.set(inverted);
            self.draw_all();
        }
    }

    pub(super) fn set_label(self, label: Label) {
        if self.read(|bench| bench.detail.labels.find(label).is_some()) == Some(true) {
            self.painting.label.learn(label);
            if self.painting.tool.now().card().effect != Effect::Paints {
                self.painting.tool.set(tools::FIRST);
            }
            self.draw_all();
        }
    }

    /// The label after or before the chosen one, from the other end if need be.
    pub(super) fn step_label(self, by: i64) {
        let now = self.painting.label.now();
        let next = self.read(|bench| {
            let labels = &bench.detail.labels.0;
            let here = labels.iter().position(|label| label.value == now).unwrap_or(0) as i64;
            labels.get((here + by).rem_euclid(labels.len().max(1) as i64) as usize).map(|label| label.value)
        });
        next.flatten().into_iter().for_each(|label| self.set_label(label));
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
            Some(target) => format!(
                "This plane is not the slice being corrected. Press {} to return to {} {}, or {} to correct this one \
                 as well.",
                self.key_of("return"),
                target.axis,
                target.index,
                self.key_of("correct-plane")
            ),
            None => "There is no slice to correct yet: slices are chosen when the presegmentation is finished.".into(),
        };
        self.messages.notice.set(Some(why));
    }

    /// Whether one finger paints now.
    pub(crate) fn finger_paints(self) -> bool {
        self.painting.finger.now().now(self.painting.pen_seen.now())
    }

    /// How the hand is set.
    pub(super) fn hand(self) -> Hand {
        let Painting { label, brush_mm, inverted, locked, limit, pressure, pressed, .. } = self.painting;
        let width = pressed.now().filter(|_| pressure.now()).map_or(1.0, width_of);
        Hand {
            label: label.now(),
            brush_mm: brush_mm.now() * width,
            inverted: inverted.now(),
            locked: locked.now(),
            limit: limit.now(),
        }
    }

    pub(super) fn state_of(self, plane: Plane) -> SliceState {
        self.read(|bench| bench.state(plane)).unwrap_or_default()
    }

    pub(super) fn undo(self) {
        self.step_through(|bench| {
            let step = bench.history.undo()?.clone();
            bench.correction_mut(step.plane).into_iter().for_each(|correction| {
                step.revert(&mut correction.labels);
                correction.state = step.states[0];
            });
            Some(step)
        });
    }

    pub(super) fn redo(self) {
        self.step_through(|bench| {
            let step = bench.history.redo()?.clone();
            bench.correction_mut(step.plane).into_iter().for_each(|correction| {
                step.apply(&mut correction.labels);
                correction.state = step.states[1];
            });
            Some(step)
        });
    }

    /// Takes a step of the history and shows where it happened.
    fn step_through(self, take: impl FnOnce(&mut Bench) -> Option<Step>) {
        self.end_stroke();
        let taken = self.change(|bench| {
            let step = take(bench)?;
            bench.corrections.get_mut(&step.plane).into_iter().for_each(|correction| correction.edits += 1);
            Some((step.plane, bench.carry_across(&step)))
        });
        let Some((plane, carried)) = taken.flatten() else { return };
        self.bring_to_view(plane);
        self.save_all(Some(carried));
        self.note_stroke(plane);
        self.state_changed(plane);
    }

    /// Labels of a plane are different now: no longer vouched for, to be saved, to be drawn.
    pub(super) fn labels_changed(self, plane: Plane) {
        self.change(|bench| {
            if let Some(correction) = bench.corrections.get_mut(&plane) {
                correction.edits += 1;
                correction.state = SliceState::Todo;
            }
        });
        self.state_changed(plane);
    }

    /// Sets the state of the slice being corrected and goes on to the next that is to be done. Nobody vouches for what
    /// is not on the screen: a slice that is not is shown instead.
    pub(super) fn finish_slice(self, state: SliceState) {
        let Some(plane) = self.rounds.target.now() else { return };
        if self.has_open_shape() && state == SliceState::Done {
            // Enter closes what is being drawn before it says anything about the slice.
            return self.finish_stroke();
        }
        if self.painting.offer.now().is_some() && state == SliceState::Done {
            return self.take_offer();
        }
        self.end_stroke();
        let sight = self.sight_of(plane);
        if !sight.suffices_for(state) {
            self.bring_to_view(plane);
            let key = self.key_of(if state == SliceState::Skipped { "skip" } else { "mark-done" });
            let when =
                if sight.loaded { "Look at the slice" } else { "Wait until the scan and its segmentation are here" };
            self.messages.notice.set(Some(format!("{when}, then press {key} again.")));
            return;
        }
        let known = self.change(|bench| {
            if state == SliceState::Done && bench.state(plane) == SliceState::Skipped {
                bench.reopen(plane);
            }
            let correction = bench.correction_mut(plane)?;
            let step = Step::of_state(plane, [correction.state, state]);
            correction.state = state;
            correction.edits += 1;
            bench.history.push(step);
            Some(())
        });
        if known.flatten().is_none() {
            return;
        }
        self.note_change(plane);
        self.note_effort(false);
        self.state_changed(plane);
        match self.next_to_do(plane) {
            Some(next) => self.go_to(next),
            None => self.messages.notice.set(Some("No slice is left to do. Refine when you are ready.".into())),
        }
    }

    /// What the expert sees of a slice.
    fn sight_of(self, plane: Plane) -> Sight {
        Sight {
            loaded: self
                .read(|bench| bench.sharpness(plane) == Sharpness::Sharp && bench.current_labels(plane).is_some())
                == Some(true),
            in_view: self.plane_of(plane.axis) == Some(plane),
            shown: self.viewing.shown.now(),
            overlay: self.viewing.overlay.now(),
        }
    }

    /// Shows a slice as it is now, if it is not on the screen.
    pub(super) fn bring_to_view(self, plane: Plane) {
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
            self.messages.notice.set(Some(format!(
                "Reopened with the labels of the newest segmentation. {} brings back those from before it was \
                 skipped.",
                self.key_of("undo")
            )));
        }
    }

    /// Back to the newest segmentation's labels, and what was painted across; one step that can be undone.
    pub(super) fn reset_slice(self) {
        let Some(plane) = self.rounds.target.now() else { return };
        self.end_stroke();
        let step = self.change(|bench| {
            let fresh = bench.labels_across(plane)?;
            let correction = bench.corrections.get_mut(&plane)?;
            let step = difference(plane, &correction.labels, &fresh)?;
            step.apply(&mut correction.labels);
            Some(step)
        });
        if let Some(step) = step.flatten() {
            self.bring_to_view(plane);
            self.learn_step(step);
        }
    }

    /// How far the expert is with a plane is different now: to be saved, to be drawn.
    pub(super) fn state_changed(self, plane: Plane) {
        self.change(|bench| bench.say(plane));
        self.touch(plane);
        self.refresh_slices();
        self.painting.depth.learn(self.read(|bench| bench.history.depth()).unwrap_or_default());
        self.remember_steps();
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
    /// Whether enough is seen to give the slice a state. To skip it, its plane; to vouch for it, the very labels that
    /// are vouched for.
    fn suffices_for(&self, state: SliceState) -> bool {
        let labels_seen = self.shown == Shown::default() && self.overlay.segmentation;
        self.loaded && self.in_view && (state == SliceState::Skipped || labels_seen)
    }
}

/// How wide a brush is under a pen that is pressed so hard (0 to 1), in shares of its size: as it is at half the force,
/// half as wide where the pen hardly touches.
fn width_of(pressed: f64) -> f64 {
    0.5 + pressed.clamp(0.0, 1.0)
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
