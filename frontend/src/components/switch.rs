//! Switches and sliders of the panels.

use leptos::prelude::*;

use super::acts::Key;
use crate::session::command::Command;
use crate::session::{Overlay, Session};

/// Something that is shown or not, with the key that does the same.
#[component]
pub(super) fn Switch(
    name: &'static str,
    act: &'static str,
    test_id: &'static str,
    is_on: fn(&Overlay) -> bool,
    command: Command,
) -> impl IntoView {
    let session = expect_context::<Session>();
    view! {
        <label class="switch">
            <input
                type="checkbox" role="switch" data-testid=test_id
                prop:checked=move || session.viewing.overlay.with(is_on)
                on:change=move |_| session.dispatch(command.clone())
            />
            <span>{name}</span>
            <Key act=act />
        </label>
    }
}

/// A share that is set by a slider.
#[component]
pub(super) fn Percent(
    word: &'static str,
    name: &'static str,
    value: fn(&Overlay) -> f64,
    on_input: impl FnMut(leptos::ev::Event) + 'static,
    test_id: &'static str,
) -> impl IntoView {
    let session = expect_context::<Session>();
    let percent = move || (session.viewing.overlay.with(value) * 100.0).round().to_string();
    view! {
        <label class="slider" title=name>
            <span aria-hidden="true">{word}</span>
            <input
                type="range" min="0" max="100" step="1" aria-label=name data-testid=test_id prop:value=percent
                on:input=on_input
            />
            <output class="tabular">{move || format!("{} %", percent())}</output>
        </label>
    }
}
