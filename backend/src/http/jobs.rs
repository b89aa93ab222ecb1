//! Work that is asked for or called off.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json, Path};
use shared::case::{CaseId, Job, JobId};

use super::{Parts, Refusal};

/// `POST /cases/{id}/refine`
pub(super) async fn refine(parts: Data<Parts>, id: Path<CaseId>) -> Result<HttpResponse, Refusal> {
    let job = parts.store.request_refinement(&id).await?;
    parts.supervisor.wake();
    Ok(HttpResponse::Accepted().json(job))
}

/// `POST /jobs/{id}/cancel`
pub(super) async fn cancel(parts: Data<Parts>, id: Path<JobId>) -> Result<Json<Job>, Refusal> {
    let job = parts.store.cancel(*id).await?;
    parts.supervisor.stop(*id);
    Ok(Json(job))
}
