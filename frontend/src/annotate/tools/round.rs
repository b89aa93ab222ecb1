//! Tools with a round tip: what it sweeps over gets a label.

use shared::label::Label;

use super::{Behaviour, Card, Hand, Position, Work};
use crate::annotate::stencil::{Span, stencil, swept};

/// A round tip that leaves a label.
pub(super) struct Round {
    /// Its words and keys.
    pub(super) card: &'static Card,
    /// The label that it leaves.
    pub(super) leaves: fn(&Hand) -> Label,
}

impl Behaviour for Round {
    fn card(&self) -> &'static Card {
        self.card
    }

    fn leaves(&self, hand: &Hand) -> Label {
        (self.leaves)(hand)
    }

    fn press(&self, work: &Work<'_>, at: Position) -> Vec<Span> {
        stencil(work.grid, at, work.hand.brush_mm)
    }

    fn drag(&self, work: &Work<'_>, from: Position, to: Position) -> Vec<Span> {
        swept(work.grid, from, to, work.hand.brush_mm)
    }
}
