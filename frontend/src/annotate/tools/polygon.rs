//! The polygon: corner by corner; what they surround gets the chosen label; with Ctrl at the first corner, background.

use super::area::Outline;
use super::{Card, Effect, Way};

const CARD: Card = Card {
    id: "polygon",
    name: "Polygon",
    keys: ["g", "3", "4"],
    icon: "M8 2 14 6.5 11.5 13.5 4.5 13.5 2 6.5z",
    hint: "Left sets a corner · Enter or the first corner closes · Esc cancels · Shift moves the crosshair",
    about: "Gives what its corners surround the chosen label",
    effect: Effect::Paints,
    way: Way::Corners,
};

/// See the module.
pub(super) const POLYGON: Outline = Outline { card: &CARD };

#[cfg(test)]
mod tests {
    use super::*;
    use crate::annotate::tools::Position;
    use crate::annotate::tools::pictures::{hand, painted};

    #[test]
    fn what_the_corners_surround_is_painted() {
        fn check(corners: &[Position], expected: &[&str]) {
            assert_eq!(painted(&POLYGON, &hand(), corners, &["....."; 4]), expected);
        }
        check(&[[0, 3], [2, 0], [4, 3]], &["..x..", ".xxx.", ".xxx.", "xxxxx"]);
        // Concave: the notch stays free.
        check(&[[0, 0], [2, 2], [4, 0], [4, 3], [0, 3]], &["x...x", "xx.xx", "xxxxx", "xxxxx"]);
        check(&[[1, 1], [1, 1]], &["....."; 4]);
    }
}
