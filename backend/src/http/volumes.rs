//! Voxels.

use actix_web::HttpResponse;
use actix_web::http::header::{Charset, ContentDisposition, ContentEncoding, DispositionParam, DispositionType, ExtendedValue};
use actix_web::web::{Data, Path};
use shared::case::CaseId;

use super::{Parts, Refusal};
use crate::store::Digest;

/// `GET /cases/{id}/image/{channel}`
pub(super) async fn image(parts: Data<Parts>, path: Path<(CaseId, u32)>) -> Result<HttpResponse, Refusal> {
    let (id, channel) = path.into_inner();
    voxels(&parts, &parts.store.image(&id, channel).await?).await
}

/// `GET /cases/{id}/uncertainty`
pub(super) async fn uncertainty(parts: Data<Parts>, id: Path<CaseId>) -> Result<HttpResponse, Refusal> {
    voxels(&parts, &parts.store.uncertainty(&id).await?).await
}

/// `GET /cases/{id}/segmentations/{version}`
pub(super) async fn segmentation(parts: Data<Parts>, path: Path<(CaseId, String)>) -> Result<HttpResponse, Refusal> {
    let (id, version) = path.into_inner();
    voxels(&parts, &parts.store.segmentation(&id, &version).await?.labels).await
}

/// `GET /cases/{id}/segmentations/{version}/nifti`
pub(super) async fn nifti(parts: Data<Parts>, path: Path<(CaseId, String)>) -> Result<HttpResponse, Refusal> {
    let (id, version) = path.into_inner();
    let files = parts.store.segmentation(&id, &version).await?;
    let name = parts.store.summary(&id).await?.name;
    let bytes = parts.store.blobs().get(&files.nifti).await?;
    Ok(HttpResponse::Ok()
        .content_type("application/gzip")
        .insert_header(ContentEncoding::Identity)
        .insert_header(attachment(&format!("{name}_{version}.nii.gz")))
        .body(bytes))
}

async fn voxels(parts: &Parts, digest: &Digest) -> Result<HttpResponse, Refusal> {
    let bytes = parts.store.blobs().get(digest).await?;
    Ok(HttpResponse::Ok().content_type("application/octet-stream").body(bytes))
}

/// A download's name as RFC 6266 has it: plain ASCII for old clients, UTF-8 for all others, nothing that a file system chokes on.
fn attachment(name: &str) -> ContentDisposition {
    let safe: String = name.chars().map(|c| if c.is_control() || "/\\:*?\"<>|".contains(c) { '_' } else { c }).collect();
    let ascii: String = safe.chars().map(|c| if c.is_ascii() { c } else { '_' }).collect();
    let extended = ExtendedValue { charset: Charset::Ext("UTF-8".into()), language_tag: None, value: safe.into_bytes() };
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
