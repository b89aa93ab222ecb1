//! The crosshair: looks around and paints nothing.

use shared::label::{BACKGROUND, Label};

use super::{Behaviour, Card, Effect, Hand, Position, Way, Work};
use crate::annotate::stencil::Span;

/// See the module.
pub(super) struct Crosshair;

const CARD: Card = Card {
    id: "crosshair",
    name: "Crosshair",
    keys: ["x", "1", "x"],
    icon: "M8 1.5v4M8 10.5v4M1.5 8h4M10.5 8h4",
    hint: "Left moves the crosshair",
    about: "Moves the crosshair",
    effect: Effect::Looks,
    way: Way::Drag,
};

impl Behaviour for Crosshair {
    fn card(&self) -> &'static Card {
        &CARD
    }

    fn leaves(&self, _hand: &Hand) -> Label {
        BACKGROUND
    }

    fn press(&self, _work: &Work<'_>, _at: Position) -> Vec<Span> {
        Vec::new()
    }
}
