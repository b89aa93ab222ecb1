//! What a hand on the mouse means: buttons and modifiers in, intentions out. Knows neither canvases nor voxels.

/// What the left button does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tool {
    /// Moves the crosshair.
    #[default]
    Crosshair,
    /// Paints the chosen label.
    Brush,
    /// Paints background.
    Eraser,
    /// Fills a connected region.
    Fill,
}

impl Tool {
    /// Whether it changes labels.
    pub(crate) fn paints(self) -> bool {
        self != Tool::Crosshair
    }
}

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
    /// Paints; with `invert`, brush and eraser change roles.
    Paint {
        /// Ctrl is held.
        invert: bool,
    },
    /// Fills where it was pressed; the rest of the drag does nothing.
    Fill,
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

/// What pressing `button` (0 left, 1 middle, 2 right) begins.
pub(crate) fn drag_for(button: i16, modifiers: Modifiers, tool: Tool, ground: Ground) -> Option<Drag> {
    match button {
        0 if modifiers.shift => Some(Drag::Crosshair),
        0 if modifiers.alt => Some(Drag::Pan),
        0 if !tool.paints() || ground == Ground::OtherView => Some(Drag::Crosshair),
        0 if ground == Ground::Elsewhere => Some(Drag::Refused),
        0 if tool == Tool::Fill => Some(Drag::Fill),
        0 => Some(Drag::Paint { invert: modifiers.ctrl }),
        1 => Some(Drag::Pan),
        2 => Some(Drag::Window),
        _ => None,
    }
}

/// The pointer that holds a view, from its press to its release. Others are not heard meanwhile: a palm beside the pen ends no stroke. A pen or mouse
/// takes over from a finger, because a palm usually lands first.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Grip(Option<Held>);

#[derive(Clone, Copy, Debug)]
struct Held {
    pointer: i32,
    is_finger: bool,
    drag: Drag,
    at: [f64; 2],
}

impl Grip {
    /// Whether a press of this pointer would be heard.
    pub(crate) fn takes(&self, pointer: i32, is_finger: bool) -> bool {
        self.0.is_none_or(|held| held.pointer == pointer || (held.is_finger && !is_finger))
    }

    /// Whether moves of this pointer are heard.
    pub(crate) fn hears(&self, pointer: i32) -> bool {
        self.0.is_none_or(|held| held.pointer == pointer)
    }

    /// A pointer is pressed and begins a drag.
    pub(crate) fn press(&mut self, pointer: i32, is_finger: bool, drag: Drag, at: [f64; 2]) {
        if self.takes(pointer, is_finger) {
            self.0 = Some(Held { pointer, is_finger, drag, at });
        }
    }

    /// A pointer has moved: its drag, and how far it has come since it was last heard of. Nothing if it does not hold the view.
    pub(crate) fn moved(&mut self, pointer: i32, at: [f64; 2]) -> Option<(Drag, [f64; 2])> {
        let held = self.0.as_mut().filter(|held| held.pointer == pointer)?;
        let by = [at[0] - held.at[0], at[1] - held.at[1]];
        held.at = at;
        Some((held.drag, by))
    }

    /// A pointer is up: the drag that ends with it, if it held the view.
    pub(crate) fn release(&mut self, pointer: i32) -> Option<Drag> {
        self.0.take_if(|held| held.pointer == pointer).map(|held| held.drag)
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
    /// Takes a turn of `delta` (`mode` 0 pixels, 1 lines, 2 pages; down is positive) and says what it amounts to. A mouse's notch is one step.
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
        fn check(button: i16, modifiers: Modifiers, tool: Tool, ground: Ground, expected: Drag) {
            assert_eq!(drag_for(button, modifiers, tool, ground), Some(expected));
        }
        check(0, PLAIN, Tool::Crosshair, Ground::Slice, Drag::Crosshair);
        check(0, PLAIN, Tool::Brush, Ground::Slice, Drag::Paint { invert: false });
        check(0, CTRL, Tool::Brush, Ground::Slice, Drag::Paint { invert: true });
        check(0, SHIFT, Tool::Brush, Ground::Slice, Drag::Crosshair);
        check(0, PLAIN, Tool::Fill, Ground::Slice, Drag::Fill);
        check(0, PLAIN, Tool::Eraser, Ground::OtherView, Drag::Crosshair);
        check(0, PLAIN, Tool::Eraser, Ground::Elsewhere, Drag::Refused);
        check(1, PLAIN, Tool::Brush, Ground::Slice, Drag::Pan);
        check(2, PLAIN, Tool::Brush, Ground::Slice, Drag::Window);
        assert_eq!(drag_for(3, PLAIN, Tool::Brush, Ground::Slice), None);
    }

    #[test]
    fn a_palm_beside_the_pen_is_not_heard() {
        const PEN: i32 = 7;
        const PALM: i32 = 8;
        let paint = Drag::Paint { invert: false };
        let mut grip = Grip::default();
        grip.press(PEN, false, paint, [0.0, 0.0]);
        assert!(!grip.takes(PALM, true) && !grip.hears(PALM));
        grip.press(PALM, true, Drag::Pan, [50.0, 50.0]);
        assert_eq!(grip.moved(PALM, [60.0, 50.0]), None);
        assert_eq!(grip.release(PALM), None);
        assert_eq!(grip.moved(PEN, [3.0, 4.0]), Some((paint, [3.0, 4.0])));
        assert_eq!(grip.moved(PEN, [3.0, 5.0]), Some((paint, [0.0, 1.0])));
        assert_eq!(grip.release(PEN), Some(paint));
        assert_eq!(grip.release(PEN), None);
    }

    #[test]
    fn the_pen_takes_over_from_a_palm_that_was_first() {
        fn check(first_is_finger: bool, second_is_finger: bool, second_takes: bool) {
            let mut grip = Grip::default();
            grip.press(1, first_is_finger, Drag::Pan, [0.0, 0.0]);
            grip.press(2, second_is_finger, Drag::Crosshair, [0.0, 0.0]);
            assert_eq!(grip.moved(2, [0.0, 0.0]).is_some(), second_takes);
            assert_eq!(grip.moved(1, [0.0, 0.0]).is_none(), second_takes);
        }
        check(true, false, true);
        check(true, true, false);
        check(false, false, false);
    }

    #[test]
    fn a_pointer_whose_release_was_lost_may_press_again() {
        let mut grip = Grip::default();
        grip.press(1, false, Drag::Pan, [0.0, 0.0]);
        grip.press(1, false, Drag::Window, [5.0, 5.0]);
        assert_eq!(grip.release(1), Some(Drag::Window));
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
