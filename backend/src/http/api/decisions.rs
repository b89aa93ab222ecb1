//! What the expert decides about a whole segmentation.

use actix_web::web::{Data, Json, Path};
use shared::api::{Decision, ErrorCode, route};

use super::super::people::Visitor;
use super::address::OfSegmentation;
use super::{Parts, Refusal};

/// Saves which voxels of a segmentation are to be called otherwise. Its revision is the one it is based on; the answer
/// carries the new one.
#[utoipa::path(
    put,
    path = route::DECIDE.path,
    params(OfSegmentation),
    request_body = Decision,
    responses((status = 200, description = "As it is stored", body = Decision))
)]
pub(crate) async fn decide(
    parts: Data<Parts>,
    visitor: Visitor,
    of: Path<OfSegmentation>,
    decision: Json<Decision>,
) -> Result<Json<Decision>, Refusal> {
    if decision.version != of.version {
        let message = format!("the address speaks of {:?}, the decision of {:?}", of.version, decision.version);
        return Err(Refusal::bad(ErrorCode::PlaneMismatch, message));
    }
    Ok(Json(parts.store.decide(&visitor.actor(), &of.id, &decision).await?))
}
