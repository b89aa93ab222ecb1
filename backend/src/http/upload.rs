//! A scan arrives: streamed to disk under a cap, looked through, and only then stored. What is refused leaves nothing behind.

use std::path::{Path, PathBuf};

use actix_multipart::{Field, Multipart};
use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{self, Data};
use bytes::Bytes;
use futures_util::TryStreamExt;
use shared::api::{BundleInfo, CaseSummary, ImageInfo};
use shared::geometry::Geometry;
use shared::intensity::{Quantised, Window};
use tokio::io::AsyncWriteExt;
use tokio::sync::Semaphore;

use super::{Parts, Refusal, upload_folder};
use crate::scan_io::{VolumeError, read_nifti_bytes};
use crate::store::{NewCase, NewImage, Store, StoreError, is_full};
use crate::tasks::TOLERANCE_MM;

/// Longest name kept for a case.
const NAME_LIMIT: usize = 120;
/// A form with more files than any bundle has channels is a mistake.
const FILES_LIMIT: usize = 64;

/// `POST /cases`
pub(super) async fn create(parts: Data<Parts>, checks: Data<Semaphore>, form: Multipart) -> Result<HttpResponse, Refusal> {
    let folder = Scratch(upload_folder(&parts.store));
    std::fs::create_dir_all(&folder.0).map_err(disk)?;
    let upload = receive(form, &folder.0, parts.upload_limit_bytes).await?;
    let bundle = find_bundle(&parts, &upload).await?;
    let _turn = checks.acquire().await.map_err(|error| Refusal::internal(&error))?;
    let files = upload.files.clone();
    let channels = bundle.channels.clone();
    let scan = web::block(move || look_through(&files, &channels)).await.map_err(|error| Refusal::internal(&error))??;
    let case = store(&parts.store, upload.name, bundle, scan).await?;
    parts.supervisor.wake();
    tracing::info!(case = case.id, "uploaded");
    Ok(HttpResponse::Created().json(case))
}

/// A folder that goes when its upload is over.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed now is removed at the next start.
        let _ = std::fs::remove_dir_all(&self.0);
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
    let mut file_name = String::new();
    let mut left = limit_bytes;
    while let Some(mut field) = form.try_next().await.map_err(|error| cut_off(&error))? {
        match field.name().unwrap_or_default() {
            "bundle" => upload.bundle = text(&mut field).await?,
            "name" => upload.name = text(&mut field).await?,
            "image" if upload.files.len() < FILES_LIMIT => {
                if file_name.is_empty() {
                    file_name = field.content_disposition().and_then(|d| d.get_filename()).unwrap_or_default().to_owned();
                }
                // Never a name that the client chose.
                let file = folder.join(upload.files.len().to_string());
                left = write(&mut field, &file, left, limit_bytes).await?;
                upload.files.push(file);
            }
            "image" => return Err(Refusal::bad("too_many_files", format!("more than {FILES_LIMIT} images; send one per channel"))),
            other => return Err(Refusal::bad("unknown_part", format!("the form has a part {other:?}; it takes bundle, name and image"))),
        }
    }
    upload.name = case_name(&upload.name, &file_name);
    Ok(upload)
}

async fn text(field: &mut Field) -> Result<String, Refusal> {
    let bytes = field.bytes(4096).await.map_err(|_| Refusal::bad("text_too_long", "a text of the form is longer than 4096 bytes"))?;
    let bytes = bytes.map_err(|error| cut_off(&error))?;
    String::from_utf8(bytes.to_vec()).map_err(|_| Refusal::bad("not_text", "a text of the form is not UTF-8"))
}

/// Streams a file to disk; answers how many bytes are left for the rest of the form.
async fn write(field: &mut Field, file: &Path, mut left: u64, limit_bytes: u64) -> Result<u64, Refusal> {
    let mut out = tokio::fs::File::create(file).await.map_err(disk)?;
    while let Some(chunk) = field.try_next().await.map_err(|error| cut_off(&error))? {
        left = left.checked_sub(chunk.len() as u64).ok_or_else(|| {
            let message = format!("the upload is larger than {} MiB, which is this server's limit (--upload-limit-mib)", limit_bytes >> 20);
            Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
        })?;
        out.write_all(&chunk).await.map_err(disk)?;
    }
    out.flush().await.map_err(disk)?;
    Ok(left)
}

