//! The page at `/people`: who works here and what they may do, for administrators; everybody's own keys for programs.

use leptos::prelude::*;
use shared::api::{Person, Role};

use super::case_list::Brand;
use super::keys_page::ProgramKeys;
use super::who_is_in::WhoIsIn;
use crate::session::{People, SignedIn};

/// Roles as they are called, and what they may do.
const ROLES: [(Role, &str, &str); 3] = [
    (Role::Annotator, "Annotator", "works on the cases that they brought or were given"),
    (Role::Reviewer, "Reviewer", "sees every case, and gives cases to people"),
    (Role::Admin, "Administrator", "the same, and says who works here"),
];

/// Accounts for those who may change them, and the reader's own keys.
#[component]
pub(crate) fn PeoplePage() -> impl IntoView {
    let signed_in = expect_context::<SignedIn>();
    let role = move || signed_in.me.with(|me| me.as_ref().map(|me| me.role));
    view! {
        <div class="list-page">
            <header class="brand-bar">
                <Brand />
                <a class="button quiet" href="/" data-testid="back">"Cases"</a>
                <WhoIsIn />
            </header>
            <main class="people">
                {move || match role() {
                    Some(Role::Admin) => view! { <Accounts /> }.into_any(),
                    Some(_) => view! { <h1>"Keys"</h1> }.into_any(),
                    None => ().into_any(),
                }}
                <Show when=move || role().is_some()><ProgramKeys /></Show>
            </main>
        </div>
    }
}

/// Everybody with an account, and a form for one more.
#[component]
fn Accounts() -> impl IntoView {
    let people = People::looked_up();
    let names = Memo::new(move |_| {
        people.list.with(|people| people.iter().map(|person| person.name.clone()).collect::<Vec<_>>())
    });
    view! {
        <h1>"People"</h1>
        {move || match people.said.get() {
            Some(Ok(done)) => view! {
                <p class="muted" role="status" data-testid="people-done">{done}</p>
            }.into_any(),
            Some(Err(trouble)) => view! {
                <p class="hint failed" role="alert" data-testid="people-trouble">{trouble}</p>
            }.into_any(),
            None => ().into_any(),
        }}
        <ul class="case-rows">
            <For each=move || names.get() key=|name| name.clone() let:name>
                <Row people=people name=name />
            </For>
        </ul>
        <NewAccount people=people />
    }
}

/// A person, with what can be changed about them.
#[component]
fn Row(people: People, name: String) -> impl IntoView {
    let of = name.clone();
    let person = Memo::new(move |_| people.list.with(|people| people.iter().find(|person| person.name == of).cloned()));
    let is_out = move || person.get().is_some_and(|person| person.disabled);
    let choose = move |role: Role| {
        if let Some(person) = person.get_untracked() {
            let word = ROLES.into_iter().find(|known| known.0 == role).map_or("", |known| known.1).to_lowercase();
            let done = format!("{} is {word} now, and was signed out.", person.name);
            people.change(Person { role, ..person }, done);
        }
    };
    let toggle = move |_| {
        if let Some(person) = person.get_untracked() {
            let done = if person.disabled { "may sign in again." } else { "is shut out, and was signed out." };
            let done = format!("{} {done}", person.name);
            people.change(Person { disabled: !person.disabled, ..person }, done);
        }
    };
    let role = move || person.get().map(|person| person.role);
    view! {
        <li class="card person" data-testid="person" data-name=name.clone()>
            <strong>{name.clone()}</strong>
            <RoleChoice label=format!("Role of {name}") test_id="person-role" role=role choose=choose />
            <button class="small" data-testid="person-shut-out" on:click=toggle>
                {move || if is_out() { "Let in again" } else { "Shut out" }}
            </button>
            <span class="pill offline" hidden=move || !is_out()>"Shut out"</span>
        </li>
    }
}

/// One of the roles.
#[component]
fn RoleChoice(
    label: String,
    test_id: &'static str,
    role: impl Fn() -> Option<Role> + Copy + Send + Sync + 'static,
    choose: impl Fn(Role) + 'static,
) -> impl IntoView {
    let change = move |event: web_sys::Event| {
        let word = event_target_value(&event);
        if let Some((role, ..)) = ROLES.into_iter().find(|(_, known, _)| *known == word) {
            choose(role);
        }
    };
    view! {
        <select aria-label=label data-testid=test_id on:change=change>
            {ROLES.map(|(known, word, may)| view! {
                <option value=word title=may prop:selected=move || role() == Some(known)>{word}</option>
            })}
        </select>
    }
}

/// A form for one more account.
#[component]
fn NewAccount(people: People) -> impl IntoView {
    let (name, password) = (RwSignal::new(String::new()), RwSignal::new(String::new()));
    let role = RwSignal::new(Role::Annotator);
    let send = move |event: web_sys::SubmitEvent| {
        event.prevent_default();
        let who = name.get_untracked().trim().to_owned();
        let person = Person { name: who, role: role.get_untracked(), disabled: false };
        people.add(person, password.get_untracked(), move || {
            name.set(String::new());
            password.set(String::new());
        });
    };
    view! {
        <form class="card" aria-labelledby="new-account" data-testid="new-account" on:submit=send>
            <h2 id="new-account">"New account"</h2>
            <p class="hint">"A name has letters a to z, digits, or . _ @ -; a password at least 12 characters."</p>
            <Show when=move || people.elsewhere.get()>
                <p class="hint">"Whoever signs in with the hospital's account under this name needs no password."</p>
            </Show>
            <label class="field">
                <span>"Name"</span>
                <input
                    type="text" autocomplete="off" autocapitalize="none" spellcheck="false" required=true
                    data-testid="new-name" prop:value=name
                    on:input=move |event| name.set(event_target_value(&event))
                />
            </label>
            <label class="field">
                <span>"Password"</span>
                <input
                    type="password" autocomplete="new-password" data-testid="new-password"
                    required=move || !people.elsewhere.get()
                    prop:value=password
                    on:input=move |event| password.set(event_target_value(&event))
                />
            </label>
            <label class="field">
                <span>"Role"</span>
                <RoleChoice
                    label="Role of the new account".to_owned() test_id="new-role" role=move || Some(role.get())
                    choose=move |chosen| role.set(chosen)
                />
            </label>
            <button class="primary" type="submit" data-testid="new-send">"Make the account"</button>
        </form>
    }
}
