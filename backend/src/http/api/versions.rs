//! What was said of a slice earlier, or refused, and how it is brought back.

use actix_web::web::{Data, Json, Path};
use shared::api::{BringBack, SliceVersion, route};
use shared::correction::CorrectedSlice;

use super::super::people::Visitor;
use super::address::{OfPlane, OfSliceVersion};
use super::{Parts, Refusal};

/// What was said of a slice, the latest first.
#[utoipa::path(
    get,
    path = route::VERSIONS.path,
    params(OfPlane),
    responses((status = 200, description = "The versions", body = Vec<SliceVersion>))
)]
pub(crate) async fn list(parts: Data<Parts>, of: Path<OfPlane>) -> Result<Json<Vec<SliceVersion>>, Refusal> {
    Ok(Json(parts.store.slice_versions(&of.id, of.plane()?).await?))
}

/// A slice as it was said once.
#[utoipa::path(
    get,
    path = route::VERSION.path,
    params(OfSliceVersion),
    responses((status = 200, description = "The slice", body = CorrectedSlice))
)]
pub(crate) async fn show(parts: Data<Parts>, of: Path<OfSliceVersion>) -> Result<Json<CorrectedSlice>, Refusal> {
    Ok(Json(parts.store.slice_version(&of.id, of.plane()?, of.version).await?))
}

/// Says again what a version says.
#[utoipa::path(
    post,
    path = route::BRING_BACK.path,
    params(OfSliceVersion),
    request_body = BringBack,
    responses((status = 200, description = "The slice as it holds now", body = CorrectedSlice))
)]
pub(crate) async fn bring_back(
    parts: Data<Parts>,
    visitor: Visitor,
    of: Path<OfSliceVersion>,
    wish: Json<BringBack>,
) -> Result<Json<CorrectedSlice>, Refusal> {
    Ok(Json(parts.store.bring_back(&visitor.actor(), &of.id, of.plane()?, of.version, wish.base).await?))
}
