//! Running a model: the presegmentation that was made when the case came in, or a refinement from an edited label map.

use actix_multipart::Multipart;
use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Path, Query};
use serde::Deserialize;
use serde_json::{Value, json};
use shared::api::ErrorCode;
use shared::case::CaseId;

use super::super::api::check_agreement;
use super::super::api::pacs::fetched;
use super::super::api::upload::take_in;
use super::super::people::Visitor;
use super::cases::{bundle, case, finished, is_series, label_names, of_series, settled, states};
use super::form::{Received, receive};
use super::info::{REFINEMENT, SEGMENTATION};
use super::{Parts, Refusal, datastore, reply};
use crate::store::StoreError;

#[derive(Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    image: String,
    #[serde(default)]
    session_id: String,
    #[serde(default)]
    output: String,
}

/// The labels of an image.
pub(super) async fn infer(
    parts: Data<Parts>,
    visitor: Visitor,
    path: Path<(String, String)>,
    asked: Query<Asked>,
    form: Multipart,
) -> Result<HttpResponse, Refusal> {
    let (name, model) = path.into_inner();
    let bundle = bundle(&parts, &name).await?;
    if ![SEGMENTATION, REFINEMENT].contains(&model.as_str()) {
        let message = format!("there is no model {model:?}; there are {SEGMENTATION} and {REFINEMENT}");
        return Err(Refusal::new(StatusCode::NOT_FOUND, ErrorCode::NotFound, message));
    }
    let received = receive(&parts, form).await?;
    let id = match [&asked.session_id, &asked.image].into_iter().find(|id| !id.is_empty()) {
        Some(series) if is_series(series) => match of_series(&parts, &visitor, &bundle.name, series).await? {
            Some(id) => id,
            None => fetched(&parts, &visitor, series, &bundle.name).await?.id,
        },
        Some(id) => case(&parts, &visitor, &bundle.name, id).await?,
        None if received.images.is_empty() => {
            let message = "neither an image, nor a file, nor a session was named";
            return Err(Refusal::bad(ErrorCode::NoImage, message));
        }
        None => take_in(&parts, &visitor, received.brought(&bundle.name)).await?.id,
    };
    let mut edited = Vec::new();
    if model == REFINEMENT {
        if let Some(label) = &received.label {
            edited = datastore::take_edits(&parts, &visitor, &id, label, &received.params).await?;
        }
        refine(&parts, &visitor, &id).await?;
    }
    settled(&parts, &id).await?;
    answer(&parts, &id, &asked.output, &received, edited).await
}

/// Refines with all slices that are done, and waits for it.
async fn refine(parts: &Parts, visitor: &Visitor, id: &CaseId) -> Result<(), Refusal> {
    settled(parts, id).await?;
    check_agreement(parts, id).await?;
    parts.store.request_refinement(&visitor.actor(), id, None).await?;
    parts.supervisor.wake();
    finished(parts, id).await
}

async fn answer(
    parts: &Parts,
    id: &CaseId,
    output: &str,
    received: &Received,
    edited: Vec<String>,
) -> Result<HttpResponse, Refusal> {
    let detail = parts.store.case(id).await?;
    let nothing_yet = || StoreError::NotNow("there is no segmentation yet");
    let version = detail.versions.last().cloned().ok_or_else(nothing_yet)?;
    let labels = states(parts, &detail).await?.pop().ok_or_else(nothing_yet)?;
    let params = json!({
        "label_names": label_names(&detail.labels),
        "latencies": { "pre": 0.0, "infer": 0.0, "invert": 0.0, "post": 0.0, "write": 0.0, "total": 0.0,
                       "transform": {} },
        "i3deep": { "image": id, "version": version, "edited": edited, "stage": detail.summary.stage },
    });
    match output {
        "json" => Ok(HttpResponse::Ok().json(params)),
        "image" => reply::bare(&labels, &detail.labels),
        "" | "all" => {
            let wanted = received.params.get("result_extension").and_then(Value::as_str);
            let ending = match wanted.or(received.ending) {
                Some(".nii.gz" | ".nii") => ".nii.gz",
                _ => ".nrrd",
            };
            let like = parts.store.segmentation(id, &version).await?;
            Ok(reply::both(&params, &reply::file(parts, labels, detail.labels, &like, ending).await?))
        }
        other => Err(Refusal::unreadable(&format!("the output {other:?} is none of image, json and all"))),
    }
}
