//! The top of the workbench: which case, which version, whether all is saved.

use leptos::prelude::*;

use super::acts::{Key, with_key};
use super::banner::TroubleBanner;
use super::icon::{Icon, Shape};
use super::warnings::ScanWarnings;
use crate::session::command::Command;
use crate::session::{Lease, SaveState, Session, Shown, version_text};

/// The top bar.
#[component]
pub(crate) fn TopBar() -> impl IntoView {
    let session = expect_context::<Session>();
    let name = move || session.case.detail.with(|detail| detail.as_ref().map(|detail| detail.summary.name.clone()));
    let bundle = move || session.case.detail.with(|detail| detail.as_ref().map(|detail| detail.summary.bundle.clone()));
    let unfolded = RwSignal::new(true);
    let warnings = Memo::new(move |_| {
        session
            .case
            .detail
            .with(|detail| detail.as_ref().map(|detail| detail.summary.warnings.clone()).unwrap_or_default())
    });
    view! {
        <header class="topbar">
            <a class="button quiet" href="/" data-testid="back"><Icon shape=Shape::Back /> "Cases"</a>
            <h1>{name}</h1>
            <span class="muted">{bundle}</span>
            <span class="muted loading" role="status">{move || session.case.loading.get()}</span>
            {move || session.case.arrived.get().map(|share| view! {
                <progress
                    class="arrived" data-testid="arrived" aria-label="Arrived" max="1" value=share.to_string()
                ></progress>
            })}
            <span class="gap"></span>
            <SaveStatus />
            <Versions />
            <button
                class="quiet" aria-label="Keyboard and mouse" data-testid="open-sheet"
                title=with_key(session, "Keyboard and mouse", "sheet")
                on:click=move |_| session.dispatch(Command::ToggleSheet)
            >
                <Icon shape=Shape::Keyboard />
            </button>
        </header>
        <div class="said">
            <div>
                <TroubleBanner />
                <ScanWarnings warnings=warnings open=unfolded class="banner caution warnings" />
                <Conflict />
                <Elsewhere />
                <Refusal />
                <StorageTrouble />
            </div>
        </div>
    }
}

#[component]
fn SaveStatus() -> impl IntoView {
    let session = expect_context::<Session>();
    let key = move || session.saving.state.with(state_key);
    let text = move || session.saving.state.with(state_text);
    let more = move || session.saving.state.with(state_explained);
    view! {
        <span class="save-status" role="status" data-testid="save-status" data-state=key title=more>
            <i></i>{text}
        </span>
    }
}

/// The state as tests and styles know it.
fn state_key(state: &SaveState) -> &'static str {
    match state {
        SaveState::Saved => "saved",
        SaveState::Saving(_) => "saving",
        SaveState::Offline(_) => "offline",
        SaveState::NotKept(..) => "not-kept",
        SaveState::Refused { .. } => "refused",
        SaveState::Conflict(_) => "conflict",
    }
}

fn state_text(state: &SaveState) -> String {
    match state {
        SaveState::Saved => "Saved".into(),
        SaveState::Saving(count) => format!("Saving {count}…"),
        SaveState::Offline(0) => "Offline, nothing unsent".into(),
        SaveState::Offline(count) => format!("Offline, {count} kept here"),
        SaveState::NotKept(count, _) => format!("Offline, {count} not kept"),
        SaveState::Refused { kept: true, .. } => "Not saved, kept here".into(),
        SaveState::Refused { kept: false, .. } => "Not saved, not kept".into(),
        SaveState::Conflict(_) => "Conflict".into(),
    }
}

