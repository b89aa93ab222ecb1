//! Who are you: a name and a password, or the first administrator's account.

use leptos::prelude::*;
use leptos::task::spawn_local;
use shared::api::{SignIn, SignInTrouble};

use super::case_list::Brand;
use crate::api;

/// The form that stands in the place of everything else until somebody is known.
#[component]
pub(crate) fn SignInPage() -> impl IntoView {
    let (name, password) = (RwSignal::new(String::new()), RwSignal::new(String::new()));
    let search = location().search().unwrap_or_default();
    let came_back_with = trouble_in(&search).map(|trouble| trouble_text(trouble).to_owned());
    let (waiting, trouble) = (RwSignal::new(false), RwSignal::new(came_back_with));
    let invitation = invitation(&search);
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
                    {(!first).then(|| view! { <OverAProvider /> })}
                </form>
            </main>
        </div>
    }
}

/// The way over whoever signs people in elsewhere, where there is one.
#[component]
fn OverAProvider() -> impl IntoView {
    let label = RwSignal::new(None::<String>);
    spawn_local(async move {
        // Without an answer there is a name and a password, which says by itself what is wrong.
        label.set(api::sign_in_ways().await.ok().and_then(|ways| ways.provider));
    });
    move || {
        label.get().map(|words| {
            // Not a page of this client's: the browser leaves for it.
            view! { <a class="button wide" rel="external" href=api::provider_url() data-testid="provider">{words}</a> }
        })
    }
}

/// What somebody came back with from a provider, in an address's `?sign-in-trouble=…`.
fn trouble_in(search: &str) -> Option<SignInTrouble> {
    let word = search.trim_start_matches('?').split('&').find_map(|pair| pair.strip_prefix("sign-in-trouble="))?;
    SignInTrouble::ALL.into_iter().find(|trouble| trouble.name() == word)
}

fn trouble_text(trouble: SignInTrouble) -> &'static str {
    match trouble {
        SignInTrouble::Away => {
            "The sign-in of your hospital does not answer as it should. Try again; if it stays so, tell the operator \
             of this server, whose log says more."
        }
        SignInTrouble::Refused => "The sign-in of your hospital has let nobody in. Try again.",
        SignInTrouble::Expired => "That sign-in took too long, or was begun elsewhere. Begin again here.",
        SignInTrouble::Untrusted => {
            "What the sign-in of your hospital said was not believed. Try again; if it stays so, tell the operator of \
             this server, whose log says more."
        }
        SignInTrouble::Unknown => "You have no account here yet. Ask an administrator to make one.",
        SignInTrouble::Taken => {
            "The account of your name has a password, or is somebody else's. Sign in with the password, or ask an \
             administrator."
        }
        SignInTrouble::ShutOut => "Your account is shut out. Ask an administrator.",
        SignInTrouble::BadName => {
            "The sign-in of your hospital names no account that can be one here. Tell the operator of this server."
        }
        SignInTrouble::TooOften => "Too many tries. Wait a minute, then try again.",
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
    fn what_one_came_back_with_is_told_in_words_of_this_page() {
        assert_eq!(trouble_in("?sign-in-trouble=taken"), Some(SignInTrouble::Taken));
        assert_eq!(trouble_in("?sign-in-trouble=<b>"), None);
        assert_eq!(trouble_in("?sign-in-trouble="), None);
        assert!(
            SignInTrouble::ALL
                .into_iter()
                .all(|trouble| trouble_in(&format!("?sign-in-trouble={}", trouble.name())) == Some(trouble))
        );
    }

    #[test]
    fn an_invitation_is_found_in_the_address() {
        assert_eq!(invitation("?invitation=a-_9"), Some("a-_9".to_owned()));
        assert_eq!(invitation("?a=b&invitation=c"), Some("c".to_owned()));
        assert_eq!(invitation(""), None);
    }
}
