//! Pages and what they share.

use leptos::ev;
use leptos::prelude::*;
use leptos_router::components::{Route, Router, Routes};
use leptos_router::path;
use web_sys::DragEvent;

use crate::components::case_list::CaseList;
use crate::components::people::PeoplePage;
use crate::components::sign_in::SignInPage;
use crate::components::workbench::Workbench;
use crate::session::{Session, SignedIn};

/// The application: the case list at `/`, the workbench at `/case/{id}`, who works here at `/people`.
#[component]
pub(crate) fn App() -> impl IntoView {
    provide_context(Session::new());
    let guards = [
        window_event_listener(ev::dragover, |event| stay_on_page(&event)),
        window_event_listener(ev::drop, |event| stay_on_page(&event)),
    ];
    on_cleanup(move || guards.into_iter().for_each(|guard| guard.remove()));
    let signed_in = SignedIn::asked();
    provide_context(signed_in);
    move || {
        if signed_in.stranger.get() {
            return view! { <SignInPage /> }.into_any();
        }
        view! {
            <Router>
                <Routes fallback=|| view! { <NotFound /> }>
                    <Route path=path!("/") view=CaseList />
                    <Route path=path!("/case/:id") view=Workbench />
                    <Route path=path!("/people") view=PeoplePage />
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
