//! The page at `/case/{id}`: three views between the tools and the slices.

use leptos::ev;
use leptos::prelude::*;
use leptos_router::hooks::use_params_map;
use shared::case::{JobState, Stage};
use shared::geometry::Axis;
use wasm_bindgen::JsCast;
use web_sys::{Element, HtmlElement, KeyboardEvent};

use super::banner::{NoticeBanner, TroubleBanner};
use super::job::JobProgress;
use super::rail::Rail;
use super::shortcuts::{Key, ShortcutSheet, command_for};
use super::slice_view::SliceView;
use super::status_bar::StatusBar;
use super::tools::Tools;
use super::topbar::TopBar;
use crate::session::Session;
use crate::session::command::Command;

/// The workbench.
#[component]
pub(crate) fn Workbench() -> impl IntoView {
    let session = expect_context::<Session>();
    let params = use_params_map();
    Effect::new(move || {
        if let Some(id) = params.read().get("id") {
            session.dispatch(Command::OpenCase(id));
        }
    });
    let keys = window_event_listener(ev::keydown, move |event| on_key(session, &event));
    on_cleanup(move || {
        keys.remove();
        session.dispatch(Command::CloseCase);
    });
    view! {
        // A click on a control must not take the keys away from the views; Tab still reaches every control.
        <div class="workbench" on:mousedown=keep_focus on:change=give_back_focus>
            <TopBar />
            <TroubleBanner />
            <div class="desk" prop:inert=move || session.viewing.sheet.get()>
                <Tools />
                <main class="views" data-large=move || session.viewing.large.get().name()>
                    <SliceView axis=Axis::Axial />
                    <SliceView axis=Axis::Coronal />
                    <SliceView axis=Axis::Sagittal />
                    <NoticeBanner />
                    <Veil />
                </main>
                <Rail />
            </div>
            <StatusBar />
            <ShortcutSheet />
        </div>
    }
}

/// In front of the views while there is nothing to work on.
#[component]
fn Veil() -> impl IntoView {
    let session = expect_context::<Session>();
    let job = Signal::derive(move || session.case.detail.with(|detail| detail.as_ref().and_then(|detail| detail.summary.job.clone())));
    let waiting = Memo::new(move |_| {
        session.case.detail.with(|detail| detail.as_ref().is_some_and(|detail| detail.summary.stage == Stage::Presegmenting))
    });
    let stopped = move || job.with(|job| job.as_ref().is_some_and(|job| matches!(job.state, JobState::Failed | JobState::Cancelled)));
    move || match (session.case.missing.get(), waiting.get()) {
        (Some(why), _) => Some(
            view! {
                <div class="veil" role="alert">
                    <h2>"This case cannot be shown"</h2>
                    <p>{why}</p>
                    <a class="button primary" href="/">"To the case list"</a>
                </div>
            }
            .into_any(),
        ),
        (None, true) => Some(
            view! {
                <div class="veil low" role="status">
                    <h2>{move || if stopped() { "The scan was not segmented" } else { "The scan is being segmented" }}</h2>
                    <p>{move || if stopped() {
                        "There are no slices to correct. Delete the case and send the scan again."
                    } else {
                        "You can look at it meanwhile; slices to correct appear on the right."
                    }}</p>
                    <JobProgress job=job />
                </div>
            }
            .into_any(),
        ),
        (None, false) => None,
    }
}

fn on_key(session: Session, event: &KeyboardEvent) {
    let key = Key::from(event);
    if is_spoken_for(event, &key) {
        if key.operates() && key.repeated && is_focused(event, "button, a") {
            // It would be pressed again and again.
            event.prevent_default();
        }
        return;
    }
    if let Some(command) = command_for(&key, session) {
        event.prevent_default();
        session.dispatch(command);
    }
}

/// Keys that belong to what has the focus: all in text fields, and those that operate a control.
fn is_spoken_for(event: &KeyboardEvent, key: &Key) -> bool {
    let matches = |selector: &str| is_focused(event, selector);
    let moves = key.key.starts_with("Arrow") || key.key.starts_with("Page");
    matches("input[type=text], textarea, select")
        || event.alt_key()
        || (key.operates() && matches("button, a, input[type=checkbox]"))
        || (moves && matches("input"))
}

/// Whether what has the focus is one of these elements.
fn is_focused(event: &KeyboardEvent, selector: &str) -> bool {
    let focused = event.target().and_then(|target| target.dyn_into::<Element>().ok());
    focused.is_some_and(|element| element.matches(selector).unwrap_or(false))
}

/// A slider, switch or list that was worked with the mouse would keep the arrow keys, Enter and Space; to those who come by keyboard it stays.
fn give_back_focus(event: web_sys::Event) {
    let control = event.target().and_then(|target| target.dyn_into::<HtmlElement>().ok());
    if let Some(control) = control.filter(|control| control.matches(":not(:focus-visible)").unwrap_or(false)) {
        // A control that does not let go of the focus keeps its keys, as it did before.
        let _ = control.blur();
    }
}

fn keep_focus(event: web_sys::MouseEvent) {
    let target = event.target().and_then(|target| target.dyn_into::<Element>().ok());
    if target.and_then(|element| element.closest("button, a").ok().flatten()).is_some() {
        event.prevent_default();
    }
}
