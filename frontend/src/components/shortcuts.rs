//! Every key in one place: what it does, and the sheet that says so.

use leptos::html::Dialog;
use leptos::prelude::*;
use web_sys::MouseEvent;

use super::icon::{Icon, Shape};
use super::keys::{Press, shown};
use crate::annotate::tools::{TOOLS, Tool};
use crate::session::Session;
use crate::session::command::Command;

/// Something that a key does.
pub(crate) struct Act {
    group: Group,
    /// Names of its keys, see [`Press::names`].
    keys: &'static [&'static str],
    /// Words of the sheet.
    what: &'static str,
    /// How often it happens while its key is held.
    held: Held,
    command: fn(Session) -> Option<Command>,
}

/// Parts of the sheet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Group {
    Slices,
    Painting,
    Looking,
    Overlays,
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

/// All keys but those of tools and digits.
const ACTS: &[Act] = {
    use Group::{Looking, Overlays, Painting, Slices};
    use Held::{GoesOn, Once, SwitchesBack};
    &[
        act(Slices, &["Enter", "Space"], "This slice is done: every voxel of it is right. Next slice", Once, |_| {
            Some(Command::MarkDone)
        }),
        act(Slices, &["s"], "Skip this slice", Once, |_| Some(Command::Skip)),
        act(Slices, &["n"], "Next slice of the list", GoesOn, |_| Some(Command::GoBy(1))),
        act(Slices, &["p"], "Previous slice of the list", GoesOn, |_| Some(Command::GoBy(-1))),
        act(Slices, &["r"], "Return to the slice being corrected", Once, |session| {
            Some(Command::GoTo(session.rounds.target.now()?))
        }),
        act(Slices, &["a"], "Correct the plane in the large view as well", Once, |session| {
            Some(Command::CorrectPlane(session.viewing.large.now()))
        }),
        act(Painting, &["[", "-"], "Smaller brush", GoesOn, |_| Some(Command::StepBrush(-1))),
        act(Painting, &["]", "+"], "Larger brush", GoesOn, |_| Some(Command::StepBrush(1))),
        act(Painting, &["ctrl+z"], "Undo", GoesOn, |_| Some(Command::Undo)),
        act(Painting, &["ctrl+shift+z", "ctrl+y"], "Redo", GoesOn, |_| Some(Command::Redo)),
        act(Painting, &["."], "Use the tool on the crosshair's voxel", GoesOn, |_| Some(Command::PressHere)),
        act(Painting, &["Escape"], "Cancel the stroke under way", Once, |_| Some(Command::CancelStroke)),
        act(Looking, &["ArrowDown", "ArrowRight"], "Next plane", GoesOn, |session| scroll(session, 1)),
        act(Looking, &["ArrowUp", "ArrowLeft"], "Previous plane", GoesOn, |session| scroll(session, -1)),
        act(Looking, &["shift+ArrowLeft"], "Move the crosshair to the left", GoesOn, |session| step(session, [-1, 0])),
        act(Looking, &["shift+ArrowRight"], "… to the right", GoesOn, |session| step(session, [1, 0])),
        act(Looking, &["shift+ArrowUp"], "… up", GoesOn, |session| step(session, [0, -1])),
        act(Looking, &["shift+ArrowDown"], "… down", GoesOn, |session| step(session, [0, 1])),
        act(Looking, &["PageDown"], "Five planes on", GoesOn, |session| scroll(session, 5)),
        act(Looking, &["PageUp"], "Five planes back", GoesOn, |session| scroll(session, -5)),
        act(Looking, &["0"], "Automatic window", Once, |session| session.first_window().map(Command::SetWindow)),
        act(Looking, &["i"], "Next channel of the scan", Once, |session| {
            session.next_channel().map(Command::ShowChannel)
        }),
        act(Looking, &["q"], "One view, or three", Once, |_| Some(Command::ToggleSingle)),
        act(Looking, &["t"], "Patient's left on the other side of the screen", Once, |_| {
            Some(Command::SwitchConvention)
        }),
        act(Looking, &["w"], "Show whole planes", Once, |_| Some(Command::FitViews)),
        act(Overlays, &["h"], "Hide or show the segmentation", SwitchesBack, |_| Some(Command::ToggleSegmentation)),
        act(Overlays, &["o"], "Outline only, or filled", SwitchesBack, |_| Some(Command::ToggleOutline)),
        act(Overlays, &["u"], "Uncertainty", SwitchesBack, |_| Some(Command::ToggleUncertainty)),
        act(Overlays, &["v"], "Hide or show the crosshair", SwitchesBack, |_| Some(Command::ToggleCrosshair)),
        act(Overlays, &["c"], "Compare: before and after refinement", SwitchesBack, |_| Some(Command::ToggleCompare)),
        act(Overlays, &["d"], "Mark what refinement changed", SwitchesBack, |_| Some(Command::ToggleChanges)),
        act(Overlays, &["?"], "This sheet", Once, |_| Some(Command::ToggleSheet)),
    ]
};

