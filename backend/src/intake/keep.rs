//! From a scan that has passed all checks to a case in the store.

use std::path::Path;

use shared::api::{BundleInfo, CaseSummary};

use super::look::{scan_file, voxels_file};
use super::{IntakeError, Looked};
use crate::store::{Actor, NewCase, NewImage, Sealed, Store, StoreError, StoredVolume};

/// A scan that has passed all checks, and what belongs to it as a case.
#[derive(Debug)]
pub struct Kept<'a> {
    /// What it is called; by its number if it has no name.
    pub name: Option<String>,
    /// What segments it.
    pub bundle: BundleInfo,
    /// The scan.
    pub scan: Looked,
    /// Where its files lie; they are taken from there.
    pub folder: &'a Path,
}

/// Makes a case of a scan and queues its presegmentation.
///
/// # Errors
/// [`IntakeError::Store`]; nothing is left behind then.
pub async fn keep(store: &Store, actor: &Actor, kept: Kept<'_>) -> Result<CaseSummary, IntakeError> {
    let kept = create(store, actor, kept).await;
    if kept.is_err() {
        // Blobs that no row points at would take the room that is wanting. What is not swept now is swept later.
        let _ = store.sweep().await;
    }
    Ok(kept?)
}

async fn create(store: &Store, actor: &Actor, kept: Kept<'_>) -> Result<CaseSummary, StoreError> {
    let Kept { name, bundle, scan, folder } = kept;
    let _keep = store.keep_blobs().await;
    let mut images = Vec::new();
    for (channel, info) in scan.images.into_iter().enumerate() {
        let (scan, voxels) = tokio::try_join!(
            store.blobs().take(scan_file(folder, channel)),
            store.blobs().take(voxels_file(folder, channel)),
        )?;
        images.push(NewImage { info, scan, voxels });
    }
    let reference = scan.reference.map(|reference| serde_json::to_string(&reference)).transpose()?.map(Sealed);
    let dims = scan.geometry.dims;
    let packed: Vec<_> =
        images.iter().map(|image| StoredVolume { digest: image.voxels.clone(), dims, voxel_bytes: 2 }).collect();
    let case = NewCase { name, bundle: bundle.name, geometry: scan.geometry, labels: bundle.labels, images, reference };
    let summary = store.create_case(actor, &case).await?;
    // Whoever opens the case meanwhile gets what is not packed yet all the same.
    let ahead = store.clone();
    tokio::spawn(async move {
        for volume in packed {
            ahead.pack_ahead(volume).await;
        }
    });
    Ok(summary)
}
