//! The pointers that hold a view, from press to release. A pen or mouse holds it alone: a palm beside it is not heard,
//! and one that was first is let go of, with what it began. Two fingers move the plane and spread it, whatever the
//! first had begun.

use super::gesture::Drag;

/// What touches the view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A finger, or a palm.
    Finger,
    /// A pen or the mouse.
    Pointed,
}

/// Who holds the view.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Grip {
    /// Nobody.
    #[default]
    Free,
    /// One pointer, with its drag.
    One(Held),
    /// Two fingers.
    Two([Touch; 2]),
    /// One of two fingers is still there: it does nothing until another joins it, or it leaves.
    Rest(Touch),
}

/// A pointer and its drag.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    touch: Touch,
    kind: Kind,
    drag: Drag,
}

/// A pointer and where it was last heard of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Touch {
    pointer: i32,
    at: [f64; 2],
}

/// What a press comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Press {
    /// It is not heard.
    Ignored,
    /// The pointer may begin a drag; what another one had begun is to be taken back.
    Begins(Option<Drag>),
    /// Two fingers hold the view; what the first had begun is to be taken back.
    Spreads(Option<Drag>),
}

/// What a move comes to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Move {
    /// Nothing.
    Ignored,
    /// The drag goes on by so many pixels.
    Drags(Drag, [f64; 2]),
    /// The plane moves by so many pixels and grows by a factor around a position.
    Spreads {
        /// Way of the middle of the two fingers.
        by_px: [f64; 2],
        /// Above 1 is closer.
        factor: f64,
        /// The middle of the two fingers.
        at: [f64; 2],
    },
}

impl Grip {
    /// What a press would come to; nothing is held yet.
    pub(crate) fn asked(&self, pointer: i32, kind: Kind) -> Press {
        match (self, kind) {
            (Grip::Free, _) => Press::Begins(None),
            // Its release was lost.
            (Grip::One(held), _) if held.touch.pointer == pointer => Press::Begins(Some(held.drag)),
            (Grip::One(held), Kind::Pointed) if held.kind == Kind::Finger => Press::Begins(Some(held.drag)),
            (Grip::One(held), Kind::Finger) if held.kind == Kind::Finger => Press::Spreads(Some(held.drag)),
            (Grip::One(_), _) => Press::Ignored,
            (Grip::Two(_) | Grip::Rest(_), Kind::Pointed) => Press::Begins(None),
            (Grip::Rest(_), Kind::Finger) => Press::Spreads(None),
            (Grip::Two(_), Kind::Finger) => Press::Ignored,
        }
    }

    /// A pointer holds the view and begins a drag.
    pub(crate) fn hold(&mut self, pointer: i32, kind: Kind, drag: Drag, at: [f64; 2]) {
        *self = Grip::One(Held { touch: Touch { pointer, at }, kind, drag });
    }

    /// A second finger joins the first.
    pub(crate) fn spread(&mut self, pointer: i32, at: [f64; 2]) {
        if let Grip::One(Held { touch: first, .. }) | Grip::Rest(first) = *self {
            *self = Grip::Two([first, Touch { pointer, at }]);
        }
    }

    /// Whether moves of this pointer are heard.
    pub(crate) fn hears(&self, pointer: i32) -> bool {
        match self {
            Grip::Free => true,
            Grip::One(held) => held.touch.pointer == pointer,
            Grip::Two(touches) => touches.iter().any(|touch| touch.pointer == pointer),
            Grip::Rest(_) => false,
        }
    }

    /// A pointer has moved.
    pub(crate) fn moved(&mut self, pointer: i32, at: [f64; 2]) -> Move {
        match self {
            Grip::One(held) if held.touch.pointer == pointer => {
                let by = [at[0] - held.touch.at[0], at[1] - held.touch.at[1]];
                held.touch.at = at;
                Move::Drags(held.drag, by)
            }
            Grip::Two(touches) => {
                let before = touches.map(|touch| touch.at);
                let Some(touch) = touches.iter_mut().find(|touch| touch.pointer == pointer) else {
                    return Move::Ignored;
                };
                touch.at = at;
                spread(before, touches.map(|touch| touch.at))
            }
            _ => Move::Ignored,
        }
    }

    /// A pointer is up: the drag that ends with it, if it held the view.
    pub(crate) fn release(&mut self, pointer: i32) -> Option<Drag> {
        match *self {
            Grip::One(held) if held.touch.pointer == pointer => {
                *self = Grip::Free;
                return Some(held.drag);
            }
            Grip::Two([a, b]) if a.pointer == pointer => *self = Grip::Rest(b),
            Grip::Two([a, b]) if b.pointer == pointer => *self = Grip::Rest(a),
            Grip::Rest(touch) if touch.pointer == pointer => *self = Grip::Free,
            _ => {}
        }
        None
    }
}

