//! From the files that a worker left to the store's blobs.

use std::path::PathBuf;

use anyhow::Result;
use shared::api::MadeWith;

use crate::scan_io::{read_labels, read_scan};
use crate::store::{NewSegmentation, SegmentationBlobs, Store};

/// A segmentation in its two forms.
pub(super) async fn segmentation(store: &Store, made_with: &MadeWith, file: PathBuf) -> Result<NewSegmentation> {
    let nifti = store.blobs().put(tokio::fs::read(&file).await?).await?;
    let labels = tokio::task::spawn_blocking(move || read_labels(&file)).await??;
    let labels = store.blobs().put(labels.into_voxels()).await?;
    Ok(NewSegmentation {
        blobs: SegmentationBlobs { labels, nifti },
        made_with: made_with.clone(),
        adapted_weights: None,
    })
}

/// Uncertainty as the client draws it: 0 to 255 for 0 to 1.
pub(super) async fn packed_uncertainty(file: PathBuf) -> Result<Vec<u8>> {
    let pack = move || -> Result<Vec<u8>> {
        let uncertainty = read_scan(&file)?.volume;
        Ok(uncertainty.voxels().iter().map(|v| (v.clamp(0.0, 1.0) * 255.0).round() as u8).collect())
    };
    tokio::task::spawn_blocking(pack).await?
}