fn cut_off(error: &dyn std::fmt::Display) -> Refusal {
    Refusal::bad("upload_cut_off", format!("the upload ended early or is no form ({error}); send it again"))
}

fn disk(error: std::io::Error) -> Refusal {
    if is_full(&error) { Refusal::full() } else { Refusal::internal(&error) }
}

/// The name given, else the file's without its ending, made fit for one line.
fn case_name(given: &str, file: &str) -> String {
    let stem = file.rsplit(['/', '\\']).next().unwrap_or_default();
    let stem = stem.strip_suffix(".gz").unwrap_or(stem);
    let stem = stem.strip_suffix(".nii").unwrap_or(stem);
    let clean = |name: &str| name.chars().filter(|c| !c.is_control()).take(NAME_LIMIT).collect::<String>().trim().to_owned();
    [given, stem, "Scan"].into_iter().map(clean).find(|name| !name.is_empty()).unwrap_or_default()
}

async fn find_bundle(parts: &Data<Parts>, upload: &Upload) -> Result<BundleInfo, Refusal> {
    let bundles = parts.bundles.clone();
    let bundles = web::block(move || bundles.list()).await.map_err(|error| Refusal::internal(&error))?;
    let wanted = &upload.bundle;
    let names: Vec<&str> = bundles.iter().map(|bundle| bundle.name.as_str()).collect();
    let unknown = || Refusal::bad("unknown_bundle", format!("there is no bundle {wanted:?}; choose one of: {}", names.join(", ")));
    let bundle = bundles.iter().find(|bundle| bundle.name == *wanted).ok_or_else(unknown)?.clone();
    if let Some(problem) = bundle.problem {
        return Err(Refusal::new(StatusCode::CONFLICT, "bundle_unusable", format!("the bundle {wanted} cannot be used: {problem}")));
    }
    let (expected, got) = (bundle.channels.len(), upload.files.len());
    if expected != got {
        let message = format!(
            "{wanted} needs {expected} image(s) ({}), {got} were sent; send one per channel, in this order",
            bundle.channels.join(", ")
        );
        return Err(Refusal::bad("wrong_channel_count", message));
    }
    Ok(bundle)
}

/// A scan that has passed all checks.
struct Scan {
    geometry: Geometry,
    images: Vec<(ImageInfo, Bytes, Bytes)>,
}

fn look_through(files: &[PathBuf], channels: &[String]) -> Result<Scan, Refusal> {
    let mut geometry: Option<Geometry> = None;
    let mut images = Vec::new();
    for (file, channel) in files.iter().zip(channels) {
        let bytes = std::fs::read(file).map_err(disk)?;
        let volume = read_nifti_bytes(&bytes).map_err(|error| refused(channel, error))?.volume;
        let own = volume.geometry().clone();
        match &geometry {
            None => geometry = Some(own),
            Some(first) => check_same_grid(first, &own, channel)?,
        }
        let window = Window::from_percentiles(volume.voxels(), 0.5, 99.5);
        let packed = Quantised::new(volume.voxels());
        let info = ImageInfo { channel: channel.clone(), minimum: packed.minimum, step: packed.step, window };
        let voxels: Vec<u8> = packed.voxels.iter().flat_map(|voxel| voxel.to_le_bytes()).collect();
        images.push((info, bytes.into(), voxels.into()));
    }
    let geometry = geometry.ok_or_else(|| Refusal::bad("no_image", "the form has no image"))?;
    Ok(Scan { geometry, images })
}

fn refused(channel: &str, error: VolumeError) -> Refusal {
    let code = match &error {
        VolumeError::NotNifti(_) => "not_a_nifti",
        VolumeError::Damaged(_) => "damaged",
        VolumeError::Truncated { .. } => "truncated",
        VolumeError::TooLarge { .. } | VolumeError::TooManyVoxels { .. } => "too_large",
        VolumeError::NotThreeDimensional(_) => "not_3d",
        VolumeError::UnsupportedType(_) => "unsupported_type",
        VolumeError::NotFinite { .. } => "not_finite",
        VolumeError::NotALabel { .. } => "not_a_label",
        VolumeError::Geometry(_) => "bad_geometry",
        VolumeError::Io(_) => return Refusal::internal(&error),
    };
    Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, code, format!("{channel}: {error}"))
}

