//! Who is signed in, and who else works here.

use leptos::prelude::*;
use leptos::task::spawn_local;
use shared::api::{Account, ErrorCode, KeyInfo, KeyMade, Me, NewKey, Person};

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
    /// Whether people may sign in elsewhere, so that an account needs no password.
    pub(crate) elsewhere: RwSignal<bool>,
    /// What was done last, or why it was not.
    pub(crate) said: RwSignal<Option<Result<String, String>>>,
}

impl People {
    /// Asks the server.
    pub(crate) fn looked_up() -> Self {
        let people =
            Self { list: RwSignal::new(Vec::new()), elsewhere: RwSignal::new(false), said: RwSignal::new(None) };
        spawn_local(async move {
            people.look().await;
            people.elsewhere.set(api::sign_in_ways().await.is_ok_and(|ways| ways.provider.is_some()));
        });
        people
    }

    /// Makes an account; calls back once there is one.
    pub(crate) fn add(self, person: Person, password: String, made: impl FnOnce() + 'static) {
        let Person { name, role, disabled } = person;
        spawn_local(async move {
            let has_password = !password.is_empty();
            let account = Account { role, disabled, password: Some(password).filter(|_| has_password) };
            let answer = api::add_person(&name, &account).await;
            if answer.is_ok() {
                made();
            }
            let more =
                if has_password { "Tell them the password; it is shown nowhere." } else { "They sign in elsewhere." };
            self.say(answer, format!("{name} has an account. {more}")).await;
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

/// The keys that this person's programs have.
#[derive(Clone, Copy)]
pub(crate) struct Keys {
    /// By age.
    pub(crate) list: RwSignal<Vec<KeyInfo>>,
    /// The key that was made last; it is shown this one time.
    pub(crate) made: RwSignal<Option<KeyMade>>,
    /// Why something was not done.
    pub(crate) trouble: RwSignal<Option<String>>,
}

impl Keys {
    /// Asks the server.
    pub(crate) fn looked_up() -> Self {
        let keys = Self { list: RwSignal::new(Vec::new()), made: RwSignal::new(None), trouble: RwSignal::new(None) };
        spawn_local(keys.look());
        keys
    }

    /// Makes a key; calls back once there is one.
    pub(crate) fn make(self, label: String, made: impl FnOnce() + 'static) {
        spawn_local(async move {
            match api::add_key(&NewKey { label }).await {
                Ok(key) => {
                    self.made.set(Some(key));
                    made();
                    self.look().await;
                }
                Err(trouble) => self.trouble.set(Some(trouble.to_string())),
            }
        });
    }

    /// Revokes a key.
    pub(crate) fn revoke(self, id: i64) {
        spawn_local(async move {
            if let Err(trouble) = api::revoke_key(id).await {
                self.trouble.set(Some(trouble.to_string()));
            } else {
                self.made.update(|made| drop(made.take_if(|made| made.info.id == id)));
                self.look().await;
            }
        });
    }

    async fn look(self) {
        match api::keys().await {
            Ok(keys) => {
                self.trouble.set(None);
                self.list.set(keys);
            }
            Err(trouble) => self.trouble.set(Some(trouble.to_string())),
        }
    }
}
