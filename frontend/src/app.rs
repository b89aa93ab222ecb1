//! Pages and what they share.

use leptos::ev;
use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::components::{Route, Router, Routes};
use leptos_router::path;
use shared::api::ErrorCode;
use web_sys::DragEvent;

use crate::api::{self, Trouble};
use crate::components::case_list::CaseList;
use crate::components::sign_in::SignInPage;
use crate::components::workbench::Workbench;
use crate::session::Session;

/// The application: the case list at `/`, the workbench at `/case/{id}`.
#[component]
pub(crate) fn App() -> impl IntoView {
    provide_context(Session::new());
    let guards = [
        window_event_listener(ev::dragover, |event| stay_on_page(&event)),
        window_event_listener(ev::drop, |event| stay_on_page(&event)),
    ];
    on_cleanup(move || guards.into_iter().for_each(|guard| guard.remove()));
    let stranger = RwSignal::new(false);
    spawn_local(async move {
        let refused = |trouble: Trouble| matches!(trouble, Trouble::Refused { code: ErrorCode::SignInNeeded, .. });
        if api::me().await.is_err_and(refused) {
            stranger.set(true);
        }
    });
    move || {
        if stranger.get() {
            return view! { <SignInPage /> }.into_any();
        }
        view! {
            <Router>
                <Routes fallback=|| view! { <NotFound /> }>
                    <Route path=path!("/") view=CaseList />
                    <Route path=path!("/case/:id") view=Workbench />
                </Routes>
            </Router>
        }
        .into_any()
    }
}

/// A file that is dropped beside its box would make the browser leave the page for it.
fn stay_on_page(event: &DragEvent) {
    if event.default_prevented() {
        return;
    }
    event.prevent_default();
    if let Some(data) = event.data_transfer() {
        data.set_drop_effect("none");
    }
}

#[component]
fn NotFound() -> impl IntoView {
    view! {
        <main class="page-message">
            <h1>"There is no such page"</h1>
            <p>"The address may be mistyped."</p>
            <a class="button primary" href="/">"To the case list"</a>
        </main>
    }
}
