//! Images and labels: cases, and what is known of them.

use std::path::Path as File;

use actix_multipart::Multipart;
use actix_web::HttpResponse;
use actix_web::http::header::ContentEncoding;
use actix_web::web::{self, Data, Json, Path, Query};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use shared::api::{CaseDetail, CaseSummary, PRESEGMENTATION};
use shared::case::{CaseId, Stage};

use super::super::api::upload::take_in;
use super::super::api::volumes::attachment;
use super::super::people::Visitor;
use super::cases::{bundle, case, label_names, of_bundle, states};
use super::form::receive;
use super::{Parts, Refusal, reply};
use crate::intake::{SentLabels, edited_slices};
use crate::scan_io::NamedSegment;
use crate::store::StoreError;

/// The tag of what the networks have made.
const ORIGINAL: &str = "original";
/// The tag of what holds now.
const FINAL: &str = "final";

#[derive(Deserialize)]
pub(super) struct Listed {
    #[serde(default)]
    output: String,
}

/// All images, or how many there are.
pub(super) async fn list(
    parts: Data<Parts>,
    visitor: Visitor,
    path: Path<String>,
    listed: Query<Listed>,
) -> Result<Json<Value>, Refusal> {
    let bundle = bundle(&parts, &path).await?;
    let cases = of_bundle(&parts, &visitor, &bundle.name).await?;
    let refined = cases.iter().filter(|case| case.stage == Stage::Refined).count();
    let segmented = cases.iter().filter(|case| case.stage != Stage::Presegmenting).count();
    if listed.output != "all" {
        let tags = json!({ ORIGINAL: segmented, FINAL: refined });
        return Ok(Json(json!({ "total": cases.len(), "completed": refined, "label_tags": tags })));
    }
    let mut objects = Map::new();
    for case in cases {
        let mut labels = Map::new();
        if case.stage != Stage::Presegmenting {
            let info = json!({ "params": { "label_names": label_names(&bundle.labels) } });
            for tag in [ORIGINAL, FINAL] {
                labels.insert(tag.to_owned(), json!({ "ext": ".nrrd", "info": info }));
            }
        }
        let image = json!({ "ext": ".nii.gz", "info": described(&parts, &case).await? });
        objects.insert(case.id.as_str().to_owned(), json!({ "image": image, "labels": labels }));
    }
    Ok(Json(json!({
        "name": bundle.name, "description": bundle.task, "images_dir": "", "labels_dir": "labels", "objects": objects,
    })))
}

/// What is said of an image. Its file's name is its id: no path, which Slicer would open on its own disk.
pub(super) async fn described(parts: &Parts, case: &CaseSummary) -> Result<Value, Refusal> {
    let digest = parts.store.scan(&case.id, 0).await?;
    Ok(json!({
        "ts": case.created_s,
        "name": format!("{}.nii.gz", case.id),
        "checksum": format!("SHA256:{}", digest.as_str()),
        "i3deep": { "name": case.name, "stage": case.stage },
    }))
}

#[derive(Deserialize)]
pub(super) struct OfImage {
    image: Option<String>,
    check_sum: Option<String>,
}

impl OfImage {
    fn image(&self) -> Result<&str, Refusal> {
        self.image.as_deref().ok_or_else(|| Refusal::unreadable("it names no image"))
    }
}

/// The scan, as NIfTI.
pub(super) async fn image(
    parts: Data<Parts>,
    visitor: Visitor,
    path: Path<String>,
    of: Query<OfImage>,
) -> Result<HttpResponse, Refusal> {
    let id = case(&parts, &visitor, &path, of.image()?).await?;
    let digest = parts.store.scan(&id, 0).await?;
    if of.check_sum.as_ref().is_some_and(|sum| sum.trim_start_matches("SHA256:") != digest.as_str()) {
        return Err(StoreError::NotFound("image with this checksum").into());
    }
    let bytes = parts.store.blobs().get(&digest).await?;
    Ok(file(&format!("{id}.nii.gz"), bytes.to_vec()))
}

/// What is said of an image.
pub(super) async fn image_info(
    parts: Data<Parts>,
    visitor: Visitor,
    path: Path<String>,
    of: Query<OfImage>,
) -> Result<Json<Value>, Refusal> {
    let id = case(&parts, &visitor, &path, of.image()?).await?;
    Ok(Json(described(&parts, &parts.store.summary(&id).await?).await?))
}

/// A new case. Its name is never that of the file: scanners and people name those after patients.
pub(super) async fn put_image(
    parts: Data<Parts>,
    visitor: Visitor,
    path: Path<String>,
    form: Multipart,
) -> Result<Json<Value>, Refusal> {
    let case = new_case(&parts, &visitor, &path, form).await?;
    Ok(Json(json!({ "image": case.id })))
}

