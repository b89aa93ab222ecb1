//! The page at `/case/{id}`: three views between the tools and the slices.

use leptos::ev;
use leptos::prelude::*;
use leptos_router::hooks::use_params_map;
use shared::case::{JobKind, JobState, Stage};
use shared::geometry::Axis;
use wasm_bindgen::JsCast;
use web_sys::{Element, HtmlElement, KeyboardEvent};

use super::acts::{Key, command_after, command_for};
use super::banner::NoticeBanner;
use super::job::{JobProgress, foretold};
use super::rail::Rail;
use super::shortcuts::{Choosing, ShortcutSheet};
use super::slice_view::SliceView;
use super::status_bar::StatusBar;
use super::surface_view::SurfaceView;
use super::tools::Tools;
use super::topbar::TopBar;
use crate::keys::Press;
use crate::session::command::Command;
use crate::session::{Layout, Session};

/// The workbench.
#[component]
pub(crate) fn Workbench() -> impl IntoView {
    let session = expect_context::<Session>();
    let params = use_params_map();
    Effect::new(move || {
        if let Some(id) = params.read().get("id") {
            session.dispatch(Command::OpenCase(id.into()));
        }
    });
    let held = StoredValue::new_local(None);
    let choosing = Choosing::new();
    provide_context(choosing);
    let listeners = [
        window_event_listener(ev::keydown, move |event| {
            if !choosing.takes(session, &event) {
                on_key(session, held, &event);
            }
        }),
        window_event_listener(ev::keyup, move |event| on_key_up(session, held, &event)),
    ];
    let left = window_event_listener(ev::blur, move |_| session.dispatch(Command::Invert(false)));
    on_cleanup(move || {
        listeners.into_iter().chain([left]).for_each(|listener| listener.remove());
        session.dispatch(Command::CloseCase);
    });
    // What cannot be shown has no tools either. A case that was deleted while it was open keeps them no longer.
    let is_missing = Memo::new(move |_| session.case.missing.with(Option::is_some));
    view! {
        <Show when=move || !is_missing.get() fallback=|| view! { <Missing /> }><Desk /></Show>
    }
}

/// Tools, views and slices of the open case.
#[component]
fn Desk() -> impl IntoView {
    let session = expect_context::<Session>();
    view! {
        // A click on a control must not take the keys away from the views; Tab still reaches every control.
        <div class="workbench" on:mousedown=keep_focus on:change=give_back_focus>
            <TopBar />
            <div class="desk">
                <Tools />
                <main
                    class="views" data-large=move || session.viewing.large.get().name()
                    class:single=move || session.viewing.layout.get() == Layout::One
                    class:four=move || session.viewing.layout.get() == Layout::Four
                    class:solid=move || session.viewing.layout.get() == Layout::Solid
                >
                    <SliceView axis=Axis::Axial />
                    <SliceView axis=Axis::Coronal />
                    <SliceView axis=Axis::Sagittal />
                    <Show when=move || session.viewing.layout.get().has_surface()><SurfaceView /></Show>
                    <NoticeBanner />
                    <OfferBar />
                    <Veil />
                </main>
                <Rail />
            </div>
            <StatusBar />
            <ShortcutSheet />
        </div>
    }
}

/// What an edit would make of the slice is on the screen: to take or to leave.
#[component]
fn OfferBar() -> impl IntoView {
    let session = expect_context::<Session>();
    view! {
        <Show when=move || session.painting.offer.get().is_some()>
            <div class="offer" role="status" data-testid="offer">
                <span>
                    {move || session.painting.offer.get()} ": "<i class="added">"added"</i>" "
                    <i class="removed">"removed"</i>" "<i class="relabelled">"other label"</i>
                </span>
                <button class="primary" data-testid="take-offer" on:click=move |_| session.dispatch(Command::TakeOffer)>
                    "Take it" <Key act="mark-done" />
                </button>
                <button data-testid="leave-offer" on:click=move |_| session.dispatch(Command::LeaveOffer)>
                    "Leave it" <Key act="cancel" />
                </button>
            </div>
        </Show>
    }
}

