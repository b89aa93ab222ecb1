//! The versions of a slice, to look through and to bring one back.

use leptos::prelude::*;
use shared::api::SliceVersion;
use shared::correction::SliceState;

use crate::session::Session;
use crate::session::command::Command;

/// The list, while it is asked for.
#[component]
pub(crate) fn SliceVersions() -> impl IntoView {
    let session = expect_context::<Session>();
    move || {
        session.saving.versions.get().map(|list| {
            let plane = list.plane;
            let row = move |version: SliceVersion| {
                let id = version.id;
                view! {
                    <li
                        data-testid="slice-version" data-holds=version.holds.to_string()
                        data-refused=version.revision.is_none().to_string()
                    >
                        <span>{version_text(&version)}</span>
                        <span class="muted">{version.saved_by.clone()} " · " {time_text(version.saved_s)}</span>
                        <button
                            class="small" data-testid="bring-back" disabled=version.holds
                            on:click=move |_| session.dispatch(Command::BringBack(plane, id))
                        >
                            {if version.holds { "Now" } else { "Bring back" }}
                        </button>
                    </li>
                }
            };
            view! {
                <section class="versions" aria-label="Versions of this slice" data-testid="slice-versions">
                    <h3>{format!("Versions of {} {}", plane.axis, plane.index)}</h3>
                    {list.versions.is_empty().then(|| view! {
                        <p class="hint">"Nothing has been saved of this slice yet."</p>
                    })}
                    <ol>{list.versions.into_iter().map(row).collect_view()}</ol>
                    <button
                        class="small" on:click=move |_| session.dispatch(Command::ToggleSliceVersions)
                    >"Close"</button>
                </section>
            }
        })
    }
}

fn version_text(version: &SliceVersion) -> String {
    let state = match version.state {
        SliceState::Todo => "to do",
        SliceState::Done => "done",
        SliceState::Skipped => "skipped",
    };
    match version.revision {
        Some(revision) => format!("{revision} · {state}"),
        None => format!("not taken, beside {} · {state}", version.base + 1),
    }
}

/// Time of the day where the reader is, with seconds: versions follow each other closely.
fn time_text(saved_s: i64) -> String {
    let date = js_sys::Date::new(&wasm_bindgen::JsValue::from_f64(saved_s as f64 * 1000.0));
    date.to_locale_string("en-GB", &wasm_bindgen::JsValue::UNDEFINED).into()
}