/// What the state promises, at length.
fn state_explained(state: &SaveState) -> String {
    match state {
        SaveState::Saved => "The server has all corrections on its disk.".into(),
        SaveState::Saving(count) => format!("{} on the way to the server.", slices(*count)),
        SaveState::Offline(0) => "The server does not answer. It has all corrections.".into(),
        SaveState::Offline(count) => format!(
            "The server does not answer. {} on this computer's disk until it does; a private window forgets them when \
             it is closed.",
            slices(*count)
        ),
        SaveState::NotKept(count, why) => {
            format!("The server does not answer, and {why}: {} in this tab only. Leave it open.", slices(*count))
        }
        SaveState::Refused { why, .. } => why.clone(),
        SaveState::Conflict(count) => {
            format!("{} saved in another window too. Choose above which version is right.", slices(*count))
        }
    }
}

fn slices(count: usize) -> String {
    if count == 1 { "1 slice is".into() } else { format!("{count} slices are") }
}

/// Two windows have saved the same slice: the expert decides.
#[component]
fn Conflict() -> impl IntoView {
    let session = expect_context::<Session>();
    view! {
        <Show when=move || session.saving.state.with(|state| matches!(state, SaveState::Conflict(_)))>
            <div class="banner trouble" role="alert" data-testid="conflict">
                <span>"Another window has saved a slice that you changed here. Which version is right? Undo brings the \
                       other one back."</span>
                <button
                    data-testid="keep-mine" on:click=move |_| session.dispatch(Command::KeepMine)
                >"Mine, from here"</button>
                <button
                    data-testid="take-theirs" on:click=move |_| session.dispatch(Command::TakeTheirs)
                >"The saved one"</button>
            </div>
        </Show>
    }
}

/// Another tab works on this case: this one reads along until it takes over.
#[component]
fn Elsewhere() -> impl IntoView {
    let session = expect_context::<Session>();
    view! {
        <Show when=move || session.case.lease.get() == Lease::Elsewhere>
            <div class="banner notice flat" role="status" data-testid="elsewhere">
                <span>"Another tab works on this case. You read along and see what it saves."</span>
                <button
                    data-testid="work-here" on:click=move |_| session.dispatch(Command::WorkHere)
                >"Work here"</button>
            </div>
        </Show>
    }
}

/// This computer keeps nothing of what the server does not have.
#[component]
fn StorageTrouble() -> impl IntoView {
    let session = expect_context::<Session>();
    move || {
        session.saving.storage_trouble.get().map(|why| {
            view! {
                <div class="banner caution" role="status" data-testid="storage-trouble">
                    <span>{format!("Nothing is kept on this computer: {why}. A correction is safe once the status says \
                                    Saved.")}</span>
                </div>
            }
        })
    }
}

/// The server does not take a correction: why, and a way to try again once that is mended.
#[component]
fn Refusal() -> impl IntoView {
    let session = expect_context::<Session>();
    let refusal = Memo::new(move |_| match session.saving.state.get() {
        SaveState::Refused { why, kept } => Some((why, kept)),
        _ => None,
    });
    move || {
        refusal.get().map(|(why, kept)| {
            let place = if kept { "kept on this computer" } else { "in this tab only; leave it open" };
            view! {
                <div class="banner trouble" role="alert" data-testid="save-refused">
                    <span>{format!("The server does not save your corrections: {why} They are {place}.")}</span>
                    <button
                        data-testid="retry-save" on:click=move |_| session.dispatch(Command::RetrySaving)
                    >"Try again"</button>
                </div>
            }
        })
    }
}

