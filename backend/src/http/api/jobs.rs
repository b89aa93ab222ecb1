//! Work that is asked for or called off.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Json, Path, Query};
use shared::api::{CaseDetail, ErrorCode, Forecast, MAX_ADAPT_SECONDS, RefineOptions, route};
use shared::case::{CaseId, Job, JobId, JobKind};
use shared::crossing::{Contradiction, contradictions_among};

use super::super::people::Visitor;
use super::{Parts, Refusal};
use crate::store::StoreError;

/// Queues the refinement with the slices that are done.
#[utoipa::path(
    post,
    path = route::REFINE.path,
    params(
        ("id" = CaseId, Path, description = "The case"),
        (
            "adapt_seconds" = Option<f64>,
            Query,
            description = "How long the network may first learn from the case; 0: not at all; absent: as the bundle \
                           says"
        )
    ),
    responses((status = 202, description = "It is queued", body = Job))
)]
pub(crate) async fn refine(
    parts: Data<Parts>,
    visitor: Visitor,
    id: Path<CaseId>,
    options: Query<RefineOptions>,
) -> Result<HttpResponse, Refusal> {
    let RefineOptions { adapt_seconds } = *options;
    if adapt_seconds.is_some_and(|seconds| !(0.0..=MAX_ADAPT_SECONDS).contains(&seconds)) {
        return Err(Refusal::unreadable(&format!("adapt_seconds lies between 0 and {MAX_ADAPT_SECONDS}")));
    }
    check_agreement(&parts, &id).await?;
    let job = parts.store.request_refinement(&visitor.actor(), &id, adapt_seconds).await?;
    parts.supervisor.wake();
    Ok(HttpResponse::Accepted().json(job))
}

/// What was vouched for and what is refined with are the same: slices that are done may not contradict each other where
/// they cross.
pub(in crate::http) async fn check_agreement(parts: &Parts, id: &CaseId) -> Result<(), Refusal> {
    let CaseDetail { geometry, labels, corrections, .. } = parts.store.case(id).await?;
    let found = contradictions_among(&geometry, &labels, &corrections).map_err(StoreError::Correction)?;
    let Some(Contradiction { planes: [a, b], voxel: [x, y, z], .. }) = found.first() else { return Ok(()) };
    let more = if found.len() > 1 { format!(", the first of {} such voxels", found.len()) } else { String::new() };
    let message = format!(
        "slices that are done contradict each other where they cross: {a} and {b} call voxel {x}, {y}, {z} by \
         different labels{more}. Decide in the workbench which is right, then refine"
    );
    Err(Refusal::new(StatusCode::CONFLICT, ErrorCode::NotNow, message))
}

/// Stops a job, whether it waits or runs; one that has ended stays as it is.
#[utoipa::path(
    post,
    path = route::CANCEL.path,
    params(("id" = JobId, Path, description = "The job")),
    responses((status = 200, description = "As it stands now", body = Job))
)]
pub(crate) async fn cancel(parts: Data<Parts>, visitor: Visitor, id: Path<JobId>) -> Result<Json<Job>, Refusal> {
    let job = parts.store.cancel(&visitor.actor(), *id).await?;
    parts.supervisor.stop(*id);
    Ok(Json(job))
}

/// Asks again for what a failed or cancelled job was to do.
#[utoipa::path(
    post,
    path = route::RETRY.path,
    params(("id" = JobId, Path, description = "The job")),
    responses((status = 202, description = "The job that does it", body = Job))
)]
pub(crate) async fn retry(parts: Data<Parts>, visitor: Visitor, id: Path<JobId>) -> Result<HttpResponse, Refusal> {
    if parts.store.job(*id).await?.kind == JobKind::Refine {
        check_agreement(&parts, &parts.store.case_of_job(*id).await?).await?;
    }
    let job = parts.store.retry(&visitor.actor(), *id).await?;
    parts.supervisor.wake();
    Ok(HttpResponse::Accepted().json(job))
}

/// What a job would come to if the asker asked for it now, for bundles and kinds of which some have been done.
#[utoipa::path(
    get,
    path = route::FORECAST.path,
    responses((status = 200, description = "Seconds until it begins, and seconds that it takes", body = Vec<Forecast>))
)]
pub(crate) async fn forecast(parts: Data<Parts>, visitor: Visitor) -> Result<Json<Vec<Forecast>>, Refusal> {
    Ok(Json(parts.store.forecasts(&visitor.actor()).await?))
}
