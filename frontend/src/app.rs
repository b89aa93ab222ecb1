//! Pages and what they share.

use leptos::prelude::*;
use leptos_router::components::{Route, Router, Routes};
use leptos_router::path;

use crate::components::case_list::CaseList;
use crate::components::workbench::Workbench;
use crate::session::Session;

/// The application: the case list at `/`, the workbench at `/case/{id}`.
#[component]
pub(crate) fn App() -> impl IntoView {
    provide_context(Session::new());
    view! {
        <Router>
            <Routes fallback=|| view! { <NotFound /> }>
                <Route path=path!("/") view=CaseList />
                <Route path=path!("/case/:id") view=Workbench />
            </Routes>
        </Router>
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
