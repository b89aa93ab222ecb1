//! The sheet of keys: what each does, whose hands they are for, and a way to choose others.

use leptos::html::Dialog;
use leptos::prelude::*;
use web_sys::{KeyboardEvent, MouseEvent};

use super::acts::{ACTS, Group, all_words};
use super::icon::{Icon, Shape};
use crate::annotate::edits::EDITS;
use crate::annotate::tools::TOOLS;
use crate::keys::{PRESETS, Press, shown};
use crate::session::Session;
use crate::session::command::Command;

/// What a hand does, and what comes of it.
type Hand = (&'static str, &'static str);

/// Parts of the sheet, and what the mouse does in each.
const PARTS: &[(Group, &str, &[Hand])] = &[
    (Group::Slices, "Slices", &[("Wheel", "Scroll through planes")]),
    (
        Group::Painting,
        "Painting",
        &[
            ("1 … 9", "Choose a label, where the digit takes no tool"),
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
    (Group::Overlays, "Overlays", &[("held", "Only while the key is held")]),
    (Group::Refining, "Refinement and versions", &[]),
];

/// Another key is being chosen for an act.
#[derive(Clone, Copy)]
pub(crate) struct Choosing {
    /// For which act; none while no key is asked for.
    act: RwSignal<Option<String>>,
    /// What came of the last choice, where it took a key from another act.
    told: RwSignal<Option<String>>,
}

impl Choosing {
    /// No key is asked for.
    pub(crate) fn new() -> Self {
        Self { act: RwSignal::new(None), told: RwSignal::new(None) }
    }

    /// Takes the key that is pressed while one is asked for; whether one is.
    pub(crate) fn takes(self, session: Session, event: &KeyboardEvent) -> bool {
        let Some(act) = self.act.get_untracked() else { return false };
        let press = Press::from(event);
        event.prevent_default();
        if matches!(press.key.as_str(), "Shift" | "Control" | "Alt" | "Meta" | "AltGraph" | "CapsLock") {
            return true;
        }
        self.act.set(None);
        let Some(name) = press.names().into_iter().next().filter(|_| press.key != "Escape") else { return true };
        let before = session.preferences.keys.now_with(|keys| keys.act(std::slice::from_ref(&name)));
        session.dispatch(Command::BindKey(act.clone(), name.clone()));
        let lost = before.filter(|before| *before != act).map(|before| {
            let (key, now, before) = (shown(&name), words(&act), words(&before));
            format!("{key} does now: {now}. It did before, and does no longer: {before}.")
        });
        self.told.set(lost);
        true
    }
}

/// The sheet of keys.
#[component]
pub(crate) fn ShortcutSheet() -> impl IntoView {
    let session = expect_context::<Session>();
    let dialog = NodeRef::<Dialog>::new();
    let choosing = expect_context::<Choosing>();
    Effect::new(move || {
        let (Some(dialog), open) = (dialog.get(), session.viewing.sheet.get()) else { return };
        match open {
            // A dialog that is open already stays so.
            true if !dialog.open() => drop(dialog.show_modal()),
            false => dialog.close(),
            true => {}
        }
        choosing.act.set(None);
        choosing.told.set(None);
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
    let hint = move || match choosing.act.get() {
        Some(act) => format!("Press the key for: {}. Esc leaves it as it is.", words(&act)),
        None => choosing.told.get().unwrap_or_else(|| "To choose another key, press on the one that is there.".into()),
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
                <Presets />
                <p class="hint" role="status" data-testid="key-told">{hint}</p>
                <div class="sheet-columns">
                    <ToolKeys choosing=choosing />
                    {PARTS.iter().map(|(group, title, mouse)| view! {
                        <SheetPart group=*group title=title mouse=mouse choosing=choosing />
                    }).collect_view()}
                </div>
            </div>
        </dialog>
    }
}

fn words(act: &str) -> String {
    all_words().find(|(id, _)| id == act).map(|(_, what)| what).unwrap_or_default()
}

/// Whose hands the keys are for.
#[component]
fn Presets() -> impl IntoView {
    let session = expect_context::<Session>();
    let changed = move || session.preferences.keys.with(|keys| keys.is_changed());
    view! {
        <fieldset class="key-presets">
            <legend class="small-title">"Keys as in"</legend>
            {PRESETS.into_iter().map(|(preset, name)| view! {
                <label>
                    <input
                        type="radio" name="key-preset" data-testid=format!("preset-{}", name.replace(' ', "-"))
                        prop:checked=move || session.preferences.keys.with(|keys| keys.preset == preset)
                        on:change=move |_| session.dispatch(Command::UsePreset(preset))
                    />
                    {name}
                </label>
            }).collect_view()}
            <Show when=changed>
                <button
                    class="small" type="button" data-testid="reset-keys"
                    on:click=move |_| session.dispatch(Command::UsePreset(session.preferences.keys.now().preset))
                >"Undo my own choices"</button>
            </Show>
        </fieldset>
    }
}

/// The keys of an act; a press on them asks for another.
#[component]
fn KeyChoice(act: String, choosing: Choosing) -> impl IntoView {
    let session = expect_context::<Session>();
    let id = act.clone();
    let keys = move || {
        let keys = session.preferences.keys.with(|keys| keys.keys(&id));
        if keys.is_empty() {
            return view! { <kbd>"none"</kbd> }.into_any();
        }
        keys.into_iter().map(|key| view! { <kbd>{shown(&key)}</kbd> " " }).collect_view().into_any()
    };
    let label = format!("Another key for: {}", words(&act));
    let (asked, test_id) = (act.clone(), format!("key-{act}"));
    view! {
        <button
            class="quiet key-choice" type="button" title=label.clone() aria-label=label data-testid=test_id
            class:on=move || choosing.act.with(|choosing| choosing.as_ref() == Some(&act))
            on:click=move |_| choosing.act.set(Some(asked.clone()))
        >{keys}</button>
    }
}

#[component]
fn ToolKeys(choosing: Choosing) -> impl IntoView {
    let tools = TOOLS.iter().map(|tool| {
        let card = tool.card();
        (format!("tool-{}", card.id), format!("{}: {}", card.name, lower_first(card.about)))
    });
    let edits = EDITS.iter().map(|edit| {
        let card = edit.card();
        (format!("edit-{}", card.id), format!("{}: {}", card.name, lower_first(card.about)))
    });
    let row = |(act, what): (String, String)| {
        view! {
            <dt><KeyChoice act=act choosing=choosing /></dt>
            <dd>{what}</dd>
        }
    };
    view! {
        <div>
            <h3>"Tools"</h3>
            <dl>{tools.map(row).collect_view()}</dl>
        </div>
        <div>
            <h3>"Whole slice"</h3>
            <dl>{edits.map(row).collect_view()}</dl>
        </div>
    }
}

fn lower_first(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

#[component]
fn SheetPart(group: Group, title: &'static str, mouse: &'static [Hand], choosing: Choosing) -> impl IntoView {
    let acts = ACTS.iter().filter(move |act| act.group == group).map(move |act| {
        view! { <dt><KeyChoice act=act.id.to_owned() choosing=choosing /></dt><dd>{act.what}</dd> }
    });
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
