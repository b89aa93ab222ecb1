//! From a scan that has passed all checks to a case in the store.

use shared::api::{BundleInfo, CaseSummary};

use super::{IntakeError, Looked};
use crate::store::{Actor, NewCase, NewImage, Sealed, Store, StoreError};

/// Makes a case of a scan, named by its number unless it has a name, and queues its presegmentation.
///
/// # Errors
/// [`IntakeError::Store`]; nothing is left behind then.
pub async fn keep(
    store: &Store,
    actor: &Actor,
    name: Option<String>,
    bundle: BundleInfo,
    scan: Looked,
) -> Result<CaseSummary, IntakeError> {
    let kept = create(store, actor, name, bundle, scan).await;
    if kept.is_err() {
        // Blobs that no row points at would take the room that is wanting. What is not swept now is swept later.
        let _ = store.sweep().await;
    }
    Ok(kept?)
}

async fn create(
    store: &Store,
    actor: &Actor,
    name: Option<String>,
    bundle: BundleInfo,
    scan: Looked,
) -> Result<CaseSummary, StoreError> {
    let _keep = store.keep_blobs().await;
    let mut images = Vec::new();
    for image in scan.images {
        let (scan, voxels) = (store.blobs().put(image.file).await?, store.blobs().put(image.voxels).await?);
        images.push(NewImage { info: image.info, scan, voxels });
    }
    let reference = scan.reference.map(|reference| serde_json::to_string(&reference)).transpose()?.map(Sealed);
    let case = NewCase { name, bundle: bundle.name, geometry: scan.geometry, labels: bundle.labels, images, reference };
    store.create_case(actor, &case).await
}
