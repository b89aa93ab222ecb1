//! What keys do: every act in one place, by the word that [`crate::keys`] binds keys to.

use leptos::prelude::*;

use crate::annotate::edits::EDITS;
use crate::annotate::tools::{TOOLS, Tool};
use crate::keys::Press;
use crate::session::command::Command;
use crate::session::{Layout, Session};

/// Something that a key does.
pub(crate) struct Act {
    /// Stable word.
    pub(super) id: &'static str,
    /// Where it stands on the sheet.
    pub(super) group: Group,
    /// Words of the sheet.
    pub(super) what: &'static str,
    /// How often it happens while its key is held.
    held: Held,
    command: fn(Session) -> Option<Command>,
}

/// Parts of the sheet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Group {
    Slices,
    Painting,
    Looking,
    Overlays,
    Refining,
}

/// What holding a key down does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    /// What it says it says once: nobody vouches for the next slice with the same press.
    Once,
    /// It goes on moving and stepping.
    GoesOn,
    /// What it has switched is switched back when it is let go.
    SwitchesBack,
}

/// All acts but those of tools and edits.
pub(super) const ACTS: &[Act] = {
    use Group::{Looking, Overlays, Painting, Refining, Slices};
    use Held::{GoesOn, Once, SwitchesBack};
    &[
        act("mark-done", Slices, "This slice is done: every voxel of it is right. Next slice", Once, |_| {
            Some(Command::MarkDone)
        }),
        act("skip", Slices, "Skip this slice", Once, |_| Some(Command::Skip)),
        act("reopen", Slices, "Back to do", Once, |_| Some(Command::Reopen)),
        act("reset-slice", Slices, "Back to the segmentation's labels", Once, |_| Some(Command::ResetSlice)),
        act("slice-versions", Slices, "Versions of this slice", Once, |_| Some(Command::ToggleSliceVersions)),
        act("next-slice", Slices, "Next slice of the list", GoesOn, |_| Some(Command::GoBy(1))),
        act("previous-slice", Slices, "Previous slice of the list", GoesOn, |_| Some(Command::GoBy(-1))),
        act("return", Slices, "Return to the slice being corrected", Once, |session| {
            Some(Command::GoTo(session.rounds.target.now()?))
        }),
        act("correct-plane", Slices, "Correct the plane in the large view as well", Once, |session| {
            Some(Command::CorrectPlane(session.viewing.large.now()))
        }),
        act("next-label", Painting, "Next label", GoesOn, |_| Some(Command::StepLabel(1))),
        act("previous-label", Painting, "Previous label", GoesOn, |_| Some(Command::StepLabel(-1))),
        act("lock-label", Painting, "Lock or unlock the label", Once, |session| {
            Some(Command::ToggleLock(session.painting.label.now()))
        }),
        act("limit", Painting, "Only the label's usual intensities, or any", Once, |_| Some(Command::ToggleLimit)),
        act("smaller-brush", Painting, "Smaller brush", GoesOn, |_| Some(Command::StepBrush(-1))),
        act("larger-brush", Painting, "Larger brush", GoesOn, |_| Some(Command::StepBrush(1))),
        act("undo", Painting, "Undo", GoesOn, |_| Some(Command::Undo)),
        act("redo", Painting, "Redo", GoesOn, |_| Some(Command::Redo)),
        act("press-here", Painting, "Use the tool on the crosshair's voxel", GoesOn, |_| Some(Command::PressHere)),
        act("cancel", Painting, "Cancel the stroke under way", Once, |_| Some(Command::CancelStroke)),
        act("next-plane", Looking, "Next plane", GoesOn, |session| scroll(session, 1)),
        act("previous-plane", Looking, "Previous plane", GoesOn, |session| scroll(session, -1)),
        act("crosshair-left", Looking, "Move the crosshair to the left", GoesOn, |session| step(session, [-1, 0])),
        act("crosshair-right", Looking, "… to the right", GoesOn, |session| step(session, [1, 0])),
        act("crosshair-up", Looking, "… up", GoesOn, |session| step(session, [0, -1])),
        act("crosshair-down", Looking, "… down", GoesOn, |session| step(session, [0, 1])),
        act("five-planes-on", Looking, "Five planes on", GoesOn, |session| scroll(session, 5)),
        act("five-planes-back", Looking, "Five planes back", GoesOn, |session| scroll(session, -5)),
        act("automatic-window", Looking, "Automatic window", Once, |session| {
            session.first_window().map(Command::SetWindow)
        }),
        act("next-channel", Looking, "Next channel of the scan", Once, |session| {
            session.next_channel().map(Command::ShowChannel)
        }),
        act("single-view", Looking, "One view, or three", Once, |_| Some(Command::ToggleLayout(Layout::One))),
        act("four-views", Looking, "Four views, with the 3D surface, or three", Once, |_| {
            Some(Command::ToggleLayout(Layout::Four))
        }),
        act("blend-channel", Looking, "Another channel through this one, or none", Once, |session| {
            (session.next_channel().is_some()).then(|| Command::SetBlend(session.next_blend()))
        }),
        act("next-view", Looking, "Next view large", Once, |_| Some(Command::NextView)),
        act("switch-sides", Looking, "Patient's left on the other side of the screen", Once, |_| {
            Some(Command::SwitchConvention)
        }),
        act("fit-views", Looking, "Show whole planes", Once, |_| Some(Command::FitViews)),
        act("smooth-image", Looking, "Smooth image, or voxels", Once, |_| Some(Command::ToggleSmooth)),
        act("toggle-segmentation", Overlays, "Hide or show the segmentation", SwitchesBack, |_| {
            Some(Command::ToggleSegmentation)
        }),
        act("toggle-fill", Overlays, "Outline only, or filled", SwitchesBack, |_| Some(Command::ToggleOutline)),
        act("less-opaque", Overlays, "Segmentation less opaque", GoesOn, |_| Some(Command::StepOpacity(-0.05))),
        act("more-opaque", Overlays, "Segmentation more opaque", GoesOn, |_| Some(Command::StepOpacity(0.05))),
        act("toggle-uncertainty", Overlays, "Uncertainty", SwitchesBack, |_| Some(Command::ToggleUncertainty)),
        act("toggle-crosshair", Overlays, "Hide or show the crosshair", SwitchesBack, |_| {
            Some(Command::ToggleCrosshair)
        }),
        act("toggle-image-first", Overlays, "Image first on new slices", Once, |_| Some(Command::ToggleImageFirst)),
        act("reveal", Overlays, "Show the presegmentation of a slice that began blank", Once, |_| {
            Some(Command::Reveal)
        }),
        act("compare", Refining, "Compare: before and after refinement", SwitchesBack, |_| {
            Some(Command::ToggleCompare)
        }),
        act("changes", Refining, "Mark what refinement changed", SwitchesBack, |_| Some(Command::ToggleChanges)),
        act("next-change", Refining, "Next change of the refinement", GoesOn, |_| Some(Command::StepChange(1))),
        act("previous-change", Refining, "Previous change", GoesOn, |_| Some(Command::StepChange(-1))),
        act("decide-change", Refining, "Leave this change as it was before, or take it", Once, |_| {
            Some(Command::DecideHere)
        }),
        act("refine", Refining, "Refine with the slices that are done", Once, |_| Some(Command::Refine)),
        act("another-round", Refining, "Another round of slices", Once, |session| {
            let has_next =
                session.case.detail.now_with(|detail| detail.as_ref().is_some_and(|case| case.next.is_some()));
            has_next.then_some(Command::BeginRound)
        }),
        act("download", Refining, "Download what is on the screen", Once, |_| Some(Command::Download)),
        act("sheet", Overlays, "This sheet", Once, |_| Some(Command::ToggleSheet)),
    ]
};

