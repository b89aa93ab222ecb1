//! What stands before every handler of the API: who asks, and whether this is theirs to ask.

use std::future::{Ready, ready};
use std::net::IpAddr;

use actix_web::body::BoxBody;
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::{StatusCode, header};
use actix_web::middleware::Next;
use actix_web::web::{self, Data};
use actix_web::{Error, FromRequest, HttpMessage, HttpRequest, ResponseError};
use shared::api::{ErrorCode, Me, Person, Role};
use shared::case::JobId;

use super::super::{Parts, Refusal};
use super::peer::Ends;
use crate::secret::digest;
use crate::store::{Actor, Secret, StoreError};

/// What the user of this machine is called where there are no accounts.
const LOCAL: &str = "local";

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Whoever reaches the server: nothing about patients or people is said.
    Anybody,
    /// Whoever is let in; what they see is theirs.
    Person,
    /// Whose case `{id}` is, and those who see all.
    Case,
    /// Whose case job `{id}` is for, and those who see all.
    Job,
    /// Reviewers and administrators, who give cases to people.
    Reviewer,
    /// Administrators.
    Admin,
}

/// Whoever asks, and is known.
#[derive(Clone, Debug)]
pub(crate) struct Visitor {
    /// The account's name.
    pub(crate) name: String,
    /// What they may do.
    pub(crate) role: Role,
    by: By,
}

/// How somebody was known.
#[derive(Clone, Debug, PartialEq, Eq)]
enum By {
    /// As the user who runs the server.
    System,
    /// By a cookie's digest, without accounts.
    LocalSession(String),
    /// By a cookie's digest.
    Session(String),
    /// By a key's digest.
    Key(String),
    /// By the proxy.
    Proxy,
}

impl Visitor {
    fn local(by: By) -> Self {
        Self { name: LOCAL.to_owned(), role: Role::Admin, by }
    }

    /// Whoever asked for something before the server started again; nobody if there is no such account any more.
    ///
    /// # Errors
    /// If the store cannot say.
    pub(crate) async fn returned(parts: &Parts, name: &str) -> Result<Option<Self>, StoreError> {
        if !parts.access.accounts {
            return Ok((name == LOCAL).then(|| Self::local(By::System)));
        }
        let people = parts.store.people().await?;
        let person = people.into_iter().find(|person| person.name == name && !person.disabled);
        Ok(person.map(|Person { name, role, .. }| Self { name, role, by: By::System }))
    }

    /// For the records.
    pub(crate) fn actor(&self) -> Actor {
        Actor::person(self.name.clone())
    }

    /// For the client.
    pub(super) fn me(&self) -> Me {
        Me { name: self.name.clone(), role: self.role, can_sign_out: self.session().is_some() }
    }

    /// Digest of the session's cookie.
    pub(super) fn session(&self) -> Option<&str> {
        match &self.by {
            By::LocalSession(digest) | By::Session(digest) => Some(digest),
            By::System | By::Key(_) | By::Proxy => None,
        }
    }

    /// Whether this case is theirs to see.
    ///
    /// # Errors
    /// If the store cannot say.
    pub(crate) async fn sees(&self, parts: &Parts, case: &str) -> Result<bool, StoreError> {
        Ok(self.role.sees_all() || parts.store.may_work_on(&self.name, case).await?)
    }

    /// Whether what they came with still holds.
    pub(crate) async fn still_holds(&self, parts: &Parts) -> bool {
        let secret = match &self.by {
            By::System | By::Proxy => return true,
            By::LocalSession(digest) => return parts.access.is_local_session(digest),
            By::Session(digest) => Secret::Session(digest),
            By::Key(digest) => Secret::Key(digest),
        };
        matches!(parts.store.let_in(secret).await, Ok(Some(_)))
    }
}

/// Handlers that name a visitor get the one whom [`admit`] has let in.
impl FromRequest for Visitor {
    type Error = Refusal;
    type Future = Ready<Result<Self, Refusal>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(request.extensions().get::<Self>().cloned().ok_or_else(Refusal::sign_in_needed))
    }
}

/// Lets a request through to its handler if the rule of its route allows it.
pub(crate) async fn admit(
    rule: Rule,
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    match check(rule, &request).await {
        Ok(visitor) => {
            if let Some(visitor) = visitor {
                request.extensions_mut().insert(visitor);
            }
            next.call(request).await
        }
        Err(refusal) => Ok(request.into_response(refusal.error_response())),
    }
}

