//! Segmentations in the formats that other programs want: DICOM SEG, and 3D Slicer's.

use actix_web::http::StatusCode;
use actix_web::http::header::ContentEncoding;
use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, web};
use shared::api::{CaseDetail, ErrorCode, ExportFormat, route};
use shared::case::CaseId;
use shared::correction::{CorrectedSlice, SliceState};
use shared::geometry::Plane;
use shared::label::Label;
use shared::shown::as_shown;
use shared::volume::Volume;
use utoipa::IntoParams;

use super::volumes::attachment;
use super::{Parts, Refusal};
use crate::scan_io::{Algorithm, SegContent, SegKind, SeriesReference, encode_seg, nrrd_segmentation};
use crate::store::StoreError;

/// A segmentation of a case, in a format.
#[derive(serde::Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct OfExport {
    /// The case.
    id: CaseId,
    /// `presegmentation` or `refinement-N`
    version: String,
    /// The format.
    #[param(value_type = String)]
    format: ExportFormat,
}

/// A case's newest segmentation, in a format.
#[derive(serde::Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct OfCorrected {
    /// The case.
    id: CaseId,
    /// The format.
    #[param(value_type = String)]
    format: ExportFormat,
}

/// A segmentation in another format. A DICOM SEG can be made of cases that came from a DICOM series.
#[utoipa::path(
    get,
    path = route::EXPORT.path,
    params(OfExport),
    responses((status = 200, description = "The file", content_type = "application/octet-stream"))
)]
pub(crate) async fn version(parts: Data<Parts>, of: Path<OfExport>) -> Result<HttpResponse, Refusal> {
    let OfExport { id, version, format } = of.into_inner();
    let detail = parts.store.case(&id).await?;
    let labels = labels(&parts, &detail, &version).await?;
    let planes = planes(&parts.store.slices_in(&id, &version).await?);
    answer(&parts, Export { detail, version, labels, planes, format }).await
}

/// The newest segmentation as the workbench shows it, with all that the expert has decided, corrected and saved,
/// in another format.
#[utoipa::path(
    get,
    path = route::CORRECTED_EXPORT.path,
    params(OfCorrected),
    responses((status = 200, description = "The file", content_type = "application/octet-stream"))
)]
pub(crate) async fn newest(parts: Data<Parts>, of: Path<OfCorrected>) -> Result<HttpResponse, Refusal> {
    let OfCorrected { id, format } = of.into_inner();
    answer(&parts, corrected(&parts, &id, format).await?).await
}

/// The same as a DICOM object, to be sent somewhere.
pub(super) async fn newest_object(parts: &Parts, id: &CaseId, format: ExportFormat) -> Result<Vec<u8>, Refusal> {
    Ok(encoded(parts, corrected(parts, id, format).await?).await?.bytes)
}

/// The newest segmentation with all that the expert has said.
async fn corrected(parts: &Parts, id: &CaseId, format: ExportFormat) -> Result<Export, Refusal> {
    let detail = parts.store.case(id).await?;
    let nothing_yet = StoreError::NotNow("the presegmentation has not finished; there is nothing to download yet");
    let version = detail.versions.last().cloned().ok_or(nothing_yet)?;
    let labels = labels(parts, &detail, &version).await?;
    let labels = as_shown(&detail, &version, labels).map_err(|error| Refusal::internal(&error))?;
    let planes = planes(&detail.corrections);
    Ok(Export { version: format!("{version}_corrected"), detail, labels, planes, format })
}

/// Planes that the expert has said something of.
fn planes(slices: &[CorrectedSlice]) -> Vec<Plane> {
    slices.iter().filter(|slice| slice.state != SliceState::Skipped).map(|slice| slice.plane).collect()
}

async fn labels(parts: &Parts, detail: &CaseDetail, version: &str) -> Result<Volume<Label>, Refusal> {
    let blobs = parts.store.segmentation(&detail.summary.id, version).await?;
    let voxels = parts.store.blobs().get(&blobs.labels).await?;
    Volume::new(detail.geometry.clone(), voxels.to_vec()).map_err(|error| Refusal::internal(&error))
}

struct Export {
    detail: CaseDetail,
    version: String,
    labels: Volume<Label>,
    planes: Vec<Plane>,
    format: ExportFormat,
}

/// An export as a file.
struct Encoded {
    name: String,
    content_type: &'static str,
    bytes: Vec<u8>,
}

async fn answer(parts: &Parts, export: Export) -> Result<HttpResponse, Refusal> {
    let Encoded { name, content_type, bytes } = encoded(parts, export).await?;
    Ok(HttpResponse::Ok()
        .content_type(content_type)
        .insert_header(ContentEncoding::Identity)
        .insert_header(attachment(&name))
        .body(bytes))
}

async fn encoded(parts: &Parts, export: Export) -> Result<Encoded, Refusal> {
    let (name, kind) = (format!("{}_{}", export.detail.summary.name, export.version), export.format);
    let (ending, content_type, reference) = match kind {
        ExportFormat::Nrrd => ("seg.nrrd", "application/octet-stream", None),
        ExportFormat::Seg | ExportFormat::SegBinary => {
            ("dcm", "application/dicom", Some(reference(parts, &export.detail.summary.id).await?))
        }
    };
    let algorithm = algorithm(parts, &export).await;
    let made = chrono::Utc::now();
    let encode = move || -> anyhow::Result<Vec<u8>> {
        let (labels, names) = (&export.labels, &export.detail.labels);
        let Some(reference) = reference else { return Ok(nrrd_segmentation(labels, names, true)?) };
        let kind = if kind == ExportFormat::SegBinary { SegKind::Binary } else { SegKind::Labelmap };
        let (reference, algorithm, corrected) = (&reference, &algorithm, &export.planes[..]);
        Ok(encode_seg(&SegContent { labels, names, reference, algorithm, corrected, kind, made })?)
    };
    let bytes = web::block(encode).await.map_err(|error| Refusal::internal(&error))?;
    let bytes = bytes.map_err(|error| Refusal::internal(&error))?;
    Ok(Encoded { name: format!("{name}.{ending}"), content_type, bytes })
}

/// What is kept of the series.
async fn reference(parts: &Parts, id: &CaseId) -> Result<SeriesReference, Refusal> {
    let none = || {
        let message = "a DICOM SEG names the images that were segmented, and of this case none are known: it did not \
                       come from a DICOM series, or the server keeps nothing of them (--keep-of-dicom). Download NIfTI \
                       or NRRD";
        Refusal::new(StatusCode::CONFLICT, ErrorCode::NotASeries, message)
    };
    let sealed = parts.store.series_reference(id).await?.ok_or_else(none)?;
    serde_json::from_str(&sealed.0).map_err(|_| Refusal::internal(&"what is kept of a series cannot be read"))
}

/// The bundle that made the segmentation, as far as that was written down.
async fn algorithm(parts: &Parts, export: &Export) -> Algorithm {
    let version = export.version.trim_end_matches("_corrected");
    match parts.store.provenance(&export.detail.summary.id, version).await {
        Ok(provenance) => Algorithm::of(&provenance.bundle, &provenance.made_with.bundle_version),
        Err(_) => Algorithm::of(&export.detail.summary.bundle, "unknown"),
    }
}
