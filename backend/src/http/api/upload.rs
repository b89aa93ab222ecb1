//! A scan arrives by HTTP: streamed to disk under a cap, then handed to the intake.

use std::path::{Path, PathBuf};

use actix_multipart::{Field, Multipart, MultipartError};
use actix_web::HttpResponse;
use actix_web::error::PayloadError;
use actix_web::http::StatusCode;
use actix_web::web::Data;
use futures_util::TryStreamExt;
use shared::api::{CaseSummary, ErrorCode, route};
use tokio::io::AsyncWriteExt;

use super::super::people::Visitor;
use super::{Parts, Refusal, upload_folder};
use crate::intake::{Brought, Desk, case_name};
use crate::store::is_full;

/// Longest text of a form.
const TEXT_LIMIT_BYTES: usize = 4096;
/// A form with more files than any series has slices is a mistake.
const FILES_LIMIT: usize = 4096;

/// Takes a scan, one image a channel in the bundle's order, and queues its presegmentation.
#[utoipa::path(
    post,
    path = route::CREATE_CASE.path,
    request_body(content = inline(Form), content_type = "multipart/form-data"),
    responses((status = 201, description = "The case", body = CaseSummary))
)]
pub(crate) async fn create(parts: Data<Parts>, visitor: Visitor, form: Multipart) -> Result<HttpResponse, Refusal> {
    let folder = Scratch::new(&parts)?;
    let upload = receive(form, &folder.0, parts.upload_limit_bytes).await?;
    let name = case_name(&upload.name)?;
    let brought = Brought { folder: folder.path(), files: &upload.files, bundle: &upload.bundle, name };
    let case = take_in(&parts, &visitor, brought).await?;
    Ok(HttpResponse::Created().json(case))
}

/// Has files looked through under all checks, makes a case of them and queues its presegmentation.
pub(in crate::http) async fn take_in(
    parts: &Parts,
    visitor: &Visitor,
    brought: Brought<'_>,
) -> Result<CaseSummary, Refusal> {
    let desk = Desk { store: &parts.store, bundles: &parts.bundles, lookers: &parts.lookers, kept: parts.kept };
    let case = desk.take_in(&visitor.actor(), brought).await?;
    parts.supervisor.wake();
    tracing::info!(case = case.id.as_str(), "uploaded");
    Ok(case)
}

/// What the form of an upload holds.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "a description for the OpenAPI document; the form is read part by part")]
struct Form {
    /// The bundle's name.
    bundle: String,
    /// The case's name; optional.
    name: Option<String>,
    /// A file for each channel, in the bundle's order.
    #[schema(value_type = Vec<String>, format = Binary)]
    image: Vec<Vec<u8>>,
}

/// A folder that goes when its upload is over.
pub(in crate::http) struct Scratch(PathBuf);

impl Scratch {
    /// Makes one.
    pub(in crate::http) fn new(parts: &Parts) -> Result<Self, Refusal> {
        let folder = Self(upload_folder(&parts.store));
        std::fs::create_dir_all(&folder.0).map_err(disk)?;
        Ok(folder)
    }

    /// Where it is.
    pub(in crate::http) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A file may just have been made there. What cannot be removed now is removed at the next start.
        let _ = (0..3).any(|_| std::fs::remove_dir_all(&self.0).is_ok());
    }
}

/// The form's parts, its files on disk.
struct Upload {
    bundle: String,
    name: String,
    files: Vec<PathBuf>,
}

async fn receive(mut form: Multipart, folder: &Path, limit_bytes: u64) -> Result<Upload, Refusal> {
    let mut upload = Upload { bundle: String::new(), name: String::new(), files: Vec::new() };
    let mut left = limit_bytes;
    while let Some(mut field) = form.try_next().await.map_err(|error| cut_off(&error))? {
        match field.name().unwrap_or_default() {
            "bundle" => upload.bundle = text(&mut field, TEXT_LIMIT_BYTES).await?,
            "name" => upload.name = text(&mut field, TEXT_LIMIT_BYTES).await?,
            "image" if upload.files.len() < FILES_LIMIT => {
                // Never a name that the client chose.
                let file = folder.join(upload.files.len().to_string());
                left = write(&mut field, &file, left, limit_bytes).await?;
                upload.files.push(file);
            }
            "image" => {
                return Err(Refusal::bad(
                    ErrorCode::TooManyFiles,
                    format!("more than {FILES_LIMIT} images; send one per channel"),
                ));
            }
            other => {
                return Err(Refusal::bad(
                    ErrorCode::UnknownPart,
                    format!("the form has a part {other:?}; it takes bundle, name and image"),
                ));
            }
        }
    }
    Ok(upload)
}

/// A text of a form, of so many bytes at most.
pub(in crate::http) async fn text(field: &mut Field, limit_bytes: usize) -> Result<String, Refusal> {
    let too_long =
        |_| Refusal::bad(ErrorCode::TextTooLong, format!("a text of the form is longer than {limit_bytes} bytes"));
    let bytes = field.bytes(limit_bytes).await.map_err(too_long)?;
    let bytes = bytes.map_err(|error| cut_off(&error))?;
    String::from_utf8(bytes.to_vec()).map_err(|_| Refusal::bad(ErrorCode::NotText, "a text of the form is not UTF-8"))
}

/// Streams a file to disk; answers how many bytes are left for the rest of the form.
pub(in crate::http) async fn write(
    field: &mut Field,
    file: &Path,
    mut left: u64,
    limit_bytes: u64,
) -> Result<u64, Refusal> {
    let mut out = tokio::fs::File::create(file).await.map_err(disk)?;
    while let Some(chunk) = field.try_next().await.map_err(|error| cut_off(&error))? {
        left = left.checked_sub(chunk.len() as u64).ok_or_else(|| {
            let message = format!(
                "the upload is larger than {} MiB, which is this server's limit (--upload-limit-mib)",
                limit_bytes >> 20
            );
            Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::TooLarge, message)
        })?;
        out.write_all(&chunk).await.map_err(disk)?;
    }
    out.flush().await.map_err(disk)?;
    Ok(left)
}

/// A form that did not arrive whole.
pub(in crate::http) fn cut_off(error: &MultipartError) -> Refusal {
    if let MultipartError::Payload(error @ PayloadError::Io(_)) = error {
        return Refusal::of_payload(error);
    }
    Refusal::bad(ErrorCode::UploadCutOff, format!("the upload ended early or is no form ({error}); send it again"))
}

/// A disk that takes nothing more, or does not work.
pub(in crate::http) fn disk(error: std::io::Error) -> Refusal {
    if is_full(&error) { Refusal::full() } else { Refusal::internal(&error) }
}
