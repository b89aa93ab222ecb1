//! Whether the server can work.

use actix_web::web::{Data, Json};
use shared::api::{Health, route};

use super::Parts;

/// Whether the server can work.
#[utoipa::path(get, path = route::HEALTH.path, responses((status = 200, description = "How it fares", body = Health)))]
pub(crate) async fn show(parts: Data<Parts>) -> Json<Health> {
    let worker = parts.supervisor.state();
    Json(Health { version: env!("CARGO_PKG_VERSION").to_owned(), worker: worker.up, device: worker.device })
}
