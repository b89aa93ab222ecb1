//! A second pair of eyes.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json, Path};
use shared::api::{Judgement, NOTE_LIMIT, NewReading, Reading, Review, SLICE_NOTES_LIMIT, SliceNote, Verdict, route};
use shared::case::CaseId;

use super::super::people::Visitor;
use super::{Parts, Refusal};

/// Where a case stands, who has corrected what, and second readings of it for those who see every case.
#[utoipa::path(
    get,
    path = route::REVIEW.path,
    params(("id" = CaseId, Path, description = "The case")),
    responses((status = 200, description = "As those who review it see it", body = Review))
)]
pub(crate) async fn show(parts: Data<Parts>, visitor: Visitor, id: Path<CaseId>) -> Result<Json<Review>, Refusal> {
    let mut review = parts.store.review(&id).await?;
    if !visitor.role.sees_all() {
        review.readings.clear();
    }
    Ok(Json(review))
}

/// Says that a case waits for a reviewer, or that a second reading is finished.
#[utoipa::path(
    post,
    path = route::HAND_IN.path,
    params(("id" = CaseId, Path, description = "The case")),
    responses((status = 204, description = "It waits"))
)]
pub(crate) async fn hand_in(parts: Data<Parts>, visitor: Visitor, id: Path<CaseId>) -> Result<HttpResponse, Refusal> {
    parts.store.hand_in(&visitor.actor(), &id).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Sends a case back with notes, or approves it.
#[utoipa::path(
    put,
    path = route::JUDGE.path,
    params(("id" = CaseId, Path, description = "The case")),
    request_body = Judgement,
    responses((status = 204, description = "It is said"))
)]
pub(crate) async fn judge(
    parts: Data<Parts>,
    visitor: Visitor,
    id: Path<CaseId>,
    body: Json<Judgement>,
) -> Result<HttpResponse, Refusal> {
    let judgement = trimmed(body.into_inner());
    check(&judgement)?;
    parts.store.judge(&visitor.actor(), &id, &judgement).await?;
    Ok(HttpResponse::NoContent().finish())
}

fn trimmed(judgement: Judgement) -> Judgement {
    let note = judgement.note.trim().to_owned();
    let slice = |slice: SliceNote| SliceNote { note: slice.note.trim().to_owned(), ..slice };
    Judgement { note, slices: judgement.slices.into_iter().map(slice).collect(), ..judgement }
}

fn check(judgement: &Judgement) -> Result<(), Refusal> {
    let refuse = |why: &str| Err(Refusal::unreadable(why));
    let notes = || judgement.slices.iter().map(|slice| &slice.note);
    if judgement.verdict == Verdict::HandedIn {
        return refuse("a reviewer sends back or approves; handing in is POST");
    }
    if judgement.slices.len() > SLICE_NOTES_LIMIT {
        return refuse(&format!("at most {SLICE_NOTES_LIMIT} slices have notes"));
    }
    if notes().chain([&judgement.note]).any(|note| note.chars().count() > NOTE_LIMIT) {
        return refuse(&format!("a note has at most {NOTE_LIMIT} characters"));
    }
    if notes().any(String::is_empty) {
        return refuse("a note on a slice has words");
    }
    if judgement.verdict == Verdict::SentBack && judgement.note.is_empty() && judgement.slices.is_empty() {
        return refuse("say why it goes back: a note on a slice, or on the case");
    }
    Ok(())
}

/// Asks somebody to read a share of a case's slices a second time, without the first reading.
#[utoipa::path(
    post,
    path = route::ASK_READING.path,
    params(("id" = CaseId, Path, description = "The case")),
    request_body = NewReading,
    responses((status = 201, description = "They are asked", body = Reading))
)]
pub(crate) async fn ask_reading(
    parts: Data<Parts>,
    visitor: Visitor,
    id: Path<CaseId>,
    body: Json<NewReading>,
) -> Result<HttpResponse, Refusal> {
    if !(body.share > 0.0 && body.share <= 1.0) {
        return Err(Refusal::unreadable("a share is above 0 and up to 1"));
    }
    Ok(HttpResponse::Created().json(parts.store.ask_reading(&visitor.actor(), &id, &body).await?))
}