/// What two fingers did between two places of each.
fn spread(before: [[f64; 2]; 2], after: [[f64; 2]; 2]) -> Move {
    let middle = |[a, b]: [[f64; 2]; 2]| [(a[0] + b[0]) / 2.0, (a[1] + b[1]) / 2.0];
    let apart = |[a, b]: [[f64; 2]; 2]| (a[0] - b[0]).hypot(a[1] - b[1]).max(1.0);
    let (from, to) = (middle(before), middle(after));
    Move::Spreads { by_px: [to[0] - from[0], to[1] - from[1]], factor: apart(after) / apart(before), at: to }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::viewer::gesture::FingerPaints;

    const PAINT: Drag = Drag::Paint { invert: false };
    const PEN: i32 = 7;
    const PALM: i32 = 8;
    const OTHER: i32 = 9;

    fn held(pointer: i32, kind: Kind, drag: Drag) -> Grip {
        let mut grip = Grip::default();
        grip.hold(pointer, kind, drag, [0.0, 0.0]);
        grip
    }

    #[test]
    fn a_palm_beside_the_pen_is_not_heard() {
        let mut grip = held(PEN, Kind::Pointed, PAINT);
        assert_eq!(grip.asked(PALM, Kind::Finger), Press::Ignored);
        assert!(!grip.hears(PALM));
        assert_eq!(grip.moved(PALM, [60.0, 50.0]), Move::Ignored);
        assert_eq!(grip.release(PALM), None);
        assert_eq!(grip.moved(PEN, [3.0, 4.0]), Move::Drags(PAINT, [3.0, 4.0]));
        assert_eq!(grip.moved(PEN, [3.0, 5.0]), Move::Drags(PAINT, [0.0, 1.0]));
        assert_eq!(grip.release(PEN), Some(PAINT));
        assert_eq!(grip.release(PEN), None);
    }

    #[test]
    fn what_a_palm_began_is_taken_back_when_the_pen_comes() {
        assert_eq!(held(PALM, Kind::Finger, PAINT).asked(PEN, Kind::Pointed), Press::Begins(Some(PAINT)));
        let mut two = held(PALM, Kind::Finger, PAINT);
        two.spread(OTHER, [10.0, 0.0]);
        assert_eq!(two.asked(PEN, Kind::Pointed), Press::Begins(None));
    }

    #[test]
    fn a_mouse_and_a_pen_do_not_take_from_each_other() {
        assert_eq!(held(PEN, Kind::Pointed, PAINT).asked(OTHER, Kind::Pointed), Press::Ignored);
    }

    #[test]
    fn a_pointer_whose_release_was_lost_may_press_again() {
        let mut grip = held(PEN, Kind::Pointed, Drag::Pan);
        assert_eq!(grip.asked(PEN, Kind::Pointed), Press::Begins(Some(Drag::Pan)));
        grip.hold(PEN, Kind::Pointed, Drag::Window, [5.0, 5.0]);
        assert_eq!(grip.release(PEN), Some(Drag::Window));
    }

    #[test]
    fn two_fingers_move_and_spread_and_paint_nothing() {
        let mut grip = held(PALM, Kind::Finger, PAINT);
        assert_eq!(grip.asked(OTHER, Kind::Finger), Press::Spreads(Some(PAINT)));
        grip.spread(OTHER, [100.0, 0.0]);
        assert_eq!(
            grip.moved(OTHER, [200.0, 0.0]),
            Move::Spreads { by_px: [50.0, 0.0], factor: 2.0, at: [100.0, 0.0] }
        );
        assert_eq!(grip.asked(PEN, Kind::Finger), Press::Ignored, "a third finger is not heard");
        assert_eq!(grip.release(OTHER), None);
        assert_eq!(grip.moved(PALM, [5.0, 5.0]), Move::Ignored, "the finger that is left paints nothing");
        assert_eq!(grip.asked(OTHER, Kind::Finger), Press::Spreads(None));
        assert_eq!(grip.release(PALM), None);
        assert!(matches!(grip, Grip::Free));
    }

    #[test]
    fn a_finger_paints_until_a_pen_is_seen_or_as_the_switch_says() {
        fn check(wish: FingerPaints, before_pen: bool, after_pen: bool) {
            assert_eq!([wish.now(false), wish.now(true)], [before_pen, after_pen]);
        }
        check(FingerPaints::UntilPen, true, false);
        check(FingerPaints::Always, true, true);
        check(FingerPaints::Never, false, false);
    }
}
