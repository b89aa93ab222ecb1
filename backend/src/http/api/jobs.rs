//! Work that is asked for or called off.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json, Path};
use shared::api::{ApiError, route};
use shared::case::{CaseId, Job, JobId};

use super::{Parts, Refusal};
use crate::store::Actor;

/// Queues the refinement with the slices that are done.
#[utoipa::path(
    post,
    path = route::REFINE.path,
    params(("id" = CaseId, Path, description = "The case")),
    responses((status = 202, description = "It is queued", body = Job), (status = "default", description = "Refused", body = ApiError))
)]
pub(crate) async fn refine(parts: Data<Parts>, id: Path<CaseId>) -> Result<HttpResponse, Refusal> {
    let job = parts.store.request_refinement(&Actor::local(), &id).await?;
    parts.supervisor.wake();
    Ok(HttpResponse::Accepted().json(job))
}

/// Stops a job, whether it waits or runs; one that has ended stays as it is.
#[utoipa::path(
    post,
    path = route::CANCEL.path,
    params(("id" = JobId, Path, description = "The job")),
    responses((status = 200, description = "As it stands now", body = Job), (status = "default", description = "Refused", body = ApiError))
)]
pub(crate) async fn cancel(parts: Data<Parts>, id: Path<JobId>) -> Result<Json<Job>, Refusal> {
    let job = parts.store.cancel(&Actor::local(), *id).await?;
    parts.supervisor.stop(*id);
    Ok(Json(job))
}
