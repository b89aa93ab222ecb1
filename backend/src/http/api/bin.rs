//! Deleted cases, for as long as they can be brought back.

use std::collections::HashSet;

use actix_web::HttpResponse;
use actix_web::web::{Data, Json, Path};
use shared::api::{BinnedCase, CaseSummary, route};
use shared::case::CaseId;

use super::super::people::Visitor;
use super::{Parts, Refusal};

/// Deleted cases that can be brought back, the latest first.
#[utoipa::path(
    get,
    path = route::BIN.path,
    responses((status = 200, description = "The cases", body = Vec<BinnedCase>))
)]
pub(crate) async fn list(parts: Data<Parts>, visitor: Visitor) -> Result<Json<Vec<BinnedCase>>, Refusal> {
    let mut cases = parts.store.bin().await?;
    if !visitor.role.sees_all() {
        let own: HashSet<CaseId> = parts.store.cases_of(&visitor.name).await?.into_iter().collect();
        cases.retain(|case| own.contains(&case.summary.id));
    }
    Ok(Json(cases))
}

/// Brings a deleted case back.
#[utoipa::path(
    post,
    path = route::RESTORE.path,
    params(
        ("id" = CaseId, Path, description = "The case")
    ),
    responses((status = 200, description = "The case", body = CaseSummary))
)]
pub(crate) async fn restore(
    parts: Data<Parts>,
    visitor: Visitor,
    id: Path<CaseId>,
) -> Result<Json<CaseSummary>, Refusal> {
    let case = parts.store.undelete_case(&visitor.actor(), &id).await?;
    parts.supervisor.wake();
    Ok(Json(case))
}

/// Deletes a case for good.
#[utoipa::path(
    delete,
    path = route::PURGE.path,
    params(
        ("id" = CaseId, Path, description = "The case")
    ),
    responses((status = 204, description = "It is gone"))
)]
pub(crate) async fn purge(parts: Data<Parts>, visitor: Visitor, id: Path<CaseId>) -> Result<HttpResponse, Refusal> {
    parts.store.purge_case(&visitor.actor(), &id).await?;
    Ok(HttpResponse::NoContent().finish())
}
