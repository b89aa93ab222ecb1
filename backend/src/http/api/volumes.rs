//! Voxels.

use actix_web::HttpResponse;
use actix_web::body::{MessageBody, SizedStream};
use actix_web::http::header::{
    Charset, ContentDisposition, ContentEncoding, DispositionParam, DispositionType, ExtendedValue,
};
use actix_web::web::{Data, Json, Path};
use futures_util::TryStreamExt;
use shared::api::{Provenance, route};
use shared::case::CaseId;
use shared::shown::as_shown;
use shared::volume::Volume;

use super::address::OfSegmentation;
use super::{Parts, Refusal};
use crate::scan_io::relabelled;
use crate::store::{Digest, StoreError};

/// A channel: u16 little-endian, x fastest; intensity = minimum + step * voxel.
#[utoipa::path(
    get,
    path = route::IMAGE.path,
    params(("id" = CaseId, Path, description = "The case"), ("channel" = u32, Path, description = "0 for the first")),
    responses((status = 200, description = "Voxels", content_type = "application/octet-stream"))
)]
pub(crate) async fn image(parts: Data<Parts>, path: Path<(CaseId, u32)>) -> Result<HttpResponse, Refusal> {
    let (id, channel) = path.into_inner();
    voxels(&parts, &parts.store.image(&id, channel).await?).await
}

/// The uncertainty of the newest segmentation: u8, x fastest; 255 is 1.
#[utoipa::path(
    get,
    path = route::UNCERTAINTY.path,
    params(("id" = CaseId, Path, description = "The case")),
    responses((status = 200, description = "Voxels", content_type = "application/octet-stream"))
)]
pub(crate) async fn uncertainty(parts: Data<Parts>, id: Path<CaseId>) -> Result<HttpResponse, Refusal> {
    voxels(&parts, &parts.store.uncertainty(&id).await?).await
}

/// A segmentation: a label a voxel, u8, x fastest.
#[utoipa::path(
    get,
    path = route::SEGMENTATION.path,
    params(OfSegmentation),
    responses((status = 200, description = "Labels", content_type = "application/octet-stream"))
)]
pub(crate) async fn segmentation(parts: Data<Parts>, of: Path<OfSegmentation>) -> Result<HttpResponse, Refusal> {
    voxels(&parts, &parts.store.segmentation(&of.id, &of.version).await?.labels).await
}

/// Where a segmentation comes from.
#[utoipa::path(
    get,
    path = route::PROVENANCE.path,
    params(OfSegmentation),
    responses((status = 200, description = "What made it, who asked for it, and when", body = Provenance))
)]
pub(crate) async fn provenance(parts: Data<Parts>, of: Path<OfSegmentation>) -> Result<Json<Provenance>, Refusal> {
    Ok(Json(parts.store.provenance(&of.id, &of.version).await?))
}

/// A segmentation as a file with the scan's own geometry.
#[utoipa::path(
    get,
    path = route::NIFTI.path,
    params(OfSegmentation),
    responses((status = 200, description = "A .nii.gz file", content_type = "application/gzip"))
)]
pub(crate) async fn nifti(parts: Data<Parts>, of: Path<OfSegmentation>) -> Result<HttpResponse, Refusal> {
    let files = parts.store.segmentation(&of.id, &of.version).await?;
    let name = parts.store.summary(&of.id).await?.name;
    Ok(download(&format!("{name}_{}.nii.gz", of.version), blob(&parts, &files.nifti).await?))
}

/// The newest segmentation as the workbench shows it, with all that the expert has decided, corrected and saved, as a
/// file with the scan's own geometry.
#[utoipa::path(
    get,
    path = route::CORRECTED_NIFTI.path,
    params(("id" = CaseId, Path, description = "The case")),
    responses((status = 200, description = "A .nii.gz file", content_type = "application/gzip"))
)]
pub(crate) async fn corrected_nifti(parts: Data<Parts>, id: Path<CaseId>) -> Result<HttpResponse, Refusal> {
    let detail = parts.store.case(&id).await?;
    let nothing_yet = StoreError::NotNow("the presegmentation has not finished; there is nothing to download yet");
    let version = detail.versions.last().cloned().ok_or(nothing_yet)?;
    let files = parts.store.segmentation(&id, &version).await?;
    let blobs = parts.store.blobs();
    let (labels, file) = (blobs.get(&files.labels).await?, blobs.get(&files.nifti).await?);
    let name = format!("{}_{version}_corrected.nii.gz", detail.summary.name);
    let merge = move || -> anyhow::Result<Vec<u8>> {
        let labels = as_shown(&detail, &version, Volume::new(detail.geometry.clone(), labels.to_vec())?)?;
        Ok(relabelled(&file, labels.voxels())?)
    };
    let merged = tokio::task::spawn_blocking(merge).await.map_err(|error| Refusal::internal(&error))?;
    let file = merged.map_err(|error| Refusal::internal(&error))?;
    Ok(download(&name, file))
}

/// A compressed file that the browser puts where downloads go.
fn download(name: &str, file: impl MessageBody + 'static) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/gzip")
        .insert_header(ContentEncoding::Identity)
        .insert_header(attachment(name))
        .body(file)
}

async fn voxels(parts: &Parts, digest: &Digest) -> Result<HttpResponse, Refusal> {
    Ok(HttpResponse::Ok().content_type("application/octet-stream").body(blob(parts, digest).await?))
}

/// A blob, sent from its file: a reader who takes long takes no memory.
async fn blob(parts: &Parts, digest: &Digest) -> Result<impl MessageBody + use<>, Refusal> {
    let (size, pieces) = parts.store.blobs().stream(digest).await?;
    let noted = pieces.inspect_err(|error| tracing::error!("a volume was not sent whole: {error}"));
    Ok(SizedStream::new(size, Box::pin(noted)))
}

/// A download's name as RFC 6266 has it: plain ASCII for old clients, UTF-8 for all others, nothing that a file system
/// chokes on.
pub(in crate::http) fn attachment(name: &str) -> ContentDisposition {
    let safe: String =
        name.chars().map(|c| if c.is_control() || "/\\:*?\"<>|".contains(c) { '_' } else { c }).collect();
    let ascii: String = safe.chars().map(|c| if c.is_ascii() { c } else { '_' }).collect();
    let extended =
        ExtendedValue { charset: Charset::Ext("UTF-8".into()), language_tag: None, value: safe.into_bytes() };
    ContentDisposition {
        disposition: DispositionType::Attachment,
        parameters: vec![DispositionParam::Filename(ascii), DispositionParam::FilenameExt(extended)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_makes_a_file_name() {
        fn check(name: &str, expected: &str) {
            assert_eq!(attachment(name).to_string(), expected);
        }
        check("a_b.nii.gz", "attachment; filename=\"a_b.nii.gz\"; filename*=UTF-8''a_b.nii.gz");
        check("Ä/1.nii.gz", "attachment; filename=\"__1.nii.gz\"; filename*=UTF-8''%C3%84_1.nii.gz");
        check("a\r\nb\"c", "attachment; filename=\"a__b_c\"; filename*=UTF-8''a__b_c");
    }
}
