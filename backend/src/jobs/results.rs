//! From a job's files to the store's blobs, and back.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use shared::acquisition::SliceList;
use shared::case::JobKind;
use shared::correction::corrections_volume;
use shared::label::{LabelInfo, LabelSet};

use super::{CORRECTIONS_FILE, REFINED_FILE, Task};
use crate::store::{Lease, PresegmentationFiles, SegmentationBlobs, Store};
use crate::tasks::{PRESEGMENTATION_FILE, SLICES_FILE, UNCERTAINTY_FILE};
use crate::volume_io::{read_labels, read_nifti, read_scan_header, write_labels};

/// What the worker is to do for a lease; puts the expert's slices where the worker finds them.
pub(super) async fn prepare(store: &Store, lease: &Lease, bundle: PathBuf, out: &Path) -> Result<Task> {
    std::fs::create_dir_all(out)?;
    let images: Vec<PathBuf> = lease.scans.iter().map(|scan| store.blobs().path(scan)).collect();
    if lease.kind == JobKind::Presegment {
        return Ok(Task::Presegment { bundle, images, out: out.to_owned(), acquisition: None });
    }
    let presegmentation = lease.presegmentation.as_ref().context("there is no presegmentation to refine")?;
    let corrections = out.join(CORRECTIONS_FILE);
    let (lease, file, scan) = (lease.clone(), corrections.clone(), images.first().cloned().context("the case has no image")?);
    let planes = lease.corrections.iter().map(|slice| slice.plane).collect();
    tokio::task::spawn_blocking(move || write_corrections(&lease, &file, &scan)).await??;
    let presegmentation = store.blobs().path(presegmentation);
    Ok(Task::Refine { bundle, images, presegmentation, corrections, planes, out: out.join(REFINED_FILE) })
}

fn write_corrections(lease: &Lease, file: &Path, scan: &Path) -> Result<()> {
    // The labels were checked against the bundle's when they were saved.
    let any = LabelSet((1..=u8::MAX).map(|value| LabelInfo { value, name: String::new(), colour: String::new() }).collect());
    let volume = corrections_volume(&lease.geometry, &any, &lease.corrections)?;
    Ok(write_labels(file, &volume, &read_scan_header(scan)?)?)
}

/// Stores what a job wrote; says whether the lease still held.
pub(super) async fn store_result(store: &Store, lease: &Lease, out: &Path) -> Result<bool> {
    let _keep = store.keep_blobs().await;
    match lease.kind {
        JobKind::Presegment => {
            let segmentation = store_segmentation(store, out.join(PRESEGMENTATION_FILE)).await?;
            let file = out.join(UNCERTAINTY_FILE);
            let packed = tokio::task::spawn_blocking(move || pack_uncertainty(&file)).await??;
            let uncertainty = store.blobs().put(packed).await?;
            let slices: SliceList = serde_json::from_slice(&tokio::fs::read(out.join(SLICES_FILE)).await?)?;
            Ok(store.finish_presegmentation(lease, &PresegmentationFiles { segmentation, uncertainty, slices }).await?)
        }
        JobKind::Refine => {
            let segmentation = store_segmentation(store, out.join(REFINED_FILE)).await?;
            Ok(store.finish_refinement(lease, &segmentation).await?)
        }
    }
}

async fn store_segmentation(store: &Store, file: PathBuf) -> Result<SegmentationBlobs> {
    let nifti = store.blobs().put(tokio::fs::read(&file).await?).await?;
    let labels = tokio::task::spawn_blocking(move || read_labels(&file)).await??;
    Ok(SegmentationBlobs { labels: store.blobs().put(labels.into_voxels()).await?, nifti })
}

/// Uncertainty as the client draws it: 0 to 255 for 0 to 1.
fn pack_uncertainty(file: &Path) -> Result<Vec<u8>> {
    let uncertainty = read_nifti(file)?.volume;
    Ok(uncertainty.voxels().iter().map(|v| (v.clamp(0.0, 1.0) * 255.0).round() as u8).collect())
}
