//! Who asks, and what they may. Every route of the API names a [`Rule`]; [`admit`] is what stands before its handler.
//!
//! Without accounts, only the user who runs the server is let in, by a look at the other end of the connection or by
//! the word in the address that the server prints. With accounts it is sessions, programs' keys, or a proxy that has
//! asked already.

mod admit;
mod attempts;
mod oidc;
mod peer;
mod routes;
mod secrets;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use actix_web::http::header::HeaderName;

use crate::oidc::Provider;
use crate::secret::{digest, random_word};

pub(super) use admit::{Rule, Visitor, admit};
pub(super) use oidc::*;
pub(super) use peer::Ends;
pub(super) use routes::*;

/// How long a browser that came with the printed word is let in.
const LOCAL_LIMIT: Duration = Duration::from_secs(7 * 24 * 3600);

/// Who is let in.
#[derive(Debug)]
pub struct Access {
    /// Names, without ports, under which the server answers.
    pub hosts: Vec<String>,
    /// Whether everybody is asked who they are.
    pub accounts: bool,
    /// Whether browsers reach this server encrypted, so that cookies may insist on it.
    pub encrypted: bool,
    /// A proxy in front.
    pub proxy: Option<Proxy>,
    /// The port that stands in the cookie's name: cookies do not tell ports apart, and two servers may run on one
    /// machine.
    pub port: u16,
    /// Digest of the word that is printed at the start: it lets the local user in, or makes the first administrator,
    /// once.
    word: Mutex<Option<String>>,
    /// Digests of the local user's sessions.
    local: Mutex<HashMap<String, Instant>>,
    attempts: attempts::Attempts,
    /// Whoever signs people in elsewhere.
    pub provider: Option<Arc<Provider>>,
}

/// A proxy that is believed.
#[derive(Clone, Debug)]
pub struct Proxy {
    /// Where it asks from.
    pub peers: Vec<IpAddr>,
    /// The header in which it names the person who is signed in with it.
    pub user_header: Option<HeaderName>,
}

impl Access {
    /// Access under these names; a word has yet to be given out.
    pub fn new(hosts: Vec<String>, accounts: bool, encrypted: bool, proxy: Option<Proxy>, port: u16) -> Self {
        Self {
            hosts,
            accounts,
            encrypted,
            proxy,
            port,
            word: Mutex::default(),
            local: Mutex::default(),
            attempts: attempts::Attempts::default(),
            provider: None,
        }
    }

    /// Makes the word for the printed address.
    ///
    /// # Errors
    /// If the system has no randomness to give.
    pub fn invite(&self) -> std::io::Result<String> {
        let word = random_word()?;
        *self.word.lock().unwrap_or_else(PoisonError::into_inner) = Some(digest(&word));
        Ok(word)
    }

    /// Whether people may be known here without a password of this server's.
    fn knows_others(&self) -> bool {
        self.provider.is_some() || self.proxy.as_ref().is_some_and(|proxy| proxy.user_header.is_some())
    }

    fn is_invited(&self, word: &str) -> bool {
        self.word.lock().unwrap_or_else(PoisonError::into_inner).as_deref() == Some(digest(word).as_str())
    }

    fn withdraw_invitation(&self) {
        self.word.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    fn begin_local_session(&self) -> std::io::Result<String> {
        let word = random_word()?;
        let mut local = self.local.lock().unwrap_or_else(PoisonError::into_inner);
        local.retain(|_, begun| begun.elapsed() < LOCAL_LIMIT);
        local.insert(digest(&word), Instant::now());
        Ok(word)
    }

    fn is_local_session(&self, digest: &str) -> bool {
        self.local
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(digest)
            .is_some_and(|begun| begun.elapsed() < LOCAL_LIMIT)
    }

    fn end_local_session(&self, digest: &str) {
        self.local.lock().unwrap_or_else(PoisonError::into_inner).remove(digest);
    }

    fn cookie_name(&self) -> String {
        // Browsers take a cookie of this name only encrypted, for this host alone and for all its paths.
        let prefix = if self.encrypted { "__Host-" } else { "" };
        format!("{prefix}i3deep-{}", self.port)
    }
}
