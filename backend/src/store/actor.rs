//! Who does it. Every call that writes names its actor.

use serde::{Deserialize, Serialize};

/// Somebody who changes something: a person, or the server itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, sqlx::Type)]
#[serde(transparent)]
#[sqlx(transparent)]
pub struct Actor(String);

impl Actor {
    /// Whoever sits at this machine, as long as nobody is asked who they are.
    pub fn local() -> Self {
        Self("local".into())
    }

    /// The server, in what nobody asked for: what is begun again after a crash, or removed because its time is over.
    pub fn server() -> Self {
        Self("server".into())
    }

    /// A person by the name that their account has.
    pub fn person(account: impl Into<String>) -> Self {
        Self(account.into())
    }

    /// A machine that sends images, by what it calls itself.
    pub fn sender(title: &str) -> Self {
        Self(format!("dicom {title}"))
    }

    /// As it stands in the records.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
