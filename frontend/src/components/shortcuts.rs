//! Every key in one place: what it does, and the sheet that says so.

use leptos::prelude::*;
use web_sys::KeyboardEvent;

use super::icon::{Icon, Shape};
use crate::session::Session;
use crate::session::command::Command;
use crate::viewer::gesture::Tool;

/// A key press, as far as it matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    /// `KeyboardEvent.key`, letters in lower case.
    pub(crate) key: String,
    /// `KeyboardEvent.code` of the digit row or the number pad, so that digits are found on every layout.
    pub(crate) digit: Option<u8>,
    /// Shift is held.
    pub(crate) shift: bool,
    /// Ctrl or Cmd is held.
    pub(crate) ctrl: bool,
    /// It is held down, and this is not its first press.
    pub(crate) repeated: bool,
}

impl From<&KeyboardEvent> for Key {
    fn from(event: &KeyboardEvent) -> Self {
        let key = event.key();
        Self {
            key: if key.chars().count() == 1 { key.to_lowercase() } else { key },
            digit: ["Digit", "Numpad"].iter().find_map(|row| event.code().strip_prefix(row)?.parse().ok()),
            shift: event.shift_key(),
            ctrl: event.ctrl_key() || event.meta_key(),
            repeated: event.repeat(),
        }
    }
}

impl Key {
    /// Whether it operates a button that has the focus.
    pub(crate) fn operates(&self) -> bool {
        matches!(self.key.as_str(), "Enter" | " ")
    }

    /// Whether it does anything now. A key that is held down goes on moving and stepping, but what it says or switches it says once: nobody vouches
    /// for the next slice with the same press. Under the sheet of keys nothing happens that one could not see.
    pub(crate) fn acts(&self, sheet_open: bool) -> bool {
        let key = self.key.as_str();
        let steps = self.ctrl || key.starts_with("Arrow") || key.starts_with("Page") || matches!(key, "[" | "]" | "-" | "+" | "n" | "p");
        let closes = !self.ctrl && matches!(key, "Escape" | "?");
        (!self.repeated || steps) && (!sheet_open || closes)
    }
}

/// What a key asks for.
pub(crate) fn command_for(key: &Key, session: Session) -> Option<Command> {
    if !key.acts(session.viewing.sheet.now()) {
        return None;
    }
    if key.ctrl {
        return match key.key.as_str() {
            "z" if key.shift => Some(Command::Redo),
            "z" => Some(Command::Undo),
            "y" => Some(Command::Redo),
            _ => None,
        };
    }
    match (key.digit, key.shift) {
        (Some(0), false) => return session.first_window().map(Command::SetWindow),
        (Some(digit), false) => return Some(Command::SetLabel(digit)),
        _ => {}
    }
    plain(&key.key, session)
}

fn plain(key: &str, session: Session) -> Option<Command> {
    let large = session.viewing.large.now();
    Some(match key {
        "b" => Command::SetTool(Tool::Brush),
        "e" => Command::SetTool(Tool::Eraser),
        "f" => Command::SetTool(Tool::Fill),
        "x" => Command::SetTool(Tool::Crosshair),
        "[" | "-" => Command::StepBrush(-1),
        "]" | "+" => Command::StepBrush(1),
        "h" => Command::ToggleSegmentation,
        "o" => Command::ToggleOutline,
        "u" => Command::ToggleUncertainty,
        "c" => Command::ToggleCompare,
        "d" => Command::ToggleChanges,
        "w" => Command::FitViews,
        "i" => Command::ShowChannel(session.next_channel()?),
        "n" => Command::GoBy(1),
        "p" => Command::GoBy(-1),
        "r" => Command::GoTo(session.rounds.target.now()?),
        "s" => Command::Skip,
        "Enter" | " " => Command::MarkDone,
        "ArrowDown" | "ArrowRight" => Command::Scroll(large, 1),
        "ArrowUp" | "ArrowLeft" => Command::Scroll(large, -1),
        "PageDown" => Command::Scroll(large, 5),
        "PageUp" => Command::Scroll(large, -5),
        "Escape" if session.viewing.sheet.now() => Command::ToggleSheet,
        "Escape" => Command::CancelStroke,
        "?" => Command::ToggleSheet,
        _ => return None,
    })
}