const fn act(
    group: Group,
    keys: &'static [&'static str],
    what: &'static str,
    held: Held,
    command: fn(Session) -> Option<Command>,
) -> Act {
    Act { group, keys, what, held, command }
}

fn scroll(session: Session, steps: i64) -> Option<Command> {
    Some(Command::Scroll(session.viewing.large.now(), steps))
}

fn step(session: Session, by: [i64; 2]) -> Option<Command> {
    Some(Command::StepCrosshair(session.viewing.large.now(), by))
}

/// The act that a press asks for.
fn act_of(press: &Press) -> Option<&'static Act> {
    press.names().iter().find_map(|name| ACTS.iter().find(|act| act.keys.contains(&name.as_str())))
}

/// What a key asks for. Under the sheet of keys nothing happens that one could not see.
pub(crate) fn command_for(press: &Press, session: Session) -> Option<Command> {
    if session.viewing.sheet.now() {
        return closes_sheet(press).then_some(Command::ToggleSheet);
    }
    if let Some(act) = act_of(press) {
        return (!press.repeated || act.held == Held::GoesOn).then(|| (act.command)(session)).flatten();
    }
    if press.repeated {
        return None;
    }
    press.names().iter().find_map(|name| {
        let tool = Tool::by_key(name).map(Command::SetTool);
        let window = name.strip_prefix("shift+").and_then(|digit| window_preset(session, digit));
        tool.or(window).or_else(|| digit_command(session, name))
    })
}

/// A digit chooses a label; with a tool that paints none, a window.
fn digit_command(session: Session, digit: &str) -> Option<Command> {
    if session.painting.tool.now().paints() {
        digit.parse().ok().map(Command::SetLabel)
    } else {
        window_preset(session, digit)
    }
}

/// The window that stands in this place, 0 being the automatic one.
fn window_preset(session: Session, place: &str) -> Option<Command> {
    let (_, window) = *session.presets().get(place.parse::<usize>().ok()?)?;
    Some(Command::SetWindow(window))
}

fn closes_sheet(press: &Press) -> bool {
    !press.repeated && press.names().iter().any(|name| matches!(name.as_str(), "Escape" | "?"))
}

/// What letting go of a key that was held for a while asks for: what it has switched is switched back.
pub(crate) fn command_after(press: &Press, session: Session) -> Option<Command> {
    let act = act_of(press).filter(|act| act.held == Held::SwitchesBack)?;
    (!session.viewing.sheet.now()).then(|| (act.command)(session)).flatten()
}

/// What a hand does, and what comes of it.
type Hand = (&'static str, &'static str);

/// Parts of the sheet, and what the mouse does in each.
const PARTS: &[(Group, &str, &[Hand])] = &[
    (Group::Slices, "Slices", &[("Wheel", "Scroll through planes")]),
    (
        Group::Painting,
        "Painting",
        &[
            ("1 … 9", "Choose a label, with a tool that paints"),
            ("Ctrl, held", "Brush erases, eraser paints"),
            ("Shift+Wheel", "Smaller, larger brush"),
        ],
    ),
    (
        Group::Looking,
        "Looking",
        &[
            ("Shift+Click", "Move the crosshair, whatever the tool"),
            ("Shift+1 … 4", "Windows in their order; without Shift if the tool paints nothing"),
            ("Right drag", "Window: width and centre"),
            ("Ctrl+Wheel", "Zoom at the pointer"),
            ("Middle drag, Alt+drag", "Pan"),
            ("Two fingers", "Pan and zoom"),
        ],
    ),
    (Group::Overlays, "Overlays and versions", &[("held", "Only while the key is held")]),
];

