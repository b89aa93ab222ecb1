//! Work that is asked for or called off.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json, Path, Query};
use shared::api::{ApiError, MAX_ADAPT_SECONDS, RefineOptions, route};
use shared::case::{CaseId, Job, JobId};

use super::{Parts, Refusal};
use crate::store::Actor;

/// Queues the refinement with the slices that are done.
#[utoipa::path(
    post,
    path = route::REFINE.path,
    params(
        ("id" = CaseId, Path, description = "The case"),
        ("adapt_seconds" = Option<f64>, Query, description = "How long the network may first learn from the case; 0: not at all; absent: as the bundle says")
    ),
    responses((status = 202, description = "It is queued", body = Job), (status = "default", description = "Refused", body = ApiError))
)]
pub(crate) async fn refine(parts: Data<Parts>, id: Path<CaseId>, options: Query<RefineOptions>) -> Result<HttpResponse, Refusal> {
    let RefineOptions { adapt_seconds } = *options;
    if adapt_seconds.is_some_and(|seconds| !(0.0..=MAX_ADAPT_SECONDS).contains(&seconds)) {
        return Err(Refusal::unreadable(&format!("adapt_seconds lies between 0 and {MAX_ADAPT_SECONDS}")));
    }
    let job = parts.store.request_refinement(&Actor::local(), &id, adapt_seconds).await?;
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
