//! From a job's files to the store's blobs, and back.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use shared::acquisition::{RankedSlice, RoundOutcome, Standing};
use shared::case::JobKind;
use shared::correction::corrections_volume;
use shared::label::{BACKGROUND, LabelInfo, LabelSet};

use super::{CORRECTIONS_FILE, REFINED_FILE, REFINED_UNCERTAINTY_FILE, Task};
use crate::scan_io::{read_labels, read_origin, read_scan, write_labels};
use crate::store::{Before, Lease, PresegmentationFiles, RefinementFiles, SegmentationBlobs, Store};
use crate::tasks::{PRESEGMENTATION_FILE, SLICES_FILE, UNCERTAINTY_FILE, read_slices};

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
    let acquisition = Box::new(lease.before.as_ref().context("the case has no slices")?.slices.params.clone());
    tokio::task::spawn_blocking(move || write_corrections(&lease, &file, &scan)).await??;
    let presegmentation = store.blobs().path(presegmentation);
    Ok(Task::Refine { bundle, images, presegmentation, corrections, planes, acquisition, out: out.to_owned() })
}

fn write_corrections(lease: &Lease, file: &Path, scan: &Path) -> Result<()> {
    // The labels were checked against the bundle's when they were saved.
    let any = LabelSet((1..=u8::MAX).map(|value| LabelInfo { value, name: String::new(), colour: String::new() }).collect());
    let volume = corrections_volume(&lease.geometry, &any, &lease.corrections)?;
    Ok(write_labels(file, &volume, &read_origin(scan)?)?)
}

/// Stores what a job wrote; says whether the lease still held.
pub(super) async fn store_result(store: &Store, lease: &Lease, out: &Path) -> Result<bool> {
    let _keep = store.keep_blobs().await;
    match lease.kind {
        JobKind::Presegment => {
            let segmentation = store_segmentation(store, out.join(PRESEGMENTATION_FILE)).await?;
            let uncertainty = store.blobs().put(packed_uncertainty(out.join(UNCERTAINTY_FILE)).await?).await?;
            let slices = read_slices(&out.join(SLICES_FILE))?;
            Ok(store.finish_presegmentation(lease, &PresegmentationFiles { segmentation, uncertainty, slices }).await?)
        }
        JobKind::Refine => {
            let before = lease.before.as_ref().context("the case has no presegmentation")?;
            let segmentation = store_segmentation(store, out.join(REFINED_FILE)).await?;
            let packed = packed_uncertainty(out.join(REFINED_UNCERTAINTY_FILE)).await?;
            let standing = standing(store, lease, before, &segmentation, &packed).await?;
            let uncertainty = store.blobs().put(packed).await?;
            let next = read_slices(&out.join(SLICES_FILE))?;
            Ok(store.finish_refinement(lease, &RefinementFiles { segmentation, uncertainty, next, standing }).await?)
        }
    }
}

/// How a case stands after a refinement, and what its round taught.
async fn standing(store: &Store, lease: &Lease, before: &Before, refined: &SegmentationBlobs, uncertainty: &[u8]) -> Result<Standing> {
    let (old, new) = (store.blobs().get(&before.labels).await?, store.blobs().get(&refined.labels).await?);
    let count = |counts: &mut dyn Iterator<Item = bool>| counts.filter(|counts| *counts).count() as u64;
    let corrected = |slice: &&RankedSlice| {
        !before.planes.contains(&slice.plane()) && lease.corrections.iter().any(|corrected| corrected.plane == slice.plane())
    };
    let share: f64 = before.slices.ranked().filter(corrected).map(|slice| slice.settles).sum();
    let outcome = RoundOutcome {
        settled: share * summed_uncertainty(&store.blobs().get(&before.uncertainty).await?),
        changed: count(&mut old.iter().zip(&new).map(|(old, new)| old != new)),
    };
    let mut outcomes = before.standing.outcomes.clone();
    outcomes.push(outcome);
    Ok(Standing {
        uncertainty: summed_uncertainty(uncertainty),
        foreground: count(&mut new.iter().map(|label| *label != BACKGROUND)),
        outcomes,
    })
}

fn summed_uncertainty(packed: &[u8]) -> f64 {
    packed.iter().map(|value| u64::from(*value)).sum::<u64>() as f64 / 255.0
}

async fn store_segmentation(store: &Store, file: PathBuf) -> Result<SegmentationBlobs> {
    let nifti = store.blobs().put(tokio::fs::read(&file).await?).await?;
    let labels = tokio::task::spawn_blocking(move || read_labels(&file)).await??;
    Ok(SegmentationBlobs { labels: store.blobs().put(labels.into_voxels()).await?, nifti })
}

/// Uncertainty as the client draws it: 0 to 255 for 0 to 1.
async fn packed_uncertainty(file: PathBuf) -> Result<Vec<u8>> {
    let pack = move || -> Result<Vec<u8>> {
        let uncertainty = read_scan(&file)?.volume;
        Ok(uncertainty.voxels().iter().map(|v| (v.clamp(0.0, 1.0) * 255.0).round() as u8).collect())
    };
    tokio::task::spawn_blocking(pack).await?
}
