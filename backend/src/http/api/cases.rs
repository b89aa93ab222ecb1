//! Cases as they stand.

use std::collections::HashSet;

use actix_web::HttpResponse;
use actix_web::web::{Data, Json, Path};
use shared::api::{CaseDetail, CaseSummary, NOTE_LIMIT, Note, route};
use shared::case::CaseId;

use super::super::people::Visitor;
use super::{Parts, Refusal};

/// All cases, newest first.
#[utoipa::path(
    get,
    path = route::CASES.path,
    responses((status = 200, description = "The cases", body = Vec<CaseSummary>))
)]
pub(crate) async fn list(parts: Data<Parts>, visitor: Visitor) -> Result<Json<Vec<CaseSummary>>, Refusal> {
    Ok(Json(visible(&parts, &visitor).await?))
}

/// The cases that are the visitor's to see, newest first.
pub(in crate::http) async fn visible(parts: &Parts, visitor: &Visitor) -> Result<Vec<CaseSummary>, Refusal> {
    let mut cases = parts.store.cases().await?;
    if !visitor.role.sees_all() {
        let own: HashSet<CaseId> = parts.store.cases_of(&visitor.name).await?.into_iter().collect();
        cases.retain(|case| own.contains(&case.id));
    }
    Ok(cases)
}

/// Everything about a case beside its voxels.
#[utoipa::path(
    get,
    path = route::CASE.path,
    params(("id" = CaseId, Path, description = "The case")),
    responses((status = 200, description = "The case", body = CaseDetail))
)]
pub(crate) async fn show(parts: Data<Parts>, id: Path<CaseId>) -> Result<Json<CaseDetail>, Refusal> {
    Ok(Json(parts.store.case(&id).await?))
}

/// Offers the next slices to correct.
#[utoipa::path(
    post,
    path = route::BEGIN_ROUND.path,
    params(("id" = CaseId, Path, description = "The case")),
    responses((status = 200, description = "The case in its next round", body = CaseDetail))
)]
pub(crate) async fn begin_round(
    parts: Data<Parts>,
    visitor: Visitor,
    id: Path<CaseId>,
) -> Result<Json<CaseDetail>, Refusal> {
    Ok(Json(parts.store.begin_round(&visitor.actor(), &id).await?))
}

/// Writes a note on a case.
#[utoipa::path(
    put,
    path = route::NOTE.path,
    params(("id" = CaseId, Path, description = "The case")),
    request_body = Note,
    responses((status = 204, description = "It is written"))
)]
pub(crate) async fn note(
    parts: Data<Parts>,
    visitor: Visitor,
    id: Path<CaseId>,
    note: Json<Note>,
) -> Result<HttpResponse, Refusal> {
    let note = note.note.trim();
    if note.chars().count() > NOTE_LIMIT {
        return Err(Refusal::unreadable(&format!("a note has at most {NOTE_LIMIT} characters")));
    }
    parts.store.set_note(&visitor.actor(), &id, note).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Puts a case into the bin.
#[utoipa::path(
    delete,
    path = route::DELETE_CASE.path,
    params(("id" = CaseId, Path, description = "The case")),
    responses((status = 204, description = "It is gone"))
)]
pub(crate) async fn delete(parts: Data<Parts>, visitor: Visitor, id: Path<CaseId>) -> Result<HttpResponse, Refusal> {
    let job = parts.store.summary(&id).await?.job;
    parts.store.delete_case(&visitor.actor(), &id).await?;
    if let Some(job) = job {
        parts.supervisor.stop(job.id);
    }
    Ok(HttpResponse::NoContent().finish())
}
