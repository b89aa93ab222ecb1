//! Who is signed in, and who else works here.

use leptos::prelude::*;
use leptos::task::spawn_local;
use shared::api::{Account, ErrorCode, Me, Person};

use crate::api::{self, Answer, Trouble};

/// Whom the server takes this browser's user for.
#[derive(Clone, Copy)]
pub(crate) struct SignedIn {
    /// Once it has said so.
    pub(crate) me: RwSignal<Option<Me>>,
    /// Whether it has said that it knows nobody here.
    pub(crate) stranger: RwSignal<bool>,
}

impl SignedIn {
    /// Asks the server.
    pub(crate) fn asked() -> Self {
        let signed_in = Self { me: RwSignal::new(None), stranger: RwSignal::new(false) };
        spawn_local(async move {
            match api::me().await {
                Ok(me) => signed_in.me.set(Some(me)),
                Err(Trouble::Refused { code: ErrorCode::SignInNeeded, .. }) => signed_in.stranger.set(true),
                Err(_) => {}
            }
        });
        signed_in
    }

    /// Ends this browser's session; whoever is no longer known is asked who they are.
    pub(crate) fn leave(self) {
        spawn_local(async move {
            if api::sign_out().await.is_ok() {
                let _ = window().location().set_href("/");
            }
        });
    }
}

/// Everybody with an account, for those who may say who that is.
#[derive(Clone, Copy)]
pub(crate) struct People {
    /// By name.
    pub(crate) list: RwSignal<Vec<Person>>,
    /// What was done last, or why it was not.
    pub(crate) said: RwSignal<Option<Result<String, String>>>,
}

impl People {
    /// Asks the server.
    pub(crate) fn looked_up() -> Self {
        let people = Self { list: RwSignal::new(Vec::new()), said: RwSignal::new(None) };
        spawn_local(people.look());
        people
    }

    /// Makes an account; calls back once there is one.
    pub(crate) fn add(self, person: Person, password: String, made: impl FnOnce() + 'static) {
        let Person { name, role, disabled } = person;
        spawn_local(async move {
            let account = Account { role, disabled, password: Some(password) };
            let answer = api::add_person(&name, &account).await;
            if answer.is_ok() {
                made();
            }
            self.say(answer, format!("{name} has an account. Tell them the password; it is shown nowhere.")).await;
        });
    }

    /// Changes what somebody may do.
    pub(crate) fn change(self, person: Person, done: String) {
        let Person { name, role, disabled } = person;
        spawn_local(async move {
            let account = Account { role, disabled, password: None };
            self.say(api::change_person(&name, &account).await, done).await;
        });
    }

    /// Looks who is there now, and says how it went.
    async fn say(self, answer: Answer<Person>, done: String) {
        self.look().await;
        self.said.set(Some(answer.map(|_| done).map_err(|trouble| trouble.to_string())));
    }

    async fn look(self) {
        match api::people().await {
            Ok(people) => self.list.set(people),
            Err(trouble) => self.said.set(Some(Err(trouble.to_string()))),
        }
    }
}
