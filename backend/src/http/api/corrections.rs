//! The expert's slices.

use actix_web::web::{Data, Json, Path};
use shared::api::{ErrorCode, route};
use shared::case::CaseId;
use shared::correction::CorrectedSlice;

use super::super::people::Visitor;
use super::address::OfPlane;
use super::{Parts, Refusal};

/// The slices that were saved, as they were saved last.
#[utoipa::path(
    get,
    path = route::CORRECTIONS.path,
    params(("id" = CaseId, Path, description = "The case")),
    responses((status = 200, description = "The slices", body = Vec<CorrectedSlice>))
)]
pub(crate) async fn list(parts: Data<Parts>, id: Path<CaseId>) -> Result<Json<Vec<CorrectedSlice>>, Refusal> {
    Ok(Json(parts.store.corrections(&id).await?))
}

/// Saves a slice; answers when it is on disk. Its revision is the one it is based on; the answer carries the new one.
#[utoipa::path(
    put,
    path = route::SAVE_CORRECTION.path,
    params(OfPlane),
    request_body = CorrectedSlice,
    responses((status = 200, description = "As it is stored", body = CorrectedSlice))
)]
pub(crate) async fn save(
    parts: Data<Parts>,
    visitor: Visitor,
    of: Path<OfPlane>,
    slice: Json<CorrectedSlice>,
) -> Result<Json<CorrectedSlice>, Refusal> {
    let plane = of.plane()?;
    if slice.plane != plane {
        let message = format!("the address speaks of {plane}, the correction of {}", slice.plane);
        return Err(Refusal::bad(ErrorCode::PlaneMismatch, message));
    }
    Ok(Json(parts.store.save_correction(&visitor.actor(), &of.id, &slice).await?))
}
