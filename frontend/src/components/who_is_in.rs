//! Who is signed in, and the way out.

use leptos::prelude::*;
use shared::api::{Me, Role};

use crate::session::SignedIn;

/// The account's name, the way to the accounts of others and the way out; nothing where there are no accounts.
#[component]
pub(crate) fn WhoIsIn() -> impl IntoView {
    let signed_in = expect_context::<SignedIn>();
    move || {
        let Me { name, role, can_sign_out } = signed_in.me.get().filter(|me| me.name != "local")?;
        Some(view! {
            <span class="gap"></span>
            <span class="muted" data-testid="signed-in">{name}</span>
            {if role == Role::Admin {
                view! { <a class="button quiet" href="/people" data-testid="open-people">"People"</a> }.into_any()
            } else {
                view! { <a class="button quiet" href="/people" data-testid="open-keys">"Keys"</a> }.into_any()
            }}
            {can_sign_out.then(|| view! {
                <button class="quiet" data-testid="sign-out" on:click=move |_| signed_in.leave()>"Sign out"</button>
            })}
        })
    }
}