const fn act(
    id: &'static str,
    group: Group,
    what: &'static str,
    held: Held,
    command: fn(Session) -> Option<Command>,
) -> Act {
    Act { id, group, what, held, command }
}

fn scroll(session: Session, steps: i64) -> Option<Command> {
    Some(Command::Scroll(session.viewing.large.now(), steps))
}

fn step(session: Session, by: [i64; 2]) -> Option<Command> {
    Some(Command::StepCrosshair(session.viewing.large.now(), by))
}

fn find(id: &str) -> Option<&'static Act> {
    ACTS.iter().find(|act| act.id == id)
}

/// What a key asks for. Under the sheet of keys nothing happens that one could not see.
pub(crate) fn command_for(press: &Press, session: Session) -> Option<Command> {
    let names = press.names();
    let bound = session.preferences.keys.now_with(|keys| keys.act(&names));
    if session.viewing.sheet.now() {
        return closes_sheet(press, bound.as_deref()).then_some(Command::ToggleSheet);
    }
    let Some(id) = bound else {
        return if press.repeated { None } else { digit_command(session, &names) };
    };
    if let Some(act) = find(&id) {
        return (!press.repeated || act.held == Held::GoesOn).then(|| (act.command)(session)).flatten();
    }
    if press.repeated {
        return None;
    }
    let tool = id.strip_prefix("tool-").and_then(Tool::by_id).map(Command::SetTool);
    let edit = id.strip_prefix("edit-").and_then(|id| EDITS.iter().find(|edit| edit.card().id == id));
    tool.or(edit.map(|edit| Command::Edit(*edit)))
}

