//! Forms as MONAI Label's clients send them.

use std::path::PathBuf;

use actix_multipart::Multipart;
use futures_util::TryStreamExt;
use serde_json::Value;
use shared::api::ErrorCode;

use super::super::api::upload::{Scratch, cut_off, text, write};
use super::{Parts, Refusal};
use crate::intake::Brought;

/// Longest `params`: a client names every segment in them.
const PARAMS_LIMIT_BYTES: usize = 256 << 10;
/// Most files of a form: the slices of a series.
const FILES_LIMIT: usize = 4096;

/// A form's parts, its files on disk until it goes.
pub(super) struct Received {
    /// `params`, if there are any.
    pub(super) params: Value,
    /// `file` or `files`.
    pub(super) images: Vec<PathBuf>,
    /// `label`.
    pub(super) label: Option<PathBuf>,
    /// The ending of the first image's name; of names nothing else is used, since they are paths of the client's disk.
    pub(super) ending: Option<&'static str>,
    folder: Scratch,
}

impl Received {
    /// Its images as a case of a bundle. It gets no name: clients name files after patients.
    pub(super) fn brought<'a>(&'a self, bundle: &'a str) -> Brought<'a> {
        Brought { folder: self.folder.path(), files: &self.images, bundle, name: None }
    }
}

/// Takes a form in.
pub(super) async fn receive(parts: &Parts, mut form: Multipart) -> Result<Received, Refusal> {
    let folder = Scratch::new(parts)?;
    let mut left = parts.upload_limit_bytes;
    let (mut params, mut images, mut label, mut ending) = (Value::Null, Vec::new(), None, None);
    while let Some(mut field) = form.try_next().await.map_err(|error| cut_off(&error))? {
        let name = field.name().unwrap_or_default().to_owned();
        let number = images.len() + usize::from(label.is_some());
        match name.as_str() {
            "file" | "files" | "label" if number < FILES_LIMIT => {
                if name != "label" && ending.is_none() {
                    let theirs = field.content_disposition().and_then(|said| said.get_filename()).unwrap_or_default();
                    ending = [".nii.gz", ".nii", ".nrrd", ".mha"].into_iter().find(|end| theirs.ends_with(end));
                }
                let file = folder.path().join(number.to_string());
                left = write(&mut field, &file, left, parts.upload_limit_bytes).await?;
                if name == "label" { label = Some(file) } else { images.push(file) }
            }
            "file" | "files" | "label" => {
                let message = format!("more than {FILES_LIMIT} files in one form");
                return Err(Refusal::bad(ErrorCode::TooManyFiles, message));
            }
            "params" => {
                let said = text(&mut field, PARAMS_LIMIT_BYTES).await?;
                params = serde_json::from_str(&said).map_err(|error| Refusal::unreadable(&error.to_string()))?;
            }
            // `client_id` and whatever later clients add.
            _ => while field.try_next().await.map_err(|error| cut_off(&error))?.is_some() {},
        }
    }
    Ok(Received { params, images, label, ending, folder })
}
