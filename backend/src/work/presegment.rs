//! Presegmentation as a kind of work.

use anyhow::Result;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use shared::acquisition::Standing;
use shared::api::MadeWith;

use super::shelf::{Shelf, made_with};
use super::workspace::Workspace;
use super::{Keep, Left, Perform, results};
use crate::bundle::Stage;
use crate::inference::Progress;
use crate::store::{Lease, PresegmentTask, PresegmentationFiles, Store};
use crate::tasks::{self, PRESEGMENTATION_FILE, PresegmentOptions, SLICES_FILE, UNCERTAINTY_FILE, read_slices};

impl Perform for PresegmentTask {
    fn perform(&self, workspace: &Workspace, shelf: &mut Shelf, progress: &mut Progress<'_>) -> Result<MadeWith> {
        let (bundle, digest) = shelf.bundle(&workspace.bundle(&self.bundle))?;
        let scans = workspace.blobs(&self.scans)?;
        // Whoever sent the scan has been told of its warnings.
        let options = PresegmentOptions::of(&bundle, |_| {});
        tasks::presegment(&bundle, &scans, workspace.out(), &options, shelf, progress)?;
        Ok(made_with(&bundle, &digest, Stage::Presegmentation))
    }
}

impl Keep for PresegmentTask {
    fn keep<'a>(&'a self, store: &'a Store, lease: &'a Lease, left: Left<'a>) -> BoxFuture<'a, Result<bool>> {
        async move {
            let _keep = store.keep_blobs().await;
            let segmentation =
                results::segmentation(store, left.made_with, left.folder.join(PRESEGMENTATION_FILE)).await?;
            let uncertainty = results::packed_uncertainty(left.folder.join(UNCERTAINTY_FILE)).await?;
            let standing = Standing::begun(&store.blobs().get(&segmentation.blobs.labels).await?, &uncertainty);
            let uncertainty = store.blobs().put(uncertainty).await?;
            let slices = read_slices(&left.folder.join(SLICES_FILE))?;
            let files = PresegmentationFiles { segmentation, uncertainty, slices, standing };
            Ok(store.finish_presegmentation(lease, &files).await?)
        }
        .boxed()
    }
}