/// A digit that is bound to nothing chooses a label; with Shift, or with a tool that paints none, a window.
fn digit_command(session: Session, names: &[String]) -> Option<Command> {
    names.iter().find_map(|name| match name.strip_prefix("shift+") {
        Some(digit) => window_preset(session, digit),
        None if session.painting.tool.now().paints() => name.parse().ok().map(Command::SetLabel),
        None => window_preset(session, name),
    })
}

/// The window that stands in this place, 0 being the automatic one.
fn window_preset(session: Session, place: &str) -> Option<Command> {
    let (_, window) = *session.presets().get(place.parse::<usize>().ok()?)?;
    Some(Command::SetWindow(window))
}

fn closes_sheet(press: &Press, bound: Option<&str>) -> bool {
    !press.repeated && (press.key == "Escape" || bound == Some("sheet"))
}

/// What letting go of a key that was held for a while asks for: what it has switched is switched back.
pub(crate) fn command_after(press: &Press, session: Session) -> Option<Command> {
    let bound = session.preferences.keys.now_with(|keys| keys.act(&press.names()))?;
    let act = find(&bound).filter(|act| act.held == Held::SwitchesBack)?;
    (!session.viewing.sheet.now()).then(|| (act.command)(session)).flatten()
}

/// Every act in words: its stable word and what it does; tools and edits too.
pub(super) fn all_words() -> impl Iterator<Item = (String, String)> {
    let acts = ACTS.iter().map(|act| (act.id.to_owned(), act.what.to_owned()));
    let tools = TOOLS.iter().map(|tool| (format!("tool-{}", tool.card().id), tool.card().name.to_owned()));
    let edits = EDITS.iter().map(|edit| (format!("edit-{}", edit.card().id), edit.card().name.to_owned()));
    acts.chain(tools).chain(edits)
}

/// The first key of an act, beside its name on a control; nothing while it has none.
#[component]
pub(super) fn Key(#[prop(into)] act: String) -> impl IntoView {
    let session = expect_context::<Session>();
    move || session.preferences.keys.with(|keys| keys.first(&act)).map(|key| view! { <kbd>{key}</kbd> })
}

/// Words with the first key of an act behind them: `Undo (Ctrl+Z)`.
pub(super) fn with_key(session: Session, words: &'static str, act: &'static str) -> impl Fn() -> String + Copy {
    move || match session.preferences.keys.with(|keys| keys.first(act)) {
        Some(key) => format!("{words} ({key})"),
        None => words.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::keys::{KeyMap, PRESETS};

    fn press(key: &str, ctrl: bool) -> Press {
        Press { key: key.into(), ctrl, ..Press::default() }
    }

    #[test]
    fn a_key_held_down_moves_on_but_says_nothing_twice() {
        fn check(keys: &[&str], ctrl: bool, held: &[Held]) {
            for key in keys {
                let id = KeyMap::default().act(&press(key, ctrl).names()).unwrap();
                assert!(held.contains(&find(&id).unwrap().held), "{key}");
            }
        }
        check(&["Enter", " ", "s"], false, &[Held::Once]);
        check(&["h", "c", "u"], false, &[Held::SwitchesBack]);
        check(&["ArrowDown", "PageUp", "[", "]", "n", "p"], false, &[Held::GoesOn]);
        check(&["z", "y"], true, &[Held::GoesOn]);
    }

    #[test]
    fn every_act_has_a_key_in_every_preset_and_no_word_stands_twice() {
        let mut words = BTreeSet::new();
        for (id, _) in all_words() {
            for (preset, name) in PRESETS {
                assert!(!KeyMap::of(preset).keys(&id).is_empty(), "{id} has no key in {name}");
            }
            assert!(words.insert(id.clone()), "{id} stands twice");
        }
    }

    #[test]
    fn under_the_sheet_only_its_own_keys_act() {
        fn check(key: &str, bound: Option<&str>, expected: bool) {
            assert_eq!(closes_sheet(&press(key, false), bound), expected, "{key}");
        }
        check("Escape", Some("cancel"), true);
        check("?", Some("sheet"), true);
        check("Enter", Some("mark-done"), false);
        check("s", None, false);
    }
}
