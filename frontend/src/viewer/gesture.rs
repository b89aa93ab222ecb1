//! What a hand on the mouse means: buttons and modifiers in, intentions out. Knows neither canvases nor voxels.

/// Modifier keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Modifiers {
    /// Shift.
    pub(crate) shift: bool,
    /// Ctrl, or Cmd on a Mac.
    pub(crate) ctrl: bool,
    /// Alt.
    pub(crate) alt: bool,
}

/// What a drag does from press to release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Drag {
    /// Uses the tool; with `invert`, brush and eraser change roles.
    Paint {
        /// Ctrl is held.
        invert: bool,
    },
    /// Moves the crosshair.
    Crosshair,
    /// Moves the plane.
    Pan,
    /// Changes the window.
    Window,
    /// A painting tool where there is nothing to paint on: says so.
    Refused,
}

/// Whether the plane under the pointer can be painted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ground {
    /// The slice being corrected.
    Slice,
    /// The slice's view, scrolled away from it.
    Elsewhere,
    /// Another view: painting tools move the crosshair there.
    OtherView,
}

/// What pressing `button` (0 left, 1 middle, 2 right) begins with a tool that changes labels (`paints`) or does not.
pub(crate) fn drag_for(button: i16, modifiers: Modifiers, paints: bool, ground: Ground) -> Option<Drag> {
    match button {
        0 if modifiers.shift => Some(Drag::Crosshair),
        0 if modifiers.alt => Some(Drag::Pan),
        0 if !paints || ground == Ground::OtherView => Some(Drag::Crosshair),
        0 if ground == Ground::Elsewhere => Some(Drag::Refused),
        0 => Some(Drag::Paint { invert: modifiers.ctrl }),
        1 => Some(Drag::Pan),
        2 => Some(Drag::Window),
        _ => None,
    }
}

/// Whether one finger paints, as the expert wants it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum FingerPaints {
    /// Until a pen has been seen: from then on a hand may rest on the screen.
    #[default]
    UntilPen,
    /// Even beside a pen.
    Always,
    /// One finger moves the plane.
    Never,
}

impl FingerPaints {
    /// Whether a finger that touches now paints.
    pub(crate) fn now(self, pen_seen: bool) -> bool {
        self == FingerPaints::Always || (self == FingerPaints::UntilPen && !pen_seen)
    }
}

/// What turning the wheel means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Turn {
    /// Slices to move by.
    Scroll(i64),
    /// Factor to zoom by.
    Zoom(f64),
    /// Steps to change the brush by.
    BrushSize(i64),
    /// Not enough yet.
    Nothing,
}

/// Collects what the wheel sends: mice send 100 or 120 pixels or 3 lines a notch, trackpads a few pixels at a time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wheel {
    rest_px: f64,
}

/// Pixels that make one step.
const STEP_PX: f64 = 60.0;

impl Wheel {
    /// Takes a turn of `delta` (`mode` 0 pixels, 1 lines, 2 pages; down is positive) and says what it amounts to. A
    /// mouse's notch is one step.
    pub(crate) fn turn(&mut self, delta: f64, mode: u32, modifiers: Modifiers) -> Turn {
        let px = delta * [1.0, 40.0, 400.0][mode.min(2) as usize];
        if modifiers.ctrl {
            self.rest_px = 0.0;
            return Turn::Zoom((-px / 400.0).clamp(-1.0, 1.0).exp());
        }
        // A whole notch at once is one step whatever the browser calls it; finer turns add up.
        let steps = if px.abs() >= STEP_PX {
            self.rest_px = 0.0;
            (px.abs() / 120.0).round().max(1.0).copysign(px) as i64
        } else {
            self.rest_px += px;
            let steps = (self.rest_px / STEP_PX).trunc();
            self.rest_px -= steps * STEP_PX;
            steps as i64
        };
        match steps {
            0 => Turn::Nothing,
            steps if modifiers.shift => Turn::BrushSize(-steps),
            steps => Turn::Scroll(steps),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Modifiers = Modifiers { shift: false, ctrl: false, alt: false };
    const SHIFT: Modifiers = Modifiers { shift: true, ..PLAIN };
    const CTRL: Modifiers = Modifiers { ctrl: true, ..PLAIN };

    #[test]
    fn buttons_mean_what_readers_expect() {
        fn check(button: i16, modifiers: Modifiers, paints: bool, ground: Ground, expected: Drag) {
            assert_eq!(drag_for(button, modifiers, paints, ground), Some(expected));
        }
        check(0, PLAIN, false, Ground::Slice, Drag::Crosshair);
        check(0, PLAIN, true, Ground::Slice, Drag::Paint { invert: false });
        check(0, CTRL, true, Ground::Slice, Drag::Paint { invert: true });
        check(0, SHIFT, true, Ground::Slice, Drag::Crosshair);
        check(0, PLAIN, true, Ground::OtherView, Drag::Crosshair);
        check(0, PLAIN, true, Ground::Elsewhere, Drag::Refused);
        check(1, PLAIN, true, Ground::Slice, Drag::Pan);
        check(2, PLAIN, true, Ground::Slice, Drag::Window);
        assert_eq!(drag_for(3, PLAIN, true, Ground::Slice), None);
    }

    #[test]
    fn a_notch_is_a_slice_and_small_turns_add_up() {
        fn check(turns: &[(f64, u32)], modifiers: Modifiers, expected: &[Turn]) {
            let mut wheel = Wheel::default();
            let got: Vec<Turn> = turns.iter().map(|&(delta, mode)| wheel.turn(delta, mode, modifiers)).collect();
            assert_eq!(got, expected);
        }
        check(&[(120.0, 0), (-100.0, 0), (3.0, 1), (240.0, 0)], PLAIN, &[1, -1, 1, 2].map(Turn::Scroll));
        check(&[(25.0, 0), (25.0, 0), (25.0, 0)], PLAIN, &[Turn::Nothing, Turn::Nothing, Turn::Scroll(1)]);
        check(&[(120.0, 0)], SHIFT, &[Turn::BrushSize(-1)]);
        check(&[(0.0, 0)], CTRL, &[Turn::Zoom(1.0)]);
    }
}
