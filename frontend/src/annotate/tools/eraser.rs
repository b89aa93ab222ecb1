//! The eraser: paints background; with Ctrl, the chosen label.

use shared::label::{BACKGROUND, Label};

use super::{Behaviour, Card, Effect, Hand, Position, Way, Work};
use crate::annotate::stencil::{Span, stencil, swept};

/// See the module.
pub(super) struct Eraser;

const CARD: Card = Card {
    id: "eraser",
    name: "Eraser",
    key: 'e',
    icon: "m6 13.5-3.5-3.5L9.5 3 13 6.5l-7 7zM6 6.5 9.5 10M6 13.5h7.5",
    hint: "Left erases · Ctrl paints · Shift moves the crosshair",
    about: "Paints background",
    effect: Effect::Erases,
    way: Way::Drag,
};

impl Behaviour for Eraser {
    fn card(&self) -> &'static Card {
        &CARD
    }

    fn leaves(&self, hand: &Hand) -> Label {
        if hand.inverted { hand.label } else { BACKGROUND }
    }

    fn press(&self, work: &Work<'_>, at: Position) -> Vec<Span> {
        stencil(work.grid, at, work.hand.brush_mm)
    }

    fn drag(&self, work: &Work<'_>, from: Position, to: Position) -> Vec<Span> {
        swept(work.grid, from, to, work.hand.brush_mm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::annotate::tools::pictures::{hand, painted};

    #[test]
    fn it_erases_where_it_went_and_paints_with_ctrl() {
        assert_eq!(painted(&Eraser, &hand(), &[[0, 0], [1, 0]], &["111", "111"]), ["xx1", "111"]);
        assert_eq!((Eraser.leaves(&hand()), Eraser.leaves(&Hand { inverted: true, ..hand() })), (BACKGROUND, 1));
    }
}
