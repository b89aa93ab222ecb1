//! Keep: of all regions of a label in the plane, only the one under the pointer stays.

use shared::label::{BACKGROUND, Label};

use super::fill::connected;
use super::{Behaviour, Card, Effect, Hand, Position, Way, Work, runs};
use crate::annotate::stencil::Span;

/// See the module.
pub(super) struct Keep;

const CARD: Card = Card {
    id: "keep",
    name: "Keep",
    keys: ["k", "shift+e", "6"],
    icon: "M8 5.5a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5zM2 2l2 2M14 2l-2 2M2 14l2-2M14 14l-2-2",
    hint: "Left keeps the region under the pointer and erases all others of its label · Shift moves the crosshair",
    about: "Keeps the region under the pointer, erases all others of its label in this plane",
    effect: Effect::Erases,
    way: Way::Drag,
};

impl Behaviour for Keep {
    fn card(&self) -> &'static Card {
        &CARD
    }

    fn leaves(&self, _hand: &Hand) -> Label {
        BACKGROUND
    }

    fn press(&self, work: &Work<'_>, at: Position) -> Vec<Span> {
        let [columns, rows] = work.grid.dims;
        let kept = connected(work.labels, work.grid.dims, at);
        let Some(label) =
            kept.first().map(|span| work.labels[span.from + span.v * columns]).filter(|label| *label != BACKGROUND)
        else {
            return Vec::new();
        };
        let is_kept = |u: usize, v: usize| kept.iter().any(|span| span.v == v && (span.from..span.to).contains(&u));
        let others = |v: usize| {
            runs(Span { v, from: 0, to: columns }, |u| work.labels[u + v * columns] == label && !is_kept(u, v))
        };
        (0..rows).flat_map(others).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::annotate::tools::pictures::{hand, painted};

    #[test]
    fn other_regions_of_the_label_go() {
        fn check(at: Position, expected: &[&str]) {
            assert_eq!(painted(&Keep, &hand(), &[at], &["11.1", "...1", "2.1."]), expected);
        }
        check([0, 0], &["11.x", "...x", "2.x."]);
        check([3, 1], &["xx.1", "...1", "2.x."]);
        check([0, 2], &["11.1", "...1", "2.1."]);
        check([2, 0], &["11.1", "...1", "2.1."]);
    }
}
