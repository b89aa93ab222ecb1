//! The way over a provider and back. What goes wrong is told on the sign-in page, by a word: what a provider says is
//! shown nowhere.

use actix_web::cookie::time::Duration;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::http::StatusCode;
use actix_web::http::header::LOCATION;
use actix_web::web::{self, Data, Json, Query};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use shared::api::{ErrorCode, SignInTrouble, SignInWays, route};

use super::super::{Parts, Refusal};
use super::admit::origin_address;
use super::routes::{check_name, cookie};
use crate::oidc::{Answer, Identity, OidcError};
use crate::secret::{digest, random_word};
use crate::store::Welcome;

/// How long a browser keeps the word of a sign-in that it has begun.
const FLOW_LIMIT: Duration = Duration::minutes(10);

/// How people sign in here.
#[utoipa::path(
    get,
    path = route::SIGN_IN_WAYS.path,
    responses((status = 200, description = "The ways, beside a name and a password", body = SignInWays))
)]
pub(crate) async fn sign_in_ways(parts: Data<Parts>) -> Json<SignInWays> {
    Json(SignInWays { provider: parts.access.provider.as_ref().map(|provider| provider.label().to_owned()) })
}

/// Sends the browser to the provider.
#[utoipa::path(
    get,
    path = route::GO_TO_PROVIDER.path,
    responses((status = 303, description = "To the provider, or to the sign-in page with what is wrong"))
)]
pub(crate) async fn go_to_provider(parts: Data<Parts>, request: HttpRequest) -> Result<HttpResponse, Refusal> {
    let Some(provider) = parts.access.provider.clone() else { return Err(no_provider()) };
    if !parts.access.attempts.allows_address(origin_address(&parts, &request)) {
        return Ok(back_with(SignInTrouble::TooOften));
    }
    let begun = web::block(move || provider.begin()).await.map_err(|error| Refusal::internal(&error))?;
    Ok(match begun {
        Ok(begun) => {
            let mut answer = HttpResponse::SeeOther();
            answer.cookie(flow_cookie(&parts, begun.browser)).insert_header((LOCATION, begun.address)).finish()
        }
        Err(error) => failed(&error),
    })
}

fn no_provider() -> Refusal {
    Refusal::new(
        StatusCode::NOT_FOUND,
        ErrorCode::NotFound,
        "nobody else signs people in here; sign in by a name and a password",
    )
}

/// What a provider sends a browser back with. Whatever else it adds is nothing to this server.
#[derive(Deserialize)]
pub(crate) struct Back {
    code: Option<String>,
    state: Option<String>,
    iss: Option<String>,
    error: Option<String>,
}

/// Begins a session for whom the provider has signed in.
#[utoipa::path(
    get,
    path = route::BACK_FROM_PROVIDER.path,
    params(
        ("code" = Option<String>, Query, description = "What is exchanged for a statement of who it was"),
        ("state" = Option<String>, Query, description = "Which sign-in"),
        ("iss" = Option<String>, Query, description = "The provider"),
        ("error" = Option<String>, Query, description = "Why there is no code"),
    ),
    responses((status = 303, description = "To the cases, or to the sign-in page with the word of what is wrong"))
)]
pub(crate) async fn back_from_provider(
    parts: Data<Parts>,
    request: HttpRequest,
    back: Query<Back>,
) -> Result<HttpResponse, Refusal> {
    let Some(provider) = parts.access.provider.clone() else { return Err(no_provider()) };
    let Back { code, state, iss, error } = back.into_inner();
    let (answer, new) = (Answer { code, state, iss, error }, provider.new_people());
    let browser = request.cookie(&flow_cookie_name(&parts)).map(|cookie| cookie.value().to_owned());
    let finished = web::block(move || provider.finish(&answer, browser.as_deref())).await;
    let mut answer = match finished.map_err(|error| Refusal::internal(&error))? {
        Ok(identity) => welcome(&parts, &identity, new).await?,
        Err(error) => failed(&error),
    };
    let mut over = flow_cookie(&parts, String::new());
    over.make_removal();
    // Fails only for a cookie that cannot be written.
    let _ = answer.add_cookie(&over);
    Ok(answer)
}

async fn welcome(
    parts: &Parts,
    Identity { issuer, subject, name }: &Identity,
    new: Option<shared::api::Role>,
) -> Result<HttpResponse, Refusal> {
    if check_name(name).is_err() {
        tracing::warn!("a provider names an account by what is no name of an account");
        return Ok(back_with(SignInTrouble::BadName));
    }
    let trouble = match parts.store.welcome(issuer, subject, name, new).await? {
        Welcome::Person(person) => {
            let word = random_word().map_err(|error| Refusal::internal(&error))?;
            parts.store.begin_session(&person.name, &digest(&word)).await?;
            let mut answer = HttpResponse::SeeOther();
            return Ok(answer.cookie(cookie(parts, word)).insert_header((LOCATION, "/")).finish());
        }
        Welcome::Unknown => SignInTrouble::Unknown,
        Welcome::Taken => SignInTrouble::Taken,
        Welcome::ShutOut => SignInTrouble::ShutOut,
    };
    tracing::warn!("a sign-in was refused");
    Ok(back_with(trouble))
}

fn failed(error: &OidcError) -> HttpResponse {
    tracing::warn!("a sign-in with the provider failed: {error}");
    back_with(match error {
        OidcError::Away(_) | OidcError::Odd(_) | OidcError::Io(_) => SignInTrouble::Away,
        OidcError::Refused(_) => SignInTrouble::Refused,
        OidcError::NoFlow => SignInTrouble::Expired,
        OidcError::MixedUp | OidcError::Untrusted(_) => SignInTrouble::Untrusted,
        OidcError::Nameless => SignInTrouble::BadName,
    })
}

fn back_with(trouble: SignInTrouble) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((LOCATION, format!("/?sign-in-trouble={}", trouble.name()))).finish()
}

fn flow_cookie_name(parts: &Parts) -> String {
    format!("{}-sign-in", parts.access.cookie_name())
}

/// Kept while the browser is away; it comes back from another site, so this cookie has to be less strict.
fn flow_cookie(parts: &Parts, word: String) -> Cookie<'static> {
    Cookie::build(flow_cookie_name(parts), word)
        .path("/")
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(parts.access.encrypted)
        .max_age(FLOW_LIMIT)
        .finish()
}
