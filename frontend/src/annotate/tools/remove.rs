//! Remove: erases the region under the pointer.

use shared::label::{BACKGROUND, Label};

use super::fill::connected;
use super::{Behaviour, Card, Effect, Hand, Position, Way, Work};
use crate::annotate::stencil::Span;

/// See the module.
pub(super) struct Remove;

const CARD: Card = Card {
    id: "remove",
    name: "Remove",
    keys: ["m", "m", "7"],
    icon: "M8 5.5a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5zM3 3l10 10M13 3 3 13",
    hint: "Left erases the region under the pointer · Shift moves the crosshair",
    about: "Erases the region under the pointer",
    effect: Effect::Erases,
    way: Way::Drag,
};

impl Behaviour for Remove {
    fn card(&self) -> &'static Card {
        &CARD
    }

    fn leaves(&self, _hand: &Hand) -> Label {
        BACKGROUND
    }

    fn press(&self, work: &Work<'_>, at: Position) -> Vec<Span> {
        let spans = connected(work.labels, work.grid.dims, at);
        let is_background = |span: &Span| work.labels[span.from + span.v * work.grid.dims[0]] == BACKGROUND;
        if spans.first().is_some_and(is_background) { Vec::new() } else { spans }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::annotate::tools::pictures::{hand, painted};

    #[test]
    fn the_region_under_the_pointer_goes() {
        assert_eq!(painted(&Remove, &hand(), &[[0, 0]], &["11.1", ".2.1"]), ["xx.1", ".2.1"]);
        assert_eq!(painted(&Remove, &hand(), &[[2, 0]], &["11.1", ".2.1"]), ["11.1", ".2.1"]);
    }
}
