//! The expert's slices.

use actix_web::web::{Data, Json, Path};
use shared::case::CaseId;
use shared::correction::CorrectedSlice;
use shared::geometry::{Axis, Plane};

use super::{Parts, Refusal};

/// `GET /cases/{id}/corrections`
pub(super) async fn list(parts: Data<Parts>, id: Path<CaseId>) -> Result<Json<Vec<CorrectedSlice>>, Refusal> {
    Ok(Json(parts.store.corrections(&id).await?))
}

/// `PUT /cases/{id}/corrections/{axis}/{index}`: answers when the slice is on disk.
pub(super) async fn save(
    parts: Data<Parts>,
    path: Path<(CaseId, String, usize)>,
    slice: Json<CorrectedSlice>,
) -> Result<Json<CorrectedSlice>, Refusal> {
    let (id, axis, index) = path.into_inner();
    let axis: Axis = axis.parse().map_err(|_| Refusal::no_such_route())?;
    if slice.plane != (Plane { axis, index }) {
        return Err(Refusal::bad("plane_mismatch", format!("the address speaks of {axis} {index}, the correction of {}", slice.plane)));
    }
    Ok(Json(parts.store.save_correction(&id, &slice).await?))
}