fn check_same_grid(first: &Geometry, own: &Geometry, channel: &str) -> Result<(), Refusal> {
    if first.matches(own, TOLERANCE_MM) {
        return Ok(());
    }
    let message = if first.dims == own.dims {
        format!(
            "{channel} has {:?} voxels like the first image, but lies elsewhere in space; channels must share one grid. Resample it onto the first",
            own.dims
        )
    } else {
        format!(
            "{channel} has {:?} voxels, the first image {:?}; channels must share one grid. Resample it onto the first",
            own.dims, first.dims
        )
    };
    Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "grids_differ", message))
}

async fn store(store: &Store, name: String, bundle: BundleInfo, scan: Scan) -> Result<CaseSummary, Refusal> {
    let kept = keep(store, name, bundle, scan).await;
    if kept.is_err() {
        // Blobs that no row points at would take the room that is wanting. What is not swept now is swept at the next start.
        let _ = store.sweep().await;
    }
    Ok(kept?)
}

async fn keep(store: &Store, name: String, bundle: BundleInfo, scan: Scan) -> Result<CaseSummary, StoreError> {
    let _keep = store.keep_blobs().await;
    let mut images = Vec::new();
    for (info, file, voxels) in scan.images {
        images.push(NewImage { info, scan: store.blobs().put(file).await?, voxels: store.blobs().put(voxels).await? });
    }
    let case = NewCase { name, bundle: bundle.name, geometry: scan.geometry, labels: bundle.labels, images };
    store.create_case(&case).await
}

#[cfg(test)]
mod tests {
    use shared::volume::Volume;

    use super::*;
    use crate::scan_io::{ScanHeader, write_f32};

    #[test]
    fn cases_are_named_after_what_is_known() {
        fn check(given: &str, file: &str, expected: &str) {
            assert_eq!(case_name(given, file), expected);
        }
        check("Case 7", "a.nii.gz", "Case 7");
        check("", "hippocampus_001.nii.gz", "hippocampus_001");
        check("  \n", "C:\\scans\\b.nii", "b");
        check("", "", "Scan");
        check("a\u{0}b\r\nc", "", "abc");
        assert_eq!(case_name(&"x".repeat(500), "").len(), NAME_LIMIT);
    }

    /// Writes a scan of zeros with these voxels and this spacing.
    fn scan(folder: &Path, name: &str, dims: [usize; 3], spacing_mm: f64) -> PathBuf {
        let geometry = Geometry::axis_aligned(dims, [spacing_mm; 3]).unwrap();
        let file = folder.join(name);
        write_f32(&file, &Volume::filled(geometry.clone(), 0.0), &ScanHeader::of_geometry(&geometry)).unwrap();
        file
    }

    #[test]
    fn channels_must_share_a_grid() {
        let folder = tempfile::tempdir().unwrap();
        let channels = ["T1".to_owned(), "T2".to_owned()];
        let check = |dims: [usize; 3], spacing_mm: f64, expected: Result<usize, &str>| {
            let files = [scan(folder.path(), "1.nii.gz", [4, 5, 6], 1.0), scan(folder.path(), "2.nii.gz", dims, spacing_mm)];
            let got = look_through(&files, &channels).map(|scan| scan.images.len()).map_err(|refusal| refusal.to_string());
            assert_eq!(got, expected.map_err(str::to_owned));
        };
        check([4, 5, 6], 1.0, Ok(2));
        check(
            [4, 5, 7],
            1.0,
            Err("T2 has [4, 5, 7] voxels, the first image [4, 5, 6]; channels must share one grid. Resample it onto the first"),
        );
        check(
            [4, 5, 6],
            1.5,
            Err(
                "T2 has [4, 5, 6] voxels like the first image, but lies elsewhere in space; channels must share one grid. Resample it onto the first",
            ),
        );
    }
}
