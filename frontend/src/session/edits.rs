//! Edits of the whole slice being corrected: done at once, or offered and shown until the expert takes or leaves them.

use shared::geometry::Plane;
use shared::label::Label;

use super::Session;
use super::bench::{Bench, Offer};
use crate::annotate::edits::{Edit, Neighbour, Plate};
use crate::annotate::history::difference;
use crate::annotate::tools::{Hand, Work};
use crate::viewer::camera::ViewGrid;
use crate::viewer::gesture::Ground;

impl Session {
    /// Edits the slice being corrected, or shows what the edit would make of it.
    pub(super) fn edit(self, edit: Edit) {
        self.end_stroke();
        let Some(plane) = self.rounds.target.now().filter(|target| self.ground(target.axis) == Ground::Slice) else {
            return self.refuse_paint();
        };
        self.prepare_to_paint(plane);
        let hand = self.hand();
        let edited = self.read(|bench| edited(bench, plane, edit, &hand)).flatten();
        match edited {
            None => {}
            Some(Err(why)) => self.messages.notice.set(Some(why.into())),
            Some(Ok(labels)) => {
                self.change(|bench| bench.offer = Some(Offer { plane, labels }));
                if edit.card().is_offered {
                    self.painting.offer.set(Some(edit.card().name));
                    self.repaint();
                } else {
                    self.take_offer();
                }
            }
        }
    }

    /// What is offered becomes the slice's labels; one step that can be undone.
    pub(super) fn take_offer(self) {
        self.painting.offer.learn(None);
        let step = self.change(|bench| {
            let Offer { plane, labels } = bench.offer.take()?;
            let correction = bench.correction_mut(plane)?;
            let step = difference(plane, &correction.labels, &labels);
            step.iter().for_each(|step| step.apply(&mut correction.labels));
            Some((plane, step))
        });
        match step.flatten() {
            Some((_, Some(step))) => self.learn_step(step),
            Some((plane, None)) => {
                self.drop_untouched(plane);
                self.messages.notice.set(Some("Nothing would change.".into()));
                self.repaint();
            }
            None => {}
        }
    }

    /// What is offered is forgotten.
    pub(super) fn leave_offer(self) {
        if self.change(|bench| bench.offer.take()).flatten().is_some() {
            self.painting.offer.learn(None);
            self.repaint();
        }
    }
}

/// A plane's labels after an edit, as far as the hand may change them. Nothing while the segmentation is not here.
fn edited(bench: &Bench, plane: Plane, edit: Edit, hand: &Hand) -> Option<Result<Vec<Label>, &'static str>> {
    let grid = ViewGrid::new(bench.geometry(), plane.axis).plane_grid();
    let labels = bench.current_labels(plane)?;
    let image = hand.limit.and_then(|_| bench.intensities(plane));
    let last = bench.geometry().plane_count(plane.axis) - 1;
    let beside = [plane.index.checked_sub(1), Some(plane.index + 1).filter(|index| *index <= last)];
    let adjacent = beside.map(|index| index.and_then(|index| bench.current_labels(Plane { index, ..plane })));
    let plate = Plate {
        grid: &grid,
        labels: &labels,
        label: hand.label,
        adjacent: adjacent.each_ref().map(Option::as_deref),
        corrected: corrected_beside(bench, plane),
    };
    let work = Work { grid: &grid, labels: &labels, image: image.as_deref(), hand };
    let allowed = |(offset, label): (usize, Label)| if work.may_change(offset) { label } else { labels[offset] };
    Some(edit.apply(&plate).map(|edited| edited.into_iter().enumerate().map(allowed).collect()))
}

/// The nearest planes before and after one that the expert has corrected.
fn corrected_beside(bench: &Bench, plane: Plane) -> [Option<Neighbour<'_>>; 2] {
    let parallel =
        || bench.corrections.iter().filter(|(other, correction)| other.axis == plane.axis && correction.counts());
    let before = parallel().rfind(|(other, _)| other.index < plane.index);
    let after = parallel().find(|(other, _)| other.index > plane.index);
    [before, after].map(|found| {
        found.map(|(other, correction)| Neighbour {
            distance: other.index.abs_diff(plane.index),
            labels: &correction.labels,
        })
    })
}
