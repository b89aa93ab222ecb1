//! The top of the workbench: which case, which version, whether all is saved.

use leptos::prelude::*;

use super::icon::{Icon, Shape};
use crate::session::command::Command;
use crate::session::{SaveState, Session, Shown, version_text};

/// The top bar.
#[component]
pub(crate) fn TopBar() -> impl IntoView {
    let session = expect_context::<Session>();
    let name = move || session.case.detail.with(|detail| detail.as_ref().map(|detail| detail.summary.name.clone()));
    let bundle = move || session.case.detail.with(|detail| detail.as_ref().map(|detail| detail.summary.bundle.clone()));
    view! {
        <header class="topbar">
            <a class="button quiet" href="/" data-testid="back"><Icon shape=Shape::Back /> "Cases"</a>
            <h1>{name}</h1>
            <span class="muted">{bundle}</span>
            <span class="muted loading" role="status">{move || session.case.loading.get()}</span>
            <span class="gap"></span>
            <SaveStatus />
            <Versions />
            <button class="quiet" aria-label="Keyboard and mouse" title="Keyboard and mouse (?)" data-testid="open-sheet" on:click=move |_| session.dispatch(Command::ToggleSheet)>
                <Icon shape=Shape::Keyboard />
            </button>
        </header>
        <Conflict />
        <Refusal />
    }
}

#[component]
fn SaveStatus() -> impl IntoView {
    let session = expect_context::<Session>();
    let key = move || match session.saving.state.get() {
        SaveState::Saved => "saved",
        SaveState::Saving => "saving",
        SaveState::Offline => "offline",
        SaveState::Refused(_) => "refused",
        SaveState::Conflict => "conflict",
    };
    let text = move || match session.saving.state.get() {
        SaveState::Saved => "Saved",
        SaveState::Saving => "Saving…",
        SaveState::Offline => "Offline – kept on this computer",
        SaveState::Refused(_) => "Not saved – kept on this computer",
        SaveState::Conflict => "Conflict",
    };
    view! { <span class="save-status" role="status" data-testid="save-status" data-state=key><i></i>{text}</span> }
}

/// Two windows have saved the same slice: the expert decides.
#[component]
fn Conflict() -> impl IntoView {
    let session = expect_context::<Session>();
    view! {
        <Show when=move || session.saving.state.get() == SaveState::Conflict>
            <div class="banner trouble" role="alert" data-testid="conflict">
                <span>"Another window has saved a slice that you changed here. Which version is right?"</span>
                <button data-testid="keep-mine" on:click=move |_| session.dispatch(Command::KeepMine)>"Mine, from here"</button>
                <button data-testid="take-theirs" on:click=move |_| session.dispatch(Command::TakeTheirs)>"The saved one"</button>
            </div>
        </Show>
    }
}

/// The server does not take a correction: why, and a way to try again once that is mended.
#[component]
fn Refusal() -> impl IntoView {
    let session = expect_context::<Session>();
    let reason = Memo::new(move |_| match session.saving.state.get() {
        SaveState::Refused(reason) => Some(reason),
        _ => None,
    });
    move || {
        reason.get().map(|reason| {
            view! {
                <div class="banner trouble" role="alert" data-testid="save-refused">
                    <span>{format!("Your corrections are kept on this computer, but the server does not save them: {reason}")}</span>
                    <button data-testid="retry-save" on:click=move |_| session.dispatch(Command::RetrySaving)>"Try again"</button>
                </div>
            }
        })
    }
}

#[component]
fn Versions() -> impl IntoView {
    let session = expect_context::<Session>();
    let versions =
        Memo::new(move |_| session.case.detail.with(|detail| detail.as_ref().map(|detail| detail.versions.clone()).unwrap_or_default()));
    let can_compare = move || versions.with(|versions| versions.len() > 1);
    let comparing = move || session.viewing.shown.with(|shown| shown.comparing);
    let chosen = move || {
        session.viewing.shown.with(|Shown { version, .. }| version.clone()).or_else(|| versions.with(|versions| versions.last().cloned()))
    };
    let words = move || {
        // What is on the screen changes with each of these.
        session.viewing.shown.get();
        session.rounds.slices.with(Vec::len);
        session.case.detail.with(Option::is_some);
        session.download_words()
    };
    view! {
        <Show when=can_compare>
            <select
                aria-label="Version shown" data-testid="version"
                on:change=move |event| session.dispatch(Command::ShowVersion(event_target_value(&event)))
            >
                {move || versions.get().into_iter().rev().map(|version| {
                    let (text, value) = (version_text(&version), version.clone());
                    view! { <option value=value prop:selected=move || chosen().as_ref() == Some(&version)>{text}</option> }
                }).collect_view()}
            </select>
            <button
                class="compare" class:on=comparing aria-pressed=move || comparing().to_string() data-testid="compare" title="Before and after (C)"
                on:click=move |_| session.dispatch(Command::ToggleCompare)
            >
                <Icon shape=Shape::Compare />
                {move || if comparing() { "Before" } else { "After" }}
                <kbd>"C"</kbd>
            </button>
            <button
                class:on=move || session.viewing.overlay.with(|overlay| overlay.changes)
                aria-pressed=move || session.viewing.overlay.with(|overlay| overlay.changes).to_string()
                data-testid="changes" title="Mark what refinement changed (D)" on:click=move |_| session.dispatch(Command::ToggleChanges)
            >"Changes" <kbd>"D"</kbd></button>
        </Show>
        <Show when=move || words().is_some()>
            <button data-testid="download" title=words on:click=move |_| session.dispatch(Command::Download)><Icon shape=Shape::Download /> "Download"</button>
        </Show>
    }
}
