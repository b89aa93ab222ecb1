//! Answers that carry labels.

use actix_web::HttpResponse;
use actix_web::http::header::{ContentEncoding, ContentType};
use serde_json::Value;
use shared::label::{Label, LabelSet};
use shared::volume::Volume;

use super::{Parts, Refusal};
use crate::scan_io::{nrrd_segmentation, relabelled};
use crate::store::SegmentationBlobs;

/// Between the parts of an answer.
const BOUNDARY: &str = "i3deep-part-boundary-7e1f";

/// A file of labels that an answer carries.
pub(super) struct LabelFile {
    /// Its ending, with the dot.
    pub(super) ending: &'static str,
    pub(super) bytes: Vec<u8>,
}

/// Labels in the format of an ending: NRRD, or NIfTI with the header that `like` has.
pub(super) async fn file(
    parts: &Parts,
    labels: Volume<Label>,
    names: LabelSet,
    like: &SegmentationBlobs,
    ending: &'static str,
) -> Result<LabelFile, Refusal> {
    let header = if ending == ".nii.gz" { Some(parts.store.blobs().get(&like.nifti).await?) } else { None };
    let encode = move || match header {
        Some(header) => relabelled(&header, labels.voxels()),
        None => nrrd_segmentation(&labels, &names, true),
    };
    let bytes = actix_web::web::block(encode).await.map_err(|error| Refusal::internal(&error))?;
    Ok(LabelFile { ending, bytes: bytes.map_err(|error| Refusal::internal(&error))? })
}

/// Parameters and a file. Neither chunked nor compressed: Slicer's client reads the connection itself. JSON stands
/// first, a part's `Content-Type` last among its headers, the boundary unquoted: MITK looks for these words. The file
/// has a name, without which Slicer drops it.
pub(super) fn both(params: &Value, file: &LabelFile) -> HttpResponse {
    let mut body = Vec::with_capacity(file.bytes.len() + 1024);
    let head = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"params\"\r\nContent-Type: application/json\r\n\r\n\
         {params}\r\n--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"image\"; filename=\"segmentation{}\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n",
        file.ending
    );
    body.extend(head.as_bytes());
    body.extend(&file.bytes);
    body.extend(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
    HttpResponse::Ok()
        .insert_header(("content-type", format!("multipart/form-data; boundary={BOUNDARY}")))
        .insert_header(ContentEncoding::Identity)
        .body(body)
}

/// The bare file. OHIF copies its bytes over its own volume: NRRD without compression.
pub(super) fn bare(labels: &Volume<Label>, names: &LabelSet) -> Result<HttpResponse, Refusal> {
    let bytes = nrrd_segmentation(labels, names, false).map_err(|error| Refusal::internal(&error))?;
    Ok(HttpResponse::Ok()
        .insert_header(ContentType::octet_stream())
        .insert_header(ContentEncoding::Identity)
        .body(bytes))
}
