//! What was said of a slice earlier, or refused, and how it is brought back.

use actix_web::web::{Data, Json, Path};
use shared::api::{ApiError, BringBack, SliceVersion, route};
use shared::case::CaseId;
use shared::correction::CorrectedSlice;
use shared::geometry::Axis;

use super::super::people::Visitor;
use super::corrections::plane;
use super::{Parts, Refusal};

/// What was said of a slice, the latest first.
#[utoipa::path(
    get,
    path = route::VERSIONS.path,
    params(
        ("id" = CaseId, Path, description = "The case"),
        ("axis" = Axis, Path, description = "What the plane is perpendicular to"),
        ("index" = usize, Path, description = "Which plane along it")
    ),
    responses((status = 200, description = "The versions", body = Vec<SliceVersion>), (status = "default", description = "Refused", body = ApiError))
)]
pub(crate) async fn list(
    parts: Data<Parts>,
    path: Path<(CaseId, String, usize)>,
) -> Result<Json<Vec<SliceVersion>>, Refusal> {
    let (id, axis, index) = path.into_inner();
    Ok(Json(parts.store.slice_versions(&id, plane(&axis, index)?).await?))
}

/// A slice as it was said once.
#[utoipa::path(
    get,
    path = route::VERSION.path,
    params(
        ("id" = CaseId, Path, description = "The case"),
        ("axis" = Axis, Path, description = "What the plane is perpendicular to"),
        ("index" = usize, Path, description = "Which plane along it"),
        ("version" = i64, Path, description = "Which version")
    ),
    responses((status = 200, description = "The slice", body = CorrectedSlice), (status = "default", description = "Refused", body = ApiError))
)]
pub(crate) async fn show(
    parts: Data<Parts>,
    path: Path<(CaseId, String, usize, i64)>,
) -> Result<Json<CorrectedSlice>, Refusal> {
    let (id, axis, index, version) = path.into_inner();
    Ok(Json(parts.store.slice_version(&id, plane(&axis, index)?, version).await?))
}

/// Says again what a version says.
#[utoipa::path(
    post,
    path = route::BRING_BACK.path,
    params(
        ("id" = CaseId, Path, description = "The case"),
        ("axis" = Axis, Path, description = "What the plane is perpendicular to"),
        ("index" = usize, Path, description = "Which plane along it"),
        ("version" = i64, Path, description = "Which version")
    ),
    request_body = BringBack,
    responses((status = 200, description = "The slice as it holds now", body = CorrectedSlice), (status = "default", description = "Refused", body = ApiError))
)]
pub(crate) async fn bring_back(
    parts: Data<Parts>,
    visitor: Visitor,
    path: Path<(CaseId, String, usize, i64)>,
    wish: Json<BringBack>,
) -> Result<Json<CorrectedSlice>, Refusal> {
    let (id, axis, index, version) = path.into_inner();
    Ok(Json(parts.store.bring_back(&visitor.actor(), &id, plane(&axis, index)?, version, wish.base).await?))
}
