//! Sign-in with an account of the hospital: OpenID Connect, the code flow with PKCE. The browser is sent to the
//! provider and comes back with a code, which this server exchanges for a statement of who it was; tokens never reach
//! the browser and are kept nowhere.
//!
//! A flow is good once, for ten minutes, and for the browser that began it. What is believed is checked by `token`.

mod flows;
mod token;
mod wire;

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use shared::api::Role;
use shared::api::route::push_encoded;
use thiserror::Error;

use crate::outgoing::is_here;
use crate::secret::{Hidden, digest, random_word};
use flows::{Flow, Flows};
use token::{Claims, Expected, Key, Untrusted};
use wire::{Exchange, Metadata, Wire};

/// How long what a provider says of itself holds.
const KNOWN_FOR: Duration = Duration::from_secs(3600);
/// How long its keys hold at least, whatever tokens name others.
const KEYS_FOR: Duration = Duration::from_secs(30);

/// What the operator says of the provider.
#[derive(Debug)]
pub struct Settings {
    /// Its issuer address, as its tokens name it.
    pub issuer: String,
    /// What this server is called there.
    pub client: String,
    /// What this server knows itself by; none for a public client.
    pub secret: Option<Hidden>,
    /// Where browsers come back to.
    pub redirect: String,
    /// The claim that names the account.
    pub claim: String,
    /// What is asked for beside `openid`, such as `profile`.
    pub scopes: Vec<String>,
    /// What the button says.
    pub label: String,
    /// What those may do who have no account yet; without it they get none.
    pub new_people: Option<Role>,
    /// Whom to trust, PEM; the system's authorities if there is none.
    pub authorities: Option<Vec<u8>>,
}

/// Why somebody could not be signed in. Nothing here names a person.
#[derive(Debug, Error)]
pub enum OidcError {
    /// No answer.
    #[error("the provider cannot be reached: {0}")]
    Away(String),
    /// An answer that makes no sense.
    #[error("the provider's answer is not understood: {0}")]
    Odd(String),
    /// The provider did not sign anybody in.
    #[error("the provider has refused: {0}")]
    Refused(String),
    /// No such flow: begun too long ago, finished already, or in another browser.
    #[error("this sign-in was not begun in this browser, or too long ago, or has been finished")]
    NoFlow,
    /// The answer comes from another provider.
    #[error("the answer is not from this provider")]
    MixedUp,
    /// A token that is not believed.
    #[error("the provider's statement is not believed: {0}")]
    Untrusted(#[from] Untrusted),
    /// The claim that names the account is not there.
    #[error("the provider says nothing in the claim that names the account")]
    Nameless,
    /// The system.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

/// A sign-in that has begun.
#[derive(Debug)]
pub struct Begun {
    /// Where the browser goes.
    pub address: String,
    /// The word that the browser keeps.
    pub browser: String,
}

/// What a browser comes back with.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// What is exchanged.
    pub code: Option<String>,
    /// Which flow.
    pub state: Option<String>,
    /// Who answers (RFC 9207).
    pub iss: Option<String>,
    /// Why there is no code.
    pub error: Option<String>,
}

/// Who it is, by the provider's word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The provider.
    pub issuer: String,
    /// The person, there; never given to another.
    pub subject: String,
    /// The account's name.
    pub name: String,
}

/// A provider.
#[derive(Debug)]
pub struct Provider {
    settings: Settings,
    wire: Wire,
    known: Mutex<Option<Known>>,
    flows: Flows,
}

/// What it has said of itself.
#[derive(Clone, Debug)]
struct Known {
    metadata: Metadata,
    keys: Vec<Key>,
    asked: Instant,
}

impl Provider {
    /// # Errors
    /// If anybody in between could read along, or certificates cannot be read.
    pub fn new(settings: Settings) -> Result<Self> {
        check_reach(&settings.issuer).context("--oidc-issuer")?;
        ensure!(
            settings.redirect.starts_with("https://") || is_here(&settings.redirect),
            "{} is not encrypted: browsers would bring the code over an open line",
            settings.redirect
        );
        let wire = Wire::open(&settings.issuer, settings.authorities.clone())?;
        Ok(Self { settings, wire, known: Mutex::default(), flows: Flows::default() })
    }

    /// What the button says.
    pub fn label(&self) -> &str {
        &self.settings.label
    }

    /// What those may do who have no account yet.
    pub fn new_people(&self) -> Option<Role> {
        self.settings.new_people
    }

