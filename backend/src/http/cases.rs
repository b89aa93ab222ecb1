//! Cases as they stand.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json, Path};
use shared::api::{CaseDetail, CaseSummary};
use shared::case::CaseId;

use super::{Parts, Refusal};

/// `GET /cases`
pub(super) async fn list(parts: Data<Parts>) -> Result<Json<Vec<CaseSummary>>, Refusal> {
    Ok(Json(parts.store.cases().await?))
}

/// `GET /cases/{id}`
pub(super) async fn show(parts: Data<Parts>, id: Path<CaseId>) -> Result<Json<CaseDetail>, Refusal> {
    Ok(Json(parts.store.case(&id).await?))
}

/// `POST /cases/{id}/rounds`
pub(super) async fn begin_round(parts: Data<Parts>, id: Path<CaseId>) -> Result<Json<CaseDetail>, Refusal> {
    Ok(Json(parts.store.begin_round(&id).await?))
}

/// `DELETE /cases/{id}`
pub(super) async fn delete(parts: Data<Parts>, id: Path<CaseId>) -> Result<HttpResponse, Refusal> {
    let job = parts.store.summary(&id).await?.job;
    parts.store.delete_case(&id).await?;
    if let Some(job) = job {
        parts.supervisor.stop(job.id);
    }
    tracing::info!(case = id.as_str(), "deleted");
    Ok(HttpResponse::NoContent().finish())
}