async fn check(rule: Rule, request: &ServiceRequest) -> Result<Option<Visitor>, Refusal> {
    if rule == Rule::Anybody {
        return Ok(None);
    }
    let parts = request.app_data::<Data<Parts>>().cloned().ok_or_else(|| Refusal::internal(&"no parts"))?;
    let visitor = identify(&parts, request).await?;
    let known = || visitor.clone().ok_or_else(Refusal::sign_in_needed);
    let id = request.match_info().get("id").unwrap_or_default();
    match rule {
        Rule::Anybody | Rule::Person => {}
        Rule::Case => check_sees(&parts, &known()?, id, "such case").await?,
        Rule::Job => {
            let visitor = known()?;
            let job = JobId(id.parse().map_err(|_| Refusal::no_such_route())?);
            check_sees(&parts, &visitor, parts.store.case_of_job(job).await?.as_str(), "such job").await?;
        }
        Rule::Reviewer if known()?.role.sees_all() => {}
        Rule::Admin if known()?.role == Role::Admin => {}
        Rule::Reviewer | Rule::Admin => return Err(Refusal::not_allowed()),
    }
    known().map(Some)
}

/// What is not theirs is not there: nobody learns by asking which ids exist.
async fn check_sees(parts: &Parts, visitor: &Visitor, case: &str, what: &'static str) -> Result<(), Refusal> {
    if visitor.sees(parts, case).await? { Ok(()) } else { Err(StoreError::NotFound(what).into()) }
}

async fn identify(parts: &Parts, request: &ServiceRequest) -> Result<Option<Visitor>, Refusal> {
    if let Some(key) = bearer(request) {
        let key = digest(key);
        if let Some(person) = parts.store.let_in(Secret::Key(&key)).await? {
            return Ok(Some(Visitor { name: person.name, role: person.role, by: By::Key(key) }));
        }
        // Programs that know no keys sign in with a password, and hold their session's word.
        let found = parts.store.let_in(Secret::Session(&key)).await?;
        return Ok(found.map(|person| Visitor { name: person.name, role: person.role, by: By::Session(key) }));
    }
    if let Some(cookie) = request.cookie(&parts.access.cookie_name()) {
        let cookie = digest(cookie.value());
        if !parts.access.accounts && parts.access.is_local_session(&cookie) {
            return Ok(Some(Visitor::local(By::LocalSession(cookie))));
        }
        if let Some(person) = parts.store.let_in(Secret::Session(&cookie)).await? {
            return Ok(Some(Visitor { name: person.name, role: person.role, by: By::Session(cookie) }));
        }
    }
    if let Some(name) = named_by_proxy(parts, request) {
        let found = parts.store.credentials(&name).await?;
        return Ok(found.map(|(person, _)| Visitor { name: person.name, role: person.role, by: By::Proxy }));
    }
    let Some(ends) = request.conn_data::<Ends>().cloned().filter(|_| !parts.access.accounts) else { return Ok(None) };
    let look = |ends: Ends| web::block(move || ends.is_own_user());
    let own = ends.is_known() || look(ends).await.map_err(|error| Refusal::internal(&error))?;
    Ok(own.then(|| Visitor::local(By::System)))
}

fn bearer(request: &ServiceRequest) -> Option<&str> {
    request.headers().get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

/// The person whom a declared proxy names; from anybody else the header says nothing.
fn named_by_proxy(parts: &Parts, request: &ServiceRequest) -> Option<String> {
    let proxy = parts.access.proxy.as_ref()?;
    let name = request.headers().get(proxy.user_header.as_ref()?)?.to_str().ok()?;
    let peer = request.conn_data::<Ends>()?.theirs.ip().to_canonical();
    if proxy.peers.contains(&peer) {
        return Some(name.to_owned());
    }
    tracing::warn!(peer = %peer, "names a person, but is no declared proxy; not believed");
    None
}

/// Where a request comes from: the address that a declared proxy names, else the other end of the connection.
pub(super) fn origin_address(parts: &Parts, request: &HttpRequest) -> Option<IpAddr> {
    let peer = request.conn_data::<Ends>()?.theirs.ip().to_canonical();
    if !parts.access.proxy.as_ref().is_some_and(|proxy| proxy.peers.contains(&peer)) {
        return Some(peer);
    }
    let forwarded = request.headers().get("x-forwarded-for").and_then(|value| value.to_str().ok());
    forwarded.and_then(|value| value.rsplit(',').next()?.trim().parse().ok()).or(Some(peer))
}

impl Refusal {
    /// Nobody is known here.
    pub(super) fn sign_in_needed() -> Self {
        let message = "sign in first; where there are no accounts, open the address that the server has printed";
        Self::new(StatusCode::UNAUTHORIZED, ErrorCode::SignInNeeded, message)
    }

    /// Somebody is known, and may not.
    pub(super) fn not_allowed() -> Self {
        Self::new(StatusCode::FORBIDDEN, ErrorCode::NotAllowed, "your account may not do this; ask an administrator")
    }
}
