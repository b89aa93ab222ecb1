//! Colours and patterns of labels, for those who want them otherwise than the task has them.

use leptos::prelude::*;
use shared::label::LabelInfo;

use crate::session::command::Command;
use crate::session::{Look, Session};
use crate::viewer::palette::Pattern;

/// Folded in until it is asked for.
#[component]
pub(super) fn PaletteChoice(#[prop(into)] labels: Signal<Vec<LabelInfo>>) -> impl IntoView {
    let session = expect_context::<Session>();
    let bundle = move || {
        session
            .case
            .detail
            .with(|detail| detail.as_ref().map(|detail| detail.summary.bundle.clone()))
            .unwrap_or_default()
    };
    let is_changed = move || session.preferences.palette.with(|palette| palette.is_changed(&bundle()));
    view! {
        <details class="palette">
            <summary data-testid="palette">"Colours and patterns"</summary>
            {move || labels.get().into_iter().map(|label| view! { <LabelLook label=label /> }).collect_view()}
            <Show when=is_changed>
                <button
                    class="small" data-testid="reset-palette"
                    on:click=move |_| session.dispatch(Command::ChangePalette(Look::Task))
                >"As the task has them"</button>
            </Show>
        </details>
    }
}

#[component]
fn LabelLook(label: LabelInfo) -> impl IntoView {
    let session = expect_context::<Session>();
    let LabelInfo { value, name, colour, .. } = label;
    let pattern = move || {
        let bundle = session
            .case
            .detail
            .with(|detail| detail.as_ref().map(|detail| detail.summary.bundle.clone()))
            .unwrap_or_default();
        session.preferences.palette.with(|palette| palette.pattern(&bundle, value))
    };
    let choose = move |event| {
        let wanted = event_target_value(&event);
        let found = Pattern::ALL.into_iter().find(|(_, words)| *words == wanted);
        found
            .into_iter()
            .for_each(|(pattern, _)| session.dispatch(Command::ChangePalette(Look::Pattern(value, pattern))));
    };
    view! {
        <div class="label-look">
            <input
                type="color" aria-label=format!("Colour of {name}") data-testid=format!("colour-{value}")
                prop:value=colour
                on:change=move |event| {
                    session.dispatch(Command::ChangePalette(Look::Colour(value, event_target_value(&event))))
                }
            />
            <span class="label-name">{name.clone()}</span>
            <select
                aria-label=format!("Pattern of {name}") data-testid=format!("pattern-{value}") on:change=choose
            >
                {Pattern::ALL.into_iter().map(|(known, words)| view! {
                    <option value=words prop:selected=move || pattern() == known>{words}</option>
                }).collect_view()}
            </select>
        </div>
    }
}
