//! Whether the server can work.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Json};
use actix_web::{HttpResponse, ResponseError};
use shared::api::{ApiError, ErrorCode, Health, route};

use super::{Parts, Refusal};

/// Whether the server can work.
#[utoipa::path(get, path = route::HEALTH.path, responses((status = 200, description = "How it fares", body = Health)))]
pub(crate) async fn show(parts: Data<Parts>) -> Json<Health> {
    let worker = parts.supervisor.state();
    Json(Health { version: env!("CARGO_PKG_VERSION").to_owned(), worker: worker.up, device: worker.device })
}

/// Whether a save would reach the disk right now.
#[utoipa::path(
    get,
    path = route::READY.path,
    responses(
        (status = 204, description = "It would"),
        (status = "default", description = "It would not", body = ApiError)
    )
)]
pub(crate) async fn ready(parts: Data<Parts>) -> HttpResponse {
    match parts.store.check_ready().await {
        Ok(()) => HttpResponse::NoContent().finish(),
        Err(error) => {
            tracing::warn!("not ready: {error}");
            let message = "the server cannot write to its disk right now; nothing that was acknowledged is lost, and \
                           saving goes on when the disk does";
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::NotReady, message).error_response()
        }
    }
}
