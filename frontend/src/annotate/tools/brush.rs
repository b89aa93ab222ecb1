//! The round brush: paints the chosen label; with Ctrl, background.

use shared::label::{BACKGROUND, Label};

use super::{Behaviour, Card, Effect, Hand, Position, Way, Work};
use crate::annotate::stencil::{Span, stencil, swept};

/// See the module.
pub(super) struct Brush;

const CARD: Card = Card {
    id: "brush",
    name: "Brush",
    key: 'b',
    icon: "M13.5 2.5 7 9M7 9c-2 0-3 1-3 2.5 0 1-.5 1.5-1.5 2 3.5.5 6-.5 6-3C8.5 9.5 8 9 7 9z",
    hint: "Left paints · Ctrl erases · Shift moves the crosshair",
    about: "Paints the chosen label",
    effect: Effect::Paints,
    way: Way::Drag,
};

impl Behaviour for Brush {
    fn card(&self) -> &'static Card {
        &CARD
    }

    fn leaves(&self, hand: &Hand) -> Label {
        if hand.inverted { BACKGROUND } else { hand.label }
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
    fn a_stroke_paints_where_it_went() {
        assert_eq!(painted(&Brush, &hand(), &[[0, 0], [3, 0]], &["....", ".2.."]), ["xxxx", ".2.."]);
        let broad = Hand { brush_mm: 2.0, ..hand() };
        assert_eq!(painted(&Brush, &broad, &[[1, 1]], &["...", "...", "..."]), [".x.", "xxx", ".x."]);
    }

    #[test]
    fn with_ctrl_it_erases() {
        assert_eq!((Brush.leaves(&hand()), Brush.leaves(&Hand { inverted: true, ..hand() })), (1, BACKGROUND));
    }
}
