//! The lasso: what is drawn around gets the chosen label; with Ctrl, background.

use super::area::Outline;
use super::{Card, Effect, Way};

const CARD: Card = Card {
    id: "lasso",
    name: "Lasso",
    keys: ["l", "l", "2"],
    icon: "M8 2.5c3.3 0 6 1.7 6 3.8S11.3 10 8 10 2 8.4 2 6.3s2.7-3.800 6-3.8zM5 9.5c-1 1 0 2-1 4",
    hint: "Left drag: what is drawn around gets the chosen label · Ctrl erases · Shift moves the crosshair",
    about: "Gives what is drawn around the chosen label",
    effect: Effect::Paints,
    way: Way::Drag,
};

/// See the module.
pub(super) const LASSO: Outline = Outline { card: &CARD };

#[cfg(test)]
mod tests {
    use super::*;
    use crate::annotate::tools::Position;
    use crate::annotate::tools::pictures::{hand, painted};

    #[test]
    fn what_is_drawn_around_is_painted() {
        fn check(way: &[Position], expected: &[&str]) {
            assert_eq!(painted(&LASSO, &hand(), way, &["......", "......", "......", "......", "......"]), expected);
        }
        check(&[[1, 1], [4, 1], [4, 3], [1, 3]], &["......", ".xxxx.", ".xxxx.", ".xxxx.", "......"]);
        check(&[[0, 0], [4, 0], [0, 4]], &["xxxxx.", "xxxx..", "xxx...", "xx....", "x....."]);
        // A line is no area, and what leaves the plane is cut off.
        check(&[[1, 1], [4, 1]], &["......", "......", "......", "......", "......"]);
        check(&[[4, 3], [9, 3], [9, 9], [4, 9]], &["......", "......", "......", "....xx", "....xx"]);
    }

    #[test]
    fn a_line_that_crosses_itself_leaves_its_hole() {
        let bow = [[0, 0], [6, 4], [6, 0], [0, 4]];
        let painted = painted(&LASSO, &hand(), &bow, &["......."; 5]);
        assert_eq!(painted, ["x.....x", "xxx.xxx", "xxxxxxx", "xxx.xxx", "x.....x"]);
    }
}
