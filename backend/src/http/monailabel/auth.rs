//! Signing in as MONAI Label's clients do: with a form, for a token.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Form, Json};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use serde_json::{Value, json};
use shared::api::{ErrorCode, SignIn};

use super::super::people::{Visitor, begin_session};
use super::{Parts, Refusal};

/// Whether people are asked who they are. Clients take 404 for no.
pub(super) async fn show(parts: Data<Parts>) -> Result<Json<Value>, Refusal> {
    if !parts.access.accounts {
        return Err(Refusal::new(StatusCode::NOT_FOUND, ErrorCode::NotFound, "nobody is asked who they are here"));
    }
    Ok(Json(json!({ "enabled": true, "realm": "i3Deep", "client_id": "i3deep" })))
}

#[derive(Deserialize)]
pub(super) struct Credentials {
    username: String,
    password: String,
}

/// A session's word as a token.
pub(super) async fn token(
    parts: Data<Parts>,
    request: HttpRequest,
    form: Form<Credentials>,
) -> Result<Json<Value>, Refusal> {
    let Credentials { username: name, password } = form.into_inner();
    let (_, word) = begin_session(&parts, &request, SignIn { name, password, invitation: None }).await?;
    Ok(Json(json!({ "access_token": word, "token_type": "Bearer" })))
}

/// Whether a token still lets in: whoever gets here was let in.
pub(super) async fn valid(_: Visitor) -> HttpResponse {
    HttpResponse::Ok().json(json!({}))
}
