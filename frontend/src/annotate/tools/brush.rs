//! The round brush: paints the chosen label; with Ctrl, background.

use shared::label::BACKGROUND;

use super::round::Round;
use super::{Card, Effect, Way};

const CARD: Card = Card {
    id: "brush",
    name: "Brush",
    keys: ["b", "4", "1"],
    icon: "M13.5 2.5 7 9M7 9c-2 0-3 1-3 2.5 0 1-.5 1.5-1.5 2 3.5.5 6-.5 6-3C8.5 9.5 8 9 7 9z",
    hint: "Left paints · Ctrl erases · Shift moves the crosshair",
    about: "Paints the chosen label",
    effect: Effect::Paints,
    way: Way::Drag,
};

/// See the module.
pub(super) const BRUSH: Round =
    Round { card: &CARD, leaves: |hand| if hand.inverted { BACKGROUND } else { hand.label } };

#[cfg(test)]
mod tests {
    use super::*;
    use crate::annotate::tools::pictures::{hand, painted};
    use crate::annotate::tools::{Behaviour, Hand};

    #[test]
    fn a_stroke_paints_where_it_went() {
        assert_eq!(painted(&BRUSH, &hand(), &[[0, 0], [3, 0]], &["....", ".2.."]), ["xxxx", ".2.."]);
        let broad = Hand { brush_mm: 2.0, ..hand() };
        assert_eq!(painted(&BRUSH, &broad, &[[1, 1]], &["...", "...", "..."]), [".x.", "xxx", ".x."]);
    }

    #[test]
    fn with_ctrl_it_erases() {
        assert_eq!((BRUSH.leaves(&hand()), BRUSH.leaves(&Hand { inverted: true, ..hand() })), (1, BACKGROUND));
    }
}
