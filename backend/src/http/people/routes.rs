//! Signing in and out, accounts, keys, and whose cases are whose.

use actix_web::cookie::{Cookie, SameSite};
use actix_web::http::StatusCode;
use actix_web::web::{Data, Json, Path};
use actix_web::{HttpRequest, HttpResponse};
use shared::api::{Account, ErrorCode, KeyInfo, KeyMade, Me, NewKey, Person, Role, SignIn, route};
use shared::case::CaseId;

use super::super::{Parts, Refusal};
use super::admit::{Visitor, origin_address};
use super::secrets;
use crate::secret::{digest, random_word};
use crate::store::Actor;

/// Shorter passwords are guessed.
const SHORTEST_PASSWORD: usize = 12;
/// Longer ones are no passwords.
const LONGEST_TEXT: usize = 256;
/// Keys begin so, so that scanners for secrets know them.
const KEY_PREFIX: &str = "i3deep_";

/// Who the asker is.
#[utoipa::path(
    get,
    path = route::ME.path,
    responses((status = 200, description = "Whom the server takes the asker for", body = Me))
)]
pub(crate) async fn me(visitor: Visitor) -> Json<Me> {
    Json(visitor.me())
}

/// Begins a session; with the printed invitation, makes the first administrator.
#[utoipa::path(
    post,
    path = route::SIGN_IN.path,
    request_body = SignIn,
    responses((status = 200, description = "Signed in; a cookie says so", body = Me))
)]
pub(crate) async fn sign_in(
    parts: Data<Parts>,
    request: HttpRequest,
    body: Json<SignIn>,
) -> Result<HttpResponse, Refusal> {
    let (person, word) = begin_session(&parts, &request, body.into_inner()).await?;
    let me = Me { name: person.name, role: person.role, can_sign_out: true };
    Ok(HttpResponse::Ok().cookie(cookie(&parts, word)).json(me))
}

/// A session for whoever gives the right password, and the word that stands for it.
pub(crate) async fn begin_session(
    parts: &Parts,
    request: &HttpRequest,
    said: SignIn,
) -> Result<(Person, String), Refusal> {
    let SignIn { name, password, invitation } = said;
    if !parts.access.attempts.allows(&name, origin_address(parts, request)) {
        tracing::warn!("too many tries to sign in");
        let message = "too many tries; wait a minute, then try again";
        return Err(Refusal::new(StatusCode::TOO_MANY_REQUESTS, ErrorCode::Busy, message));
    }
    if let Some(invitation) = invitation {
        make_first_admin(parts, &name, &password, &invitation).await?;
    }
    let kept = parts.store.credentials(&name).await?;
    // Whoever has no password signs in elsewhere.
    let (person, hash) =
        kept.map_or((None, None), |(person, hash)| (Some(person), Some(hash).filter(|hash| !hash.is_empty())));
    let right = secrets::is_password(password, hash).await?;
    let Some(person) = person.filter(|_| right) else {
        tracing::warn!("a sign-in was refused");
        return Err(Refusal::new(
            StatusCode::UNAUTHORIZED,
            ErrorCode::WrongPassword,
            "the name or the password is not right",
        ));
    };
    // Whatever cookie the browser came with is worth nothing from now on.
    if let Some(old) = request.cookie(&parts.access.cookie_name()) {
        parts.store.end_session(&digest(old.value())).await?;
    }
    let word = random_word().map_err(|error| Refusal::internal(&error))?;
    parts.store.begin_session(&person.name, &digest(&word)).await?;
    Ok((person, word))
}

async fn make_first_admin(parts: &Parts, name: &str, password: &str, invitation: &str) -> Result<(), Refusal> {
    if !parts.access.accounts || !parts.access.is_invited(invitation) || parts.store.has_people().await? {
        let message = "this link has been used, or is not from this start of the server; it prints a new one when it \
                       is started without accounts";
        return Err(Refusal::new(StatusCode::FORBIDDEN, ErrorCode::NotAllowed, message));
    }
    check_new(name, password)?;
    let hash = secrets::hash(password.to_owned()).await?;
    let person = Person { name: name.to_owned(), role: Role::Admin, disabled: false };
    parts.store.add_person(&Actor::server(), &person, &hash).await?;
    parts.access.withdraw_invitation();
    Ok(())
}