/// In front of the views while there is nothing to work on.
#[component]
fn Veil() -> impl IntoView {
    let session = expect_context::<Session>();
    let job = Signal::derive(move || {
        session.case.detail.with(|detail| detail.as_ref().and_then(|detail| detail.summary.job.clone()))
    });
    let waiting = Memo::new(move |_| {
        session
            .case
            .detail
            .with(|detail| detail.as_ref().is_some_and(|detail| detail.summary.stage == Stage::Presegmenting))
    });
    let put_away = RwSignal::new(false);
    let stopped = move || {
        job.with(|job| job.as_ref().is_some_and(|job| matches!(job.state, JobState::Failed | JobState::Cancelled)))
    };
    move || {
        waiting.get().then(|| {
            view! {
                <div class="veil low" role="status" class:put-away=move || put_away.get()>
                    <button
                        class="quiet small veil-away" data-testid="veil-away"
                        aria-expanded=move || (!put_away.get()).to_string()
                        on:click=move |_| put_away.update(|away| *away = !*away)
                    >{move || if put_away.get() { "Show more" } else { "Put away" }}</button>
                    <h2>{move || match stopped() {
                        true => "The scan was not segmented",
                        false => "The scan is being segmented",
                    }}</h2>
                    <p>{move || if stopped() {
                        "There are no slices to correct yet. Try again, or delete the case and send another scan."
                    } else {
                        "You can look at it meanwhile; slices to correct appear on the right."
                    }}</p>
                    <Show when=move || !stopped()>
                        <p class="hint" data-testid="expected">{move || {
                            waiting.get().then(|| foretold(session, JobKind::Presegment)).flatten()
                        }}</p>
                    </Show>
                    <JobProgress job=job />
                </div>
            }
        })
    }
}

/// In place of the workbench, where there is no case to work on.
#[component]
fn Missing() -> impl IntoView {
    let session = expect_context::<Session>();
    view! {
        <main class="page-message" role="alert" data-testid="no-case">
            <h1>"This case cannot be shown"</h1>
            <p>{move || session.case.missing.get()}</p>
            <a class="button primary" href="/">"To the case list"</a>
        </main>
    }
}

/// A key that is down, and since when.
type HeldKey = StoredValue<Option<(String, f64)>, LocalStorage>;

/// A key that was held for longer than this was not just pressed.
const HELD_MS: f64 = 400.0;

fn on_key(session: Session, held: HeldKey, event: &KeyboardEvent) {
    session.dispatch(Command::Invert(event.ctrl_key() || event.meta_key()));
    let press = Press::from(event);
    if is_spoken_for(event, &press) {
        if press.operates() && press.repeated && is_focused(event, "button, a") {
            // It would be pressed again and again.
            event.prevent_default();
        }
        return;
    }
    if let Some(command) = command_for(&press, session) {
        event.prevent_default();
        if !press.repeated {
            held.set_value(Some((press.code.clone(), event.time_stamp())));
        }
        session.dispatch(command);
    }
}

fn on_key_up(session: Session, held: HeldKey, event: &KeyboardEvent) {
    session.dispatch(Command::Invert(event.ctrl_key() || event.meta_key()));
    let press = Press::from(event);
    let pressed = held.try_update_value(|held| held.take_if(|(code, _)| *code == press.code)).flatten();
    if pressed.is_some_and(|(_, since)| event.time_stamp() - since > HELD_MS) {
        command_after(&press, session).into_iter().for_each(|command| session.dispatch(command));
    }
}

/// Keys that belong to what has the focus: all in text fields, and those that operate a control.
fn is_spoken_for(event: &KeyboardEvent, press: &Press) -> bool {
    let matches = |selector: &str| is_focused(event, selector);
    matches("input[type=text], input[type=number], input[type=search], textarea, select")
        || press.alt
        || (press.operates() && matches("button, a, input[type=checkbox], input[type=radio], summary"))
        || (press.moves() && matches("input, [role=radio]"))
}

/// Whether what has the focus is one of these elements.
fn is_focused(event: &KeyboardEvent, selector: &str) -> bool {
    let focused = event.target().and_then(|target| target.dyn_into::<Element>().ok());
    focused.is_some_and(|element| element.matches(selector).unwrap_or(false))
}

/// A slider, switch or list that was worked with the mouse would keep the arrow keys, Enter and Space; to those who
/// come by keyboard it stays.
fn give_back_focus(event: web_sys::Event) {
    let control = event.target().and_then(|target| target.dyn_into::<HtmlElement>().ok());
    if let Some(control) = control.filter(|control| control.matches(":not(:focus-visible)").unwrap_or(false)) {
        // A control that does not let go of the focus keeps its keys, as it did before.
        let _ = control.blur();
    }
}

fn keep_focus(event: web_sys::MouseEvent) {
    let target = event.target().and_then(|target| target.dyn_into::<Element>().ok());
    if target.and_then(|element| element.closest("button, a, summary").ok().flatten()).is_some() {
        event.prevent_default();
    }
}
