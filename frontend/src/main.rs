//! The workbench in the browser. One way round: pointer → gesture → command → session → frame → renderer; server → api
//! → session.

#[expect(unreachable_pub, reason = "Leptos declares the properties of every component public")]
mod app;
mod api;
mod browser;
mod keys;
mod session;
mod annotate;
mod viewer;
#[expect(unreachable_pub, reason = "Leptos declares the properties of every component public")]
mod components;

fn main() {
    console_error_panic_hook::set_once();
    leptos::mount::mount_to_body(app::App);
}