/// What the sheet says.
const SHEET: &[(&str, &[(&str, &str)])] = &[
    (
        "Slices",
        &[
            ("Enter or Space", "This slice is done: every voxel of it is right. Next slice"),
            ("S", "Skip this slice"),
            ("N · P", "Next, previous slice of the list"),
            ("R", "Return to the slice being corrected"),
            ("Wheel · ↑ ↓", "Scroll through planes"),
        ],
    ),
    (
        "Painting",
        &[
            ("B · E · F", "Brush, eraser, fill"),
            ("Ctrl, held", "Brush erases, eraser paints"),
            ("[ · ] or − · + or Shift+Wheel", "Smaller, larger brush"),
            ("1 … 9", "Choose a label"),
            ("Ctrl+Z · Ctrl+Shift+Z", "Undo, redo"),
            ("Esc", "Cancel the stroke under way"),
        ],
    ),
    (
        "Looking",
        &[
            ("X", "Crosshair tool"),
            ("Shift+Click", "Move the crosshair, whatever the tool"),
            ("Right drag", "Window: width and centre"),
            ("0", "Automatic window"),
            ("I", "Next channel of the scan"),
            ("Ctrl+Wheel", "Zoom at the pointer"),
            ("Middle drag · Alt+drag", "Pan"),
            ("W", "Show whole planes"),
        ],
    ),
    (
        "Overlays and versions",
        &[
            ("H", "Hide or show the segmentation"),
            ("O", "Outline only, or filled"),
            ("U", "Uncertainty"),
            ("C", "Compare: before and after refinement"),
            ("D", "Mark what refinement changed"),
            ("?", "This sheet"),
        ],
    ),
];

/// The sheet of keys.
#[component]
pub(crate) fn ShortcutSheet() -> impl IntoView {
    let session = expect_context::<Session>();
    let close = move |_| session.dispatch(Command::ToggleSheet);
    view! {
        <Show when=move || session.viewing.sheet.get()>
            <div class="sheet-back" on:click=close>
                <section
                    class="sheet" role="dialog" aria-modal="true" aria-label="Keyboard and mouse" data-testid="shortcut-sheet"
                    on:click=move |event| event.stop_propagation()
                >
                    <header>
                        <h2>"Keyboard and mouse"</h2>
                        <button class="quiet" aria-label="Close" on:click=close><Icon shape=Shape::Cross /></button>
                    </header>
                    <div class="sheet-columns">{SHEET.iter().map(|(title, rows)| view! { <SheetPart title=title rows=rows /> }).collect_view()}</div>
                </section>
            </div>
        </Show>
    }
}

#[component]
fn SheetPart(title: &'static str, rows: &'static [(&'static str, &'static str)]) -> impl IntoView {
    view! {
        <div>
            <h3>{title}</h3>
            <dl>{rows.iter().map(|(keys, what)| view! { <dt><kbd>{*keys}</kbd></dt><dd>{*what}</dd> }).collect_view()}</dl>
        </div>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(key: &str, ctrl: bool, repeated: bool) -> Key {
        Key { key: key.into(), digit: None, shift: false, ctrl, repeated }
    }

    #[test]
    fn a_key_held_down_moves_on_but_says_nothing_twice() {
        fn check(keys: &[&str], ctrl: bool, goes_on: bool) {
            for name in keys {
                assert!(key(name, ctrl, false).acts(false), "{name} once");
                assert_eq!(key(name, ctrl, true).acts(false), goes_on, "{name} held");
            }
        }
        check(&["Enter", " ", "s", "h", "c", "u"], false, false);
        check(&["ArrowDown", "PageUp", "[", "]", "n", "p"], false, true);
        check(&["z", "y"], true, true);
    }

    #[test]
    fn under_the_sheet_only_its_own_keys_act() {
        fn check(name: &str, ctrl: bool, expected: bool) {
            assert_eq!(key(name, ctrl, false).acts(true), expected, "{name}");
        }
        check("Escape", false, true);
        check("?", false, true);
        check("Enter", false, false);
        check("s", false, false);
        check("z", true, false);
    }
}
