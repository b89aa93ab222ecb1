//! What is asked of a provider: its metadata (OpenID Connect Discovery 1.0), its keys, the exchange of a code, who it
//! was. Answers are bounded; nothing of them is logged.

use std::time::Duration;

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use shared::api::route::push_encoded;
use ureq::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use ureq::http::{HeaderValue, Request, Response, StatusCode};
use ureq::{Agent, Body};

use super::token::Key;
use super::{OidcError, check_reach};
use crate::outgoing::{Patience, Tls, agent, why_away};

/// How long a provider may take.
const PATIENCE: Patience = Patience { answer: Duration::from_secs(10), silence: Duration::from_secs(10) };
/// Largest answer.
const LIMIT_BYTES: u64 = 1 << 20;

/// The way to a provider.
#[derive(Debug)]
pub(super) struct Wire {
    agent: Agent,
}

/// What a provider says of itself.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Metadata {
    pub(super) issuer: String,
    pub(super) authorization_endpoint: String,
    pub(super) token_endpoint: String,
    pub(super) jwks_uri: String,
    #[serde(default)]
    pub(super) userinfo_endpoint: Option<String>,
    #[serde(default)]
    pub(super) authorization_response_iss_parameter_supported: bool,
}

/// What is exchanged for tokens.
pub(super) struct Exchange<'a> {
    pub(super) code: &'a str,
    pub(super) verifier: &'a str,
    pub(super) client: &'a str,
    pub(super) secret: Option<&'a str>,
    pub(super) redirect: &'a str,
}

/// What the code was exchanged for.
#[derive(Deserialize)]
pub(super) struct Tokens {
    pub(super) id_token: String,
    pub(super) access_token: String,
}

#[derive(Deserialize)]
struct Keys {
    keys: Vec<Value>,
}

impl Wire {
    pub(super) fn open(issuer: &str, authorities: Option<Vec<u8>>) -> Result<Self> {
        Ok(Self { agent: agent(issuer, Tls { authorities, pair: None }, PATIENCE)? })
    }

    pub(super) fn metadata(&self, issuer: &str) -> Result<Metadata, OidcError> {
        let address = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let metadata: Metadata = self.get(&address, None)?;
        // Or somebody else's metadata would be believed to be this one's.
        if metadata.issuer != issuer {
            return Err(OidcError::Odd("it calls itself by another issuer address than --oidc-issuer".to_owned()));
        }
        let Metadata { authorization_endpoint, token_endpoint, jwks_uri, userinfo_endpoint, .. } = &metadata;
        for address in [token_endpoint, jwks_uri].into_iter().chain(userinfo_endpoint) {
            check_reach(address).map_err(|error| OidcError::Odd(error.to_string()))?;
        }
        let authorization = authorization_endpoint.split('?').next().unwrap_or_default();
        check_reach(authorization).map_err(|error| OidcError::Odd(error.to_string()))?;
        Ok(metadata)
    }

    /// The keys that are understood; others, such as those for encryption, are none of ours.
    pub(super) fn keys(&self, address: &str) -> Result<Vec<Key>, OidcError> {
        let Keys { keys } = self.get(address, None)?;
        Ok(keys.into_iter().filter_map(|key| serde_json::from_value(key).ok()).collect())
    }

    pub(super) fn exchange(&self, metadata: &Metadata, exchange: &Exchange<'_>) -> Result<Tokens, OidcError> {
        let Exchange { code, verifier, client, secret, redirect } = exchange;
        let mut form = String::new();
        for (name, value) in [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect),
            ("client_id", client),
            ("code_verifier", verifier),
        ] {
            form += if form.is_empty() { "" } else { "&" };
            form += name;
            form.push('=');
            push_encoded(&mut form, value);
        }
        let mut request = Request::post(&metadata.token_endpoint)
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        if let Some(secret) = secret {
            request = request.header(AUTHORIZATION, basic(client, secret)?);
        }
        let request = request.body(form).map_err(|_| unwritable())?;
        read(self.agent.run(request))
    }

    pub(super) fn userinfo(&self, metadata: &Metadata, access: &str) -> Result<Map<String, Value>, OidcError> {
        let address = metadata.userinfo_endpoint.as_deref().ok_or(OidcError::Nameless)?;
        self.get(address, Some(sensitive(&format!("Bearer {access}"))?))
    }

    fn get<T: DeserializeOwned>(&self, address: &str, authorization: Option<HeaderValue>) -> Result<T, OidcError> {
        let mut request = Request::get(address).header(ACCEPT, "application/json");
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        read(self.agent.run(request.body(()).map_err(|_| unwritable())?))
    }
}

/// RFC 6749, 2.3.1: both parts are encoded before they are joined.
fn basic(client: &str, secret: &str) -> Result<HeaderValue, OidcError> {
    let (mut pair, mut encoded) = (String::new(), String::new());
    push_encoded(&mut pair, client);
    push_encoded(&mut encoded, secret);
    sensitive(&format!("Basic {}", STANDARD.encode(format!("{pair}:{encoded}"))))
}

fn sensitive(text: &str) -> Result<HeaderValue, OidcError> {
    let mut value = HeaderValue::from_str(text).map_err(|_| unwritable())?;
    value.set_sensitive(true);
    Ok(value)
}

fn unwritable() -> OidcError {
    OidcError::Odd("an address or a token that cannot be written".to_owned())
}

fn read<T: DeserializeOwned>(response: Result<Response<Body>, ureq::Error>) -> Result<T, OidcError> {
    let mut response = response.map_err(|error| OidcError::Away(why_away(&error)))?;
    let status = response.status();
    let body = response.body_mut().with_config().limit(LIMIT_BYTES).read_to_vec();
    let body = body.map_err(|error| OidcError::Away(why_away(&error)))?;
    if status == StatusCode::OK {
        return serde_json::from_slice(&body).map_err(|_| OidcError::Odd("it is not the JSON of the standard".into()));
    }
    let said: Value = serde_json::from_slice(&body).unwrap_or_default();
    let said = said.get("error").and_then(Value::as_str).map(plain).unwrap_or_default();
    if status.is_server_error() {
        return Err(OidcError::Away(format!("HTTP {}", status.as_u16())));
    }
    Err(OidcError::Refused(format!("HTTP {} {said}", status.as_u16())))
}

/// A provider's word for the log: a code of the standard, or nothing.
pub(super) fn plain(word: &str) -> String {
    let is_code = word.len() <= 60 && word.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    if is_code { word.to_owned() } else { String::new() }
}
