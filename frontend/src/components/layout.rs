//! Which views are on the screen, and on which side the patient's left is.

use leptos::prelude::*;

use super::acts::Key;
use super::icon::Line;
use crate::session::command::Command;
use crate::session::{Layout, Session};
use crate::viewer::camera::Convention;

/// Layouts with their words, pictures and the act of their key.
const LAYOUTS: [(Layout, &str, &str, &str, &str); 3] = [
    (Layout::Three, "layout-three", "One large, two small", "M1.5 2.5h13v11h-13zM10 2.5v11M10 8h4.5", ""),
    (Layout::One, "layout-one", "One view", "M1.5 2.5h13v11h-13z", "single-view"),
    (Layout::Four, "layout-four", "Four, with the 3D surface", "M1.5 2.5h13v11h-13zM8 2.5v11M1.5 8h13", "four-views"),
];

/// The panel.
#[component]
pub(super) fn LayoutPanel() -> impl IntoView {
    let session = expect_context::<Session>();
    let button = move |(layout, test_id, name, picture, act): (Layout, _, &'static str, _, &'static str)| {
        let is_on = move || session.viewing.layout.get() == layout;
        // The layout that is shown stays, but for a key, which goes back and forth.
        let choose = move |_| {
            if session.viewing.layout.now() != layout {
                let back = if layout == Layout::Three { session.viewing.layout.now() } else { layout };
                session.dispatch(Command::ToggleLayout(back));
            }
        };
        view! {
            <button
                class="small" class:on=is_on aria-pressed=move || is_on().to_string() title=name aria-label=name
                data-testid=test_id on:click=choose
            >
                <Line path=picture />
                <Key act=act />
            </button>
        }
    };
    let is_neurological = move || session.viewing.convention.get() == Convention::Neurological;
    view! {
        <section class="panel" aria-label="Layout">
            <h2 class="small-title">"Layout"</h2>
            <div class="presets">{LAYOUTS.map(button).collect_view()}</div>
            <label class="switch" title="As neurologists look: from behind and from the head">
                <input
                    type="checkbox" role="switch" data-testid="switch-sides" prop:checked=is_neurological
                    on:change=move |_| session.dispatch(Command::SwitchConvention)
                />
                <span>"Patient's left on the left"</span>
                <Key act="switch-sides" />
            </label>
        </section>
    }
}