#[component]
fn Versions() -> impl IntoView {
    let session = expect_context::<Session>();
    let versions = Memo::new(move |_| {
        session.case.detail.with(|detail| detail.as_ref().map(|detail| detail.versions.clone()).unwrap_or_default())
    });
    let can_compare = move || versions.with(|versions| versions.len() > 1);
    let comparing = move || session.viewing.shown.with(|shown| shown.comparing);
    let chosen = move || {
        session
            .viewing
            .shown
            .with(|Shown { version, .. }| version.clone())
            .or_else(|| versions.with(|versions| versions.last().cloned()))
    };
    let words = move || {
        // What is on the screen changes with each of these.
        session.viewing.shown.get();
        session.rounds.slices.with(Vec::len);
        session.case.detail.with(Option::is_some);
        session.download_words()
    };
    let formats = Memo::new(move |_| {
        session.case.detail.with(Option::is_some);
        session.download_formats()
    });
    view! {
        <Show when=can_compare>
            <select
                aria-label="Version shown" data-testid="version"
                on:change=move |event| session.dispatch(Command::ShowVersion(event_target_value(&event)))
            >
                {move || versions.get().into_iter().rev().map(|version| {
                    let (text, value) = (version_text(&version), version.clone());
                    let is_chosen = move || chosen().as_ref() == Some(&version);
                    view! { <option value=value prop:selected=is_chosen>{text}</option> }
                }).collect_view()}
            </select>
            <button
                class="compare" class:on=comparing aria-pressed=move || comparing().to_string() data-testid="compare"
                title=with_key(session, "Before and after", "compare")
                on:click=move |_| session.dispatch(Command::ToggleCompare)
            >
                <Icon shape=Shape::Compare />
                {move || if comparing() { "Before" } else { "After" }}
                <Key act="compare" />
            </button>
            <button
                class:on=move || session.viewing.overlay.with(|overlay| overlay.changes)
                aria-pressed=move || session.viewing.overlay.with(|overlay| overlay.changes).to_string()
                data-testid="changes" title=with_key(session, "Mark what refinement changed", "changes")
                on:click=move |_| session.dispatch(Command::ToggleChanges)
            >"Changes" <Key act="changes" /></button>
        </Show>
        <Show when=move || words().is_some()>
            <button data-testid="download" title=words on:click=move |_| session.dispatch(Command::Download)>
                <Icon shape=Shape::Download /> "Download"
            </button>
            <select
                aria-label="Format of the download" data-testid="download-format"
                on:change=move |event| {
                    let wanted = event_target_value(&event);
                    let format = formats.with_untracked(|formats| {
                        formats.iter().map(|(format, _)| *format).find(|format| format.name() == wanted)
                    });
                    session.dispatch(Command::DownloadAs(format));
                }
            >
                <option value="" prop:selected=move || session.viewing.format.get().is_none()>"NIfTI"</option>
                {move || formats.get().into_iter().map(|(format, words)| {
                    let is_chosen = move || session.viewing.format.get() == Some(format);
                    view! { <option value=format.name() prop:selected=is_chosen>{words}</option> }
                }).collect_view()}
            </select>
            <ToPacs />
        </Show>
    }
}

/// Sends the segmentation to a PACS, where there is one and the case came from a DICOM series.
#[component]
fn ToPacs() -> impl IntoView {
    let session = expect_context::<Session>();
    let has_series = move || session.case.detail.with(|detail| detail.as_ref().is_some_and(|it| it.has_series));
    let sends = move || session.pacs.sends.get();
    let chosen = RwSignal::new(None::<String>);
    let source = move || {
        let first = session.pacs.sources.with(|sources| sources.first().map(|source| source.name.clone()));
        chosen.get().or(first)
    };
    let send = move |_| {
        if let Some(source) = untrack(source) {
            session.dispatch(Command::SendToPacs(source));
        }
    };
    view! {
        <Show when=move || has_series() && source().is_some()>
            <button
                data-testid="send-to-pacs" disabled=sends on:click=send
                title=move || source().map(|name| {
                    format!("Send the newest segmentation with your corrections to {name}, as a DICOM SEG")
                })
            >
                <Icon shape=Shape::Upload />
                {move || if sends() { "Sending…" } else { "Send to PACS" }}
            </button>
            <Show when=move || { session.pacs.sources.with(Vec::len) > 1 }>
                <select
                    aria-label="Which PACS" data-testid="send-to"
                    on:change=move |event| chosen.set(Some(event_target_value(&event)))
                >
                    {move || session.pacs.sources.get().into_iter().map(|source| {
                        view! { <option value=source.name.clone()>{source.name.clone()}</option> }
                    }).collect_view()}
                </select>
            </Show>
        </Show>
    }
}