/// The sheet of keys.
#[component]
pub(crate) fn ShortcutSheet() -> impl IntoView {
    let session = expect_context::<Session>();
    let dialog = NodeRef::<Dialog>::new();
    Effect::new(move || {
        let (Some(dialog), open) = (dialog.get(), session.viewing.sheet.get()) else { return };
        match open {
            // A dialog that is open already stays so.
            true if !dialog.open() => drop(dialog.show_modal()),
            false => dialog.close(),
            true => {}
        }
    });
    let close = move || {
        if session.viewing.sheet.now() {
            session.dispatch(Command::ToggleSheet);
        }
    };
    // The dialog fills itself: a click on itself is one on what lies behind it.
    let aside = move |event: MouseEvent| {
        if event.target() == event.current_target() {
            close();
        }
    };
    view! {
        <dialog
            node_ref=dialog class="sheet" aria-labelledby="sheet-title" data-testid="shortcut-sheet"
            on:close=move |_| close() on:click=aside
        >
            <div class="sheet-body">
                <header>
                    <h2 id="sheet-title">"Keyboard and mouse"</h2>
                    <button class="quiet" aria-label="Close" on:click=move |_| close()>
                        <Icon shape=Shape::Cross />
                    </button>
                </header>
                <div class="sheet-columns">
                    <ToolKeys />
                    {PARTS.iter().map(|(group, title, mouse)| view! {
                        <SheetPart group=*group title=title mouse=mouse />
                    }).collect_view()}
                </div>
            </div>
        </dialog>
    }
}

#[component]
fn ToolKeys() -> impl IntoView {
    let row = |tool: &Tool| {
        let card = tool.card();
        view! {
            <dt><kbd>{card.key.to_uppercase().to_string()}</kbd></dt>
            <dd>{format!("{}: {}", card.name, lower_first(card.about))}</dd>
        }
    };
    view! {
        <div>
            <h3>"Tools"</h3>
            <dl>{TOOLS.iter().map(row).collect_view()}</dl>
        </div>
    }
}

fn lower_first(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

#[component]
fn SheetPart(group: Group, title: &'static str, mouse: &'static [Hand]) -> impl IntoView {
    let keys = |act: &Act| act.keys.iter().map(|key| view! { <kbd>{shown(key)}</kbd> " " }).collect_view();
    let acts =
        ACTS.iter().filter(move |act| act.group == group).map(|act| view! { <dt>{keys(act)}</dt><dd>{act.what}</dd> });
    view! {
        <div>
            <h3>{title}</h3>
            <dl>
                {acts.collect_view()}
                {mouse.iter().map(|(hand, what)| view! { <dt><kbd>{*hand}</kbd></dt><dd>{*what}</dd> }).collect_view()}
            </dl>
        </div>
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn press(key: &str, ctrl: bool) -> Press {
        Press { key: key.into(), ctrl, ..Press::default() }
    }

    #[test]
    fn a_key_held_down_moves_on_but_says_nothing_twice() {
        fn check(keys: &[&str], ctrl: bool, held: &[Held]) {
            for key in keys {
                let act = act_of(&press(key, ctrl)).unwrap();
                assert!(held.contains(&act.held), "{key}");
            }
        }
        check(&["Enter", " ", "s"], false, &[Held::Once]);
        check(&["h", "c", "u"], false, &[Held::SwitchesBack]);
        check(&["ArrowDown", "PageUp", "[", "]", "n", "p"], false, &[Held::GoesOn]);
        check(&["z", "y"], true, &[Held::GoesOn]);
    }

    #[test]
    fn no_key_does_two_things() {
        let mut acts: BTreeMap<String, &str> = BTreeMap::new();
        let tools = TOOLS.iter().map(|tool| (tool.card().key.to_string(), tool.card().name));
        let keys = ACTS.iter().flat_map(|act| act.keys.iter().map(|key| ((*key).to_owned(), act.what)));
        for (key, what) in keys.chain(tools) {
            assert_eq!(acts.insert(key.clone(), what), None, "{key} does two things");
        }
    }

    #[test]
    fn under_the_sheet_only_its_own_keys_act() {
        fn check(key: &str, ctrl: bool, expected: bool) {
            assert_eq!(closes_sheet(&press(key, ctrl)), expected, "{key}");
        }
        check("Escape", false, true);
        check("?", false, true);
        check("Enter", false, false);
        check("s", false, false);
        check("z", true, false);
    }
}
