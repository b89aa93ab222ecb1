//! Refinement as a kind of work.

use anyhow::Result;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use shared::acquisition::{RankedSlice, Round, Standing};
use shared::api::MadeWith;

use super::shelf::{Shelf, made_with};
use super::workspace::Workspace;
use super::{Keep, Left, Perform, results};
use crate::bundle::Stage;
use crate::bundle::method::Measure;
use crate::inference::Progress;
use crate::store::{Lease, RefineTask, RefinementFiles, SegmentationBlobs, Store};
use crate::tasks::{self, Adapt, Corrections, RefineFiles, SLICES_FILE, Uncertainty, read_slices};

/// The refined segmentation in the output folder.
const REFINED_FILE: &str = "refined.nii.gz";
/// Its uncertainty in the output folder.
const REFINED_UNCERTAINTY_FILE: &str = "refined-uncertainty.nii.gz";
/// What the network has learned from the case, in the output folder.
const ADAPTED_WEIGHTS_FILE: &str = "adapted-weights.safetensors";

impl Perform for RefineTask {
    fn perform(&self, workspace: &Workspace, shelf: &mut Shelf, progress: &mut Progress<'_>) -> Result<MadeWith> {
        let (bundle, digest) = shelf.bundle(&workspace.bundle(&self.bundle))?;
        let out = |name: &str| workspace.out().join(name);
        let earlier =
            self.before.adapted_weights.as_ref().filter(|weights| weights.bundle_digest == digest.to_string());
        let earlier = earlier.map(|weights| workspace.blob(&weights.blob)).transpose()?;
        // What a bundle measures otherwise says nothing about how far its labels are ahead.
        let doubt = self.uncertainty.as_ref().filter(|_| bundle.uncertainty().measure == Measure::Entropy);
        let doubt = doubt.map(|doubt| workspace.blob(doubt)).transpose()?;
        let files = RefineFiles {
            images: &workspace.blobs(&self.scans)?,
            corrections: Corrections::Slices(&self.corrections),
            planes_grids: &[],
            presegmentation: Some(&workspace.blob(&self.presegmentation)?),
            uncertainty: doubt.as_deref().map(Uncertainty::Bytes),
            blend_mm: None,
            adapt: self
                .adapt_seconds
                .map_or(Adapt::Auto, |seconds| if seconds > 0.0 { Adapt::Seconds(seconds) } else { Adapt::Off }),
            adapted_weights: earlier.as_deref(),
            adapted_weights_out: Some(&out(ADAPTED_WEIGHTS_FILE)),
            out: &out(REFINED_FILE),
            uncertainty_out: Some(&out(REFINED_UNCERTAINTY_FILE)),
            slices_out: Some((&out(SLICES_FILE), &self.before.slices.params)),
        };
        let report = tasks::refine(&bundle, &files, shelf, progress)?;
        Ok(MadeWith { adaptation: report.words(), ..made_with(&bundle, &digest, Stage::Refinement) })
    }
}

impl Keep for RefineTask {
    fn keep<'a>(&'a self, store: &'a Store, lease: &'a Lease, left: Left<'a>) -> BoxFuture<'a, Result<bool>> {
        async move {
            let _keep = store.keep_blobs().await;
            let mut segmentation = results::segmentation(store, left.made_with, left.folder.join(REFINED_FILE)).await?;
            let learned = left.folder.join(ADAPTED_WEIGHTS_FILE);
            if learned.is_file() {
                segmentation.adapted_weights = Some(store.blobs().put(tokio::fs::read(learned).await?).await?);
            }
            let packed = results::packed_uncertainty(left.folder.join(REFINED_UNCERTAINTY_FILE)).await?;
            let standing = self.standing(store, &segmentation.blobs, &packed).await?;
            let uncertainty = store.blobs().put(packed).await?;
            let next = read_slices(&left.folder.join(SLICES_FILE))?;
            Ok(store.finish_refinement(lease, &RefinementFiles { segmentation, uncertainty, next, standing }).await?)
        }
        .boxed()
    }
}

impl RefineTask {
    /// How the case stands afterwards, and what the round taught.
    async fn standing(&self, store: &Store, refined: &SegmentationBlobs, uncertainty: &[u8]) -> Result<Standing> {
        let before = &self.before;
        let round = Round {
            settles: before.slices.ranked().filter(|slice| self.settles(slice)).map(|slice| slice.settles).sum(),
            labels_before: &store.blobs().get(&before.labels).await?,
            uncertainty_before: &store.blobs().get(&before.uncertainty).await?,
            labels: &store.blobs().get(&refined.labels).await?,
            uncertainty,
        };
        Ok(before.standing.after(&round))
    }

    /// Whether an offered slice is corrected now and was not before.
    fn settles(&self, slice: &RankedSlice) -> bool {
        let plane = slice.plane();
        !self.before.planes.contains(&plane) && self.corrections.iter().any(|corrected| corrected.plane == plane)
    }
}
