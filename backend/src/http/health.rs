//! Whether the server can work.

use actix_web::web::{Data, Json};
use shared::api::Health;

use super::Parts;

/// `GET /health`
pub(super) async fn show(parts: Data<Parts>) -> Json<Health> {
    let worker = parts.supervisor.state();
    Json(Health { version: env!("CARGO_PKG_VERSION").to_owned(), worker: worker.up, device: worker.device })
}
