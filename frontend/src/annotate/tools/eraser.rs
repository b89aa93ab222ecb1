//! The eraser: paints background; with Ctrl, the chosen label.

use shared::label::BACKGROUND;

use super::round::Round;
use super::{Card, Effect, Way};

const CARD: Card = Card {
    id: "eraser",
    name: "Eraser",
    keys: ["e", "e", "3"],
    icon: "m6 13.5-3.5-3.5L9.5 3 13 6.5l-7 7zM6 6.5 9.5 10M6 13.5h7.5",
    hint: "Left erases · Ctrl paints · Shift moves the crosshair",
    about: "Paints background",
    effect: Effect::Erases,
    way: Way::Drag,
};

/// See the module.
pub(super) const ERASER: Round =
    Round { card: &CARD, leaves: |hand| if hand.inverted { hand.label } else { BACKGROUND } };

#[cfg(test)]
mod tests {
    use super::*;
    use crate::annotate::tools::pictures::{hand, painted};
    use crate::annotate::tools::{Behaviour, Hand};

    #[test]
    fn it_erases_where_it_went_and_paints_with_ctrl() {
        assert_eq!(painted(&ERASER, &hand(), &[[0, 0], [1, 0]], &["111", "111"]), ["xx1", "111"]);
        assert_eq!((ERASER.leaves(&hand()), ERASER.leaves(&Hand { inverted: true, ..hand() })), (BACKGROUND, 1));
    }
}
