//! The expert's slices.

use actix_web::web::{Data, Json, Path};
use shared::api::{ApiError, ErrorCode, route};
use shared::case::CaseId;
use shared::correction::CorrectedSlice;
use shared::geometry::{Axis, Plane};

use super::super::people::Visitor;
use super::{Parts, Refusal};

/// The slices that were saved, as they were saved last.
#[utoipa::path(
    get,
    path = route::CORRECTIONS.path,
    params(("id" = CaseId, Path, description = "The case")),
    responses((status = 200, description = "The slices", body = Vec<CorrectedSlice>), (status = "default", description = "Refused", body = ApiError))
)]
pub(crate) async fn list(parts: Data<Parts>, id: Path<CaseId>) -> Result<Json<Vec<CorrectedSlice>>, Refusal> {
    Ok(Json(parts.store.corrections(&id).await?))
}

/// Saves a slice; answers when it is on disk. Its revision is the one it is based on; the answer carries the new one.
#[utoipa::path(
    put,
    path = route::SAVE_CORRECTION.path,
    params(
        ("id" = CaseId, Path, description = "The case"),
        ("axis" = Axis, Path, description = "What the plane is perpendicular to"),
        ("index" = usize, Path, description = "Which plane along it")
    ),
    request_body = CorrectedSlice,
    responses((status = 200, description = "As it is stored", body = CorrectedSlice), (status = "default", description = "Refused", body = ApiError))
)]
pub(crate) async fn save(
    parts: Data<Parts>,
    visitor: Visitor,
    path: Path<(CaseId, String, usize)>,
    slice: Json<CorrectedSlice>,
) -> Result<Json<CorrectedSlice>, Refusal> {
    let (id, axis, index) = path.into_inner();
    if slice.plane != plane(&axis, index)? {
        return Err(Refusal::bad(
            ErrorCode::PlaneMismatch,
            format!("the address speaks of {axis} {index}, the correction of {}", slice.plane),
        ));
    }
    Ok(Json(parts.store.save_correction(&visitor.actor(), &id, &slice).await?))
}

/// The plane that an address names.
pub(super) fn plane(axis: &str, index: usize) -> Result<Plane, Refusal> {
    let axis: Axis = axis.parse().map_err(|_| Refusal::no_such_route())?;
    Ok(Plane { axis, index })
}
