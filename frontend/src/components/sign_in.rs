//! Who are you: a name and a password, or the first administrator's account.

use leptos::prelude::*;
use leptos::task::spawn_local;
use shared::api::SignIn;

use super::case_list::Brand;
use crate::api;

/// The form that stands in the place of everything else until somebody is known.
#[component]
pub(crate) fn SignInPage() -> impl IntoView {
    let (name, password) = (RwSignal::new(String::new()), RwSignal::new(String::new()));
    let (waiting, trouble) = (RwSignal::new(false), RwSignal::new(None::<String>));
    let invitation = invitation(&location().search().unwrap_or_default());
    let first = invitation.is_some();
    let send = move |event: web_sys::SubmitEvent| {
        event.prevent_default();
        let who = SignIn {
            name: name.get_untracked().trim().to_owned(),
            password: password.get_untracked(),
            invitation: invitation.clone(),
        };
        waiting.set(true);
        spawn_local(async move {
            match api::sign_in(&who).await {
                // Everything is asked for anew; what was painted and not sent is in the journal. The address loses the
                // invitation.
                Ok(_) => drop(location().set_search("")),
                Err(error) => {
                    trouble.set(Some(error.to_string()));
                    waiting.set(false);
                }
            }
        });
    };
    let (title, button, secret) = if first {
        ("First administrator", "Make the account", "new-password")
    } else {
        ("Sign in", "Sign in", "current-password")
    };
    view! {
        <div class="list-page">
            <header class="brand-bar"><Brand /></header>
            <main class="sign-in">
                <form class="card" aria-labelledby="sign-in-title" data-testid="sign-in" on:submit=send>
                    <h1 id="sign-in-title">{title}</h1>
                    {first.then(|| view! { <p class="hint">"Choose a name (letters a to z, digits) and a password of \
                                                            at least 12 characters."</p> })}
                    <label class="field">
                        <span>"Name"</span>
                        <input
                            type="text" autocomplete="username" autocapitalize="none" spellcheck="false" required=true
                            autofocus=true
                            data-testid="sign-in-name" prop:value=name
                            on:input=move |event| name.set(event_target_value(&event))
                        />
                    </label>
                    <label class="field">
                        <span>"Password"</span>
                        <input
                            type="password" autocomplete=secret required=true data-testid="sign-in-password"
                            prop:value=password
                            on:input=move |event| password.set(event_target_value(&event))
                        />
                    </label>
                    <p class="hint failed" role="alert" data-testid="sign-in-trouble">{move || trouble.get()}</p>
                    <button
                        class="primary wide" type="submit" data-testid="sign-in-send" disabled=waiting
                    >{button}</button>
                </form>
            </main>
        </div>
    }
}

fn location() -> web_sys::Location {
    window().location()
}

/// The word of a printed link, in an address's `?invitation=…`.
fn invitation(search: &str) -> Option<String> {
    search.trim_start_matches('?').split('&').find_map(|pair| pair.strip_prefix("invitation=")).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invitation_is_found_in_the_address() {
        assert_eq!(invitation("?invitation=a-_9"), Some("a-_9".to_owned()));
        assert_eq!(invitation("?a=b&invitation=c"), Some("c".to_owned()));
        assert_eq!(invitation(""), None);
    }
}
