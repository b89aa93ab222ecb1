//! Bundles on offer.

use actix_web::web::{self, Data, Json};
use shared::api::{BundleInfo, route};

use super::{Parts, Refusal};

/// The bundles on offer, by name; those that cannot be used say why.
#[utoipa::path(
    get,
    path = route::BUNDLES.path,
    responses((status = 200, description = "The bundles", body = Vec<BundleInfo>))
)]
pub(crate) async fn list(parts: Data<Parts>) -> Result<Json<Vec<BundleInfo>>, Refusal> {
    let bundles = web::block(move || parts.bundles.list()).await.map_err(|error| Refusal::internal(&error))?;
    Ok(Json(bundles))
}