/// Ends the asker's session.
#[utoipa::path(
    delete,
    path = route::SIGN_OUT.path,
    responses((status = 204, description = "The cookie is worth nothing any more"))
)]
pub(crate) async fn sign_out(parts: Data<Parts>, visitor: Visitor) -> Result<HttpResponse, Refusal> {
    if let Some(session) = visitor.session() {
        parts.access.end_local_session(session);
        parts.store.end_session(session).await?;
    }
    let mut gone = cookie(&parts, String::new());
    gone.make_removal();
    // What this site has stored in the browser goes too; the client sends what is unsent before it signs out.
    Ok(HttpResponse::NoContent().cookie(gone).insert_header(("clear-site-data", "\"cache\"")).finish())
}

/// A browser that came with the printed word gets a session in its place.
pub(crate) fn exchange(parts: &Parts, word: &str) -> Result<Option<Cookie<'static>>, Refusal> {
    if parts.access.accounts || !parts.access.is_invited(word) {
        return Ok(None);
    }
    let word = parts.access.begin_local_session().map_err(|error| Refusal::internal(&error))?;
    Ok(Some(cookie(parts, word)))
}

pub(super) fn cookie(parts: &Parts, word: String) -> Cookie<'static> {
    Cookie::build(parts.access.cookie_name(), word)
        .path("/")
        .http_only(true)
        .same_site(SameSite::Strict)
        .secure(parts.access.encrypted)
        .finish()
}

/// Everybody with an account, by name.
#[utoipa::path(
    get,
    path = route::PEOPLE.path,
    responses((status = 200, description = "The accounts", body = Vec<Person>))
)]
pub(crate) async fn people(parts: Data<Parts>) -> Result<Json<Vec<Person>>, Refusal> {
    Ok(Json(parts.store.people().await?))
}

/// Makes an account.
#[utoipa::path(
    post,
    path = route::ADD_PERSON.path,
    params(("name" = String, Path, description = "What they sign in with")),
    request_body = Account,
    responses((status = 201, description = "The account", body = Person))
)]
pub(crate) async fn add_person(
    parts: Data<Parts>,
    visitor: Visitor,
    name: Path<String>,
    body: Json<Account>,
) -> Result<HttpResponse, Refusal> {
    let Account { role, disabled, password } = body.into_inner();
    let hash = match password {
        Some(password) => {
            check_new(&name, &password)?;
            secrets::hash(password).await?
        }
        None if parts.access.knows_others() => {
            check_name(&name)?;
            String::new()
        }
        None => return Err(Refusal::bad(ErrorCode::UnreadableRequest, "a new account needs a password")),
    };
    let person = Person { name: name.into_inner(), role, disabled };
    parts.store.add_person(&visitor.actor(), &person, &hash).await?;
    Ok(HttpResponse::Created().json(person))
}

/// Changes what somebody may do, or their password; they are signed out.
#[utoipa::path(
    put,
    path = route::CHANGE_PERSON.path,
    params(("name" = String, Path, description = "Whose account")),
    request_body = Account,
    responses((status = 200, description = "The account", body = Person))
)]
pub(crate) async fn change_person(
    parts: Data<Parts>,
    visitor: Visitor,
    name: Path<String>,
    body: Json<Account>,
) -> Result<Json<Person>, Refusal> {
    let Account { role, disabled, password } = body.into_inner();
    let hash = match password {
        Some(password) => {
            check_new(&name, &password)?;
            Some(secrets::hash(password).await?)
        }
        None => None,
    };
    let person = Person { name: name.into_inner(), role, disabled };
    parts.store.change_person(&visitor.actor(), &person, hash.as_deref()).await?;
    Ok(Json(person))
}