/// Makes a case of a form's files.
pub(super) async fn new_case(
    parts: &Parts,
    visitor: &Visitor,
    bundle_name: &str,
    form: Multipart,
) -> Result<CaseSummary, Refusal> {
    let bundle = bundle(parts, bundle_name).await?;
    let received = receive(parts, form).await?;
    take_in(parts, visitor, received.brought(&bundle.name)).await
}

#[derive(Deserialize)]
pub(super) struct OfLabel {
    /// Asked with `label` where one is fetched, with `image` where one is saved.
    label: Option<String>,
    image: Option<String>,
    #[serde(default)]
    tag: String,
}

/// A segmentation: `original` as it was made first, `final` as it holds now, `version_N` after round N.
pub(super) async fn label(
    parts: Data<Parts>,
    visitor: Visitor,
    path: Path<String>,
    of: Query<OfLabel>,
) -> Result<HttpResponse, Refusal> {
    let named = of.label.as_deref().or(of.image.as_deref());
    let named = named.ok_or_else(|| Refusal::unreadable("it names no label"))?;
    let id = case(&parts, &visitor, &path, named).await?;
    let detail = parts.store.case(&id).await?;
    let missing = || StoreError::NotFound("such label");
    let at = match of.tag.as_str() {
        ORIGINAL => 0,
        FINAL | "" => detail.versions.len(),
        tag => tag.strip_prefix("version_").and_then(|round| round.parse().ok()).ok_or_else(missing)?,
    };
    let like = parts.store.segmentation(&id, PRESEGMENTATION).await?;
    let labels = states(&parts, &detail).await?.into_iter().nth(at).ok_or_else(missing)?;
    let made = reply::file(&parts, labels, detail.labels, &like, ".nrrd").await?;
    Ok(file(&format!("{id}_{}{}", if of.tag.is_empty() { FINAL } else { &of.tag }, made.ending), made.bytes))
}

/// Takes what was edited; nothing else of the label map is vouched for.
pub(super) async fn put_label(
    parts: Data<Parts>,
    visitor: Visitor,
    path: Path<String>,
    of: Query<OfLabel>,
    form: Multipart,
) -> Result<Json<Value>, Refusal> {
    let named = of.image.as_deref().ok_or_else(|| Refusal::unreadable("it names no image"))?;
    let id = case(&parts, &visitor, &path, named).await?;
    let received = receive(&parts, form).await?;
    let label = received.label.as_ref().ok_or_else(|| Refusal::unreadable("the form has no label"))?;
    let edited = take_edits(&parts, &visitor, &id, label, &received.params).await?;
    Ok(Json(json!({ "image": id, "label": id, "i3deep": { "edited": edited } })))
}

/// Saves the slices of a label map that differ from what was sent; answers which they are.
pub(super) async fn take_edits(
    parts: &Parts,
    visitor: &Visitor,
    id: &CaseId,
    file: &File,
    params: &Value,
) -> Result<Vec<String>, Refusal> {
    let detail = parts.store.case(id).await?;
    let sent = states(parts, &detail).await?;
    let scan = parts.store.blobs().get(&parts.store.scan(id, 0).await?).await?;
    let scan_file = file.with_extension("scan");
    tokio::fs::write(&scan_file, &scan).await.map_err(|error| Refusal::internal(&error))?;
    let CaseDetail { geometry, labels: names, corrections: held, .. } = detail;
    let sent_labels =
        SentLabels { file, scan: &scan_file, geometry: &geometry, names: &names, segments: segments(params) };
    let labels = parts.lookers.read_labels(sent_labels).await?;
    let compare = move || edited_slices(&sent, &labels, &held);
    let slices = web::block(compare).await.map_err(|error| Refusal::internal(&error))?;
    let slices = slices.map_err(|error| Refusal::internal(&error))?;
    parts.store.save_corrections(&visitor.actor(), id, &slices).await?;
    Ok(slices.iter().map(|slice| slice.plane.to_string()).collect())
}

/// The segments that a client names: `label_info`, with the number as `idx` where labels are saved, as `id` where they
/// are sent to a model.
fn segments(params: &Value) -> Vec<NamedSegment> {
    let listed = params.get("label_info").and_then(Value::as_array).into_iter().flatten();
    let segment = |info: &Value| {
        let number = ["idx", "id"].into_iter().find_map(|key| info.get(key)?.as_u64())?;
        Some(NamedSegment { value: u8::try_from(number).ok()?, name: info.get("name")?.as_str()?.to_owned() })
    };
    listed.filter_map(segment).collect()
}

/// A download that clients name their own file after.
fn file(name: &str, bytes: Vec<u8>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/octet-stream")
        .insert_header(ContentEncoding::Identity)
        .insert_header(attachment(name))
        .body(bytes)
}