    /// Begins a sign-in. Blocks while the provider is asked about itself.
    ///
    /// # Errors
    /// [`OidcError`].
    pub fn begin(&self) -> Result<Begun, OidcError> {
        let metadata = self.known(KNOWN_FOR)?.metadata;
        let [state, browser, nonce, verifier] = [random_word()?, random_word()?, random_word()?, random_word()?];
        let scope = ["openid"].into_iter().chain(self.settings.scopes.iter().map(String::as_str));
        let challenge = digest(&verifier);
        let mut address = metadata.authorization_endpoint;
        for (at, (name, value)) in [
            ("response_type", "code"),
            ("client_id", &self.settings.client),
            ("redirect_uri", &self.settings.redirect),
            ("scope", &scope.collect::<Vec<_>>().join(" ")),
            ("state", &state),
            ("nonce", &nonce),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ]
        .into_iter()
        .enumerate()
        {
            address.push(if at == 0 && !address.contains('?') { '?' } else { '&' });
            address += name;
            address.push('=');
            push_encoded(&mut address, value);
        }
        self.flows.add(
            &digest(&state),
            Flow { browser: digest(&browser), nonce: Hidden(nonce), verifier: Hidden(verifier), begun: Instant::now() },
        );
        Ok(Begun { address, browser })
    }

    /// Finishes a sign-in: who it was that the provider has signed in. `browser` is the word that the browser has kept.
    /// Blocks while the provider is asked.
    ///
    /// # Errors
    /// [`OidcError`]; the flow is over then, too.
    pub fn finish(&self, answer: &Answer, browser: Option<&str>) -> Result<Identity, OidcError> {
        let (Some(state), Some(browser)) = (&answer.state, browser) else { return Err(OidcError::NoFlow) };
        let flow = self.flows.take(&digest(state), &digest(browser)).ok_or(OidcError::NoFlow)?;
        let metadata = self.known(KNOWN_FOR)?.metadata;
        let is_named = answer.iss.is_some() || metadata.authorization_response_iss_parameter_supported;
        if is_named && answer.iss.as_deref() != Some(&metadata.issuer) {
            return Err(OidcError::MixedUp);
        }
        if let Some(error) = &answer.error {
            return Err(OidcError::Refused(wire::plain(error)));
        }
        let code = answer.code.as_deref().ok_or_else(|| OidcError::Odd("no code".to_owned()))?;
        let Settings { client, secret, redirect, .. } = &self.settings;
        let exchange = Exchange {
            code,
            verifier: &flow.verifier.0,
            client,
            secret: secret.as_ref().map(|Hidden(secret)| secret.as_str()),
            redirect,
        };
        let tokens = self.wire.exchange(&metadata, &exchange)?;
        let claims = self.believed(&tokens.id_token, &flow.nonce.0)?;
        let name = match self.named(&claims.more, &claims.sub)? {
            Some(name) => name,
            // Providers that keep to the letter say who it is only when asked.
            None => {
                let more = self.wire.userinfo(&metadata, &tokens.access_token)?;
                if more.get("sub").and_then(Value::as_str) != Some(&claims.sub) {
                    return Err(OidcError::Untrusted(Untrusted::Subject));
                }
                self.named(&more, &claims.sub)?.ok_or(OidcError::Nameless)?
            }
        };
        Ok(Identity { issuer: claims.iss, subject: claims.sub, name })
    }

    /// The name that the claims give to the account; nothing if they say nothing of it.
    fn named(&self, claims: &serde_json::Map<String, Value>, subject: &str) -> Result<Option<String>, OidcError> {
        if self.settings.claim == "sub" {
            return Ok(Some(subject.to_lowercase()));
        }
        let name = claims.get(&self.settings.claim).and_then(Value::as_str).map(str::to_lowercase);
        // Anybody can write anybody's address into a form.
        if self.settings.claim == "email" && name.is_some() && claims.get("email_verified") != Some(&Value::Bool(true))
        {
            return Err(OidcError::Untrusted(Untrusted::Email));
        }
        Ok(name)
    }

    fn believed(&self, token: &str, nonce: &str) -> Result<Claims, OidcError> {
        let now_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        let Settings { issuer, client, .. } = &self.settings;
        let expected = Expected { issuer, client, nonce, now_s };
        match token::verified(token, &self.known(KNOWN_FOR)?.keys, &expected) {
            // It may have changed its keys since.
            Err(Untrusted::NoKey) => Ok(token::verified(token, &self.known(KEYS_FOR)?.keys, &expected)?),
            verified => Ok(verified?),
        }
    }

    /// What the provider says of itself, as it said it within this time.
    fn known(&self, within: Duration) -> Result<Known, OidcError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.as_ref().filter(|known| known.asked.elapsed() < within) {
            return Ok(known.clone());
        }
        let metadata = self.wire.metadata(&self.settings.issuer)?;
        let keys = self.wire.keys(&metadata.jwks_uri)?;
        Ok(known.insert(Known { metadata, keys, asked: Instant::now() }).clone())
    }
}

/// Refuses addresses over which anybody in between could read along.
fn check_reach(url: &str) -> Result<()> {
    let plain = url.starts_with("http://") && is_here(url);
    ensure!(url.starts_with("https://") || plain, "{url} has to begin with https://");
    ensure!(!url.contains(['?', '#', ' ']), "{url} holds a query or a blank");
    Ok(())
}
