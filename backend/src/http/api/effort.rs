//! What correcting has taken.

use std::fmt::Write;

use actix_web::HttpResponse;
use actix_web::web::{Data, Json, Path};
use shared::api::{CaseDetail, route};
use shared::case::CaseId;
use shared::correction::{CorrectedSlice, SliceState};
use shared::effort::SliceEffort;

use super::super::people::Visitor;
use super::volumes::attachment;
use super::{Parts, Refusal};

/// A page names itself by a word of its own; what is longer than this is none.
const PAGE_NAME_LIMIT: usize = 64;

/// Notes what slices have taken on one visit of a page; what that visit has said before is replaced.
#[utoipa::path(
    put,
    path = route::NOTE_EFFORT.path,
    params(
        ("id" = CaseId, Path, description = "The case"),
        ("page" = String, Path, description = "The visit, by a name that no other has")
    ),
    request_body = Vec<SliceEffort>,
    responses((status = 204, description = "It is noted"))
)]
pub(crate) async fn note(
    parts: Data<Parts>,
    visitor: Visitor,
    path: Path<(CaseId, String)>,
    slices: Json<Vec<SliceEffort>>,
) -> Result<HttpResponse, Refusal> {
    let (id, page) = path.into_inner();
    if page.len() > PAGE_NAME_LIMIT || slices.iter().any(|slice| !slice.is_sound()) {
        return Err(Refusal::unreadable("a page's name is short, and what a slice takes is a number of 0 or more"));
    }
    parts.store.note_effort(&visitor.actor(), &id, &page, &slices).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// The effort log: a line a slice.
#[utoipa::path(
    get,
    path = route::EFFORT.path,
    params(("id" = CaseId, Path, description = "The case")),
    responses((status = 200, description = "A table", content_type = "text/csv"))
)]
pub(crate) async fn log(parts: Data<Parts>, id: Path<CaseId>) -> Result<HttpResponse, Refusal> {
    let case = parts.store.case(&id).await?;
    let name = format!("{}_effort.csv", case.summary.name);
    Ok(HttpResponse::Ok().content_type("text/csv; charset=utf-8").insert_header(attachment(&name)).body(table(&case)))
}

fn table(case: &CaseDetail) -> String {
    let state = |slice: &SliceEffort| {
        let known = case.corrections.iter().find(|known: &&CorrectedSlice| known.plane == slice.plane);
        match known.map_or(SliceState::Todo, |known| known.state) {
            SliceState::Done if slice.changed_voxels == 0 => "confirmed unchanged",
            SliceState::Done => "done",
            SliceState::Skipped => "skipped",
            SliceState::Todo => "to do",
        }
    };
    let mut table = "axis,index,state,seconds,strokes,contour_mm,changed_voxels\n".to_owned();
    for slice in &case.effort {
        let SliceEffort { plane, seconds, strokes, contour_mm, changed_voxels } = slice;
        let (axis, index, state) = (plane.axis, plane.index, state(slice));
        // Writing into a string cannot fail.
        let _ = writeln!(table, "{axis},{index},{state},{seconds:.1},{strokes},{contour_mm:.1},{changed_voxels}");
    }
    table
}
