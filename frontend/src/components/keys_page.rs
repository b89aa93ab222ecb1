//! Keys for programs: made, shown once, revoked.

use leptos::prelude::*;
use shared::api::KeyInfo;

use super::review::time_text;
use crate::session::Keys;

/// The reader's own keys, and a form for one more.
#[component]
pub(crate) fn ProgramKeys() -> impl IntoView {
    let keys = Keys::looked_up();
    let label = RwSignal::new(String::new());
    let send = move |event: web_sys::SubmitEvent| {
        event.prevent_default();
        keys.make(label.get_untracked().trim().to_owned(), move || label.set(String::new()));
    };
    let row = move |KeyInfo { id, label, created_s, seen_s }: KeyInfo| {
        let used = seen_s.map_or("never used".to_owned(), |seen_s| format!("last used {}", time_text(seen_s)));
        view! {
            <li class="card person" data-testid="program-key">
                <strong>{label.clone()}</strong>
                <span class="muted">"made " {time_text(created_s)} " · " {used}</span>
                <button
                    class="small" data-testid="revoke-key" aria-label=format!("Revoke the key {label}")
                    on:click=move |_| keys.revoke(id)
                >"Revoke"</button>
            </li>
        }
    };
    view! {
        <section aria-labelledby="program-keys" data-testid="program-keys">
            <h2 id="program-keys">"Keys for programs"</h2>
            <p class="hint">"A program that sends a key may do what you may, until you revoke it."</p>
            <p class="hint failed" role="alert" data-testid="keys-trouble">{move || keys.trouble.get()}</p>
            {move || keys.made.get().map(|made| view! {
                <p class="card" role="status">
                    {format!("The key for {}, shown this one time; copy it now: ", made.info.label)}
                    <code data-testid="key-made">{made.key}</code>
                </p>
            })}
            <ul class="case-rows">{move || keys.list.get().into_iter().map(row).collect_view()}</ul>
            <form class="card" aria-label="New key" on:submit=send>
                <label class="field">
                    <span>"What it is for"</span>
                    <input
                        type="text" autocomplete="off" required=true maxlength="100" data-testid="key-label"
                        prop:value=label on:input=move |event| label.set(event_target_value(&event))
                    />
                </label>
                <button type="submit" data-testid="make-key">"Make a key"</button>
            </form>
        </section>
    }
}