/// Whether an account may have this name.
pub(super) fn check_name(name: &str) -> Result<(), Refusal> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._@-".contains(c);
    if !(1..=64).contains(&name.len()) || !name.chars().all(plain) || ["local", "server"].contains(&name) {
        return Err(bad_name(
            "a name has 1 to 64 letters a to z, digits, or . _ @ -, and is not `local` or `server`".to_owned(),
        ));
    }
    Ok(())
}

fn check_new(name: &str, password: &str) -> Result<(), Refusal> {
    check_name(name)?;
    if password.chars().count() < SHORTEST_PASSWORD || password.len() > LONGEST_TEXT || password == name {
        return Err(bad_name(format!(
            "a password has {SHORTEST_PASSWORD} to {LONGEST_TEXT} characters and is not the name; several words are a \
             good one"
        )));
    }
    Ok(())
}

fn bad_name(message: String) -> Refusal {
    Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, ErrorCode::BadName, message)
}

/// Whom a case was given to.
#[utoipa::path(
    get,
    path = route::ASSIGNED.path,
    params(("id" = CaseId, Path, description = "The case")),
    responses((status = 200, description = "Names of accounts", body = Vec<String>))
)]
pub(crate) async fn assigned(parts: Data<Parts>, id: Path<CaseId>) -> Result<Json<Vec<String>>, Refusal> {
    Ok(Json(parts.store.assigned(&id).await?))
}

/// Gives a case to these people, and to nobody else.
#[utoipa::path(
    put,
    path = route::ASSIGN.path,
    params(("id" = CaseId, Path, description = "The case")),
    request_body = Vec<String>,
    responses((status = 200, description = "Names of accounts", body = Vec<String>))
)]
pub(crate) async fn assign(
    parts: Data<Parts>,
    visitor: Visitor,
    id: Path<CaseId>,
    body: Json<Vec<String>>,
) -> Result<Json<Vec<String>>, Refusal> {
    parts.store.assign(&visitor.actor(), &id, &body).await?;
    Ok(Json(parts.store.assigned(&id).await?))
}

/// The asker's own keys for programs.
#[utoipa::path(
    get,
    path = route::KEYS.path,
    responses((status = 200, description = "The keys, without what they open", body = Vec<KeyInfo>))
)]
pub(crate) async fn keys(parts: Data<Parts>, visitor: Visitor) -> Result<Json<Vec<KeyInfo>>, Refusal> {
    Ok(Json(parts.store.keys(&visitor.name).await?))
}

/// Makes a key with which a program may do what the asker may.
#[utoipa::path(
    post,
    path = route::ADD_KEY.path,
    request_body = NewKey,
    responses((status = 201, description = "The key, this one time", body = KeyMade))
)]
pub(crate) async fn add_key(parts: Data<Parts>, visitor: Visitor, body: Json<NewKey>) -> Result<HttpResponse, Refusal> {
    if !parts.access.accounts {
        return Err(Refusal::new(
            StatusCode::CONFLICT,
            ErrorCode::NotNow,
            "keys belong to accounts; start the server with --accounts",
        ));
    }
    if body.label.len() > LONGEST_TEXT {
        return Err(Refusal::bad(ErrorCode::TextTooLong, format!("a label has at most {LONGEST_TEXT} bytes")));
    }
    let key = format!("{KEY_PREFIX}{}", random_word().map_err(|error| Refusal::internal(&error))?);
    let info = parts.store.add_key(&visitor.name, &body.label, &digest(&key)).await?;
    Ok(HttpResponse::Created().json(KeyMade { info, key }))
}

/// Revokes one of the asker's keys.
#[utoipa::path(
    delete,
    path = route::REVOKE_KEY.path,
    params(("id" = i64, Path, description = "Which key")),
    responses((status = 204, description = "It opens nothing any more"))
)]
pub(crate) async fn revoke_key(parts: Data<Parts>, visitor: Visitor, id: Path<i64>) -> Result<HttpResponse, Refusal> {
    parts.store.revoke_key(&visitor.name, *id).await?;
    Ok(HttpResponse::NoContent().finish())
}
