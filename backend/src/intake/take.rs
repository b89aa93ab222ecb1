//! From files on disk to a case, whoever brought them.

use std::path::PathBuf;
use std::sync::Arc;

use shared::api::CaseSummary;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::{IntakeError, find_bundle, gather, keep, look_through};
use crate::bundle::Catalogue;
use crate::scan_io::KeptReference;
use crate::store::{Actor, Store};

/// Where scans are taken in.
#[derive(Clone, Copy, Debug)]
pub struct Desk<'a> {
    /// Where cases are kept.
    pub store: &'a Store,
    /// Bundles on offer.
    pub bundles: &'a Arc<Catalogue>,
    /// Lets so many be looked through at a time; each takes several times its size in memory.
    pub checks: &'a Semaphore,
    /// What is kept of whom a series is.
    pub kept: KeptReference,
}

/// Files that are to become a case.
#[derive(Clone, Debug)]
pub struct Brought {
    /// On disk, under names of our own.
    pub files: Vec<PathBuf>,
    /// The name of the bundle that segments it.
    pub bundle: String,
    /// What it is called, if it has a name.
    pub name: Option<String>,
}

impl Desk<'_> {
    /// Looks files through under all checks, makes a case of them and queues its presegmentation.
    ///
    /// # Errors
    /// [`IntakeError`]; nothing is left behind then.
    pub async fn take_in(&self, actor: &Actor, brought: Brought) -> Result<CaseSummary, IntakeError> {
        let Brought { files, bundle, name } = brought;
        let bundles = Arc::clone(self.bundles);
        let failed = |error: &dyn std::fmt::Display| IntakeError::Failed(error.to_string());
        let (offered, scans) =
            spawn_blocking(move || (bundles.list(), gather(&files))).await.map_err(|error| failed(&error))?;
        let scans = scans?;
        let bundle = find_bundle(&offered, &bundle, scans.len())?;
        let _turn = self.checks.acquire().await.map_err(|error| failed(&error))?;
        let (bundles, opened, kept) = (Arc::clone(self.bundles), bundle.name.clone(), self.kept);
        let look = move || {
            let bundle = bundles.open(&opened).map_err(|error| IntakeError::Failed(format!("{error:#}")))?;
            look_through(&scans, &bundle, kept)
        };
        let scan = spawn_blocking(look).await.map_err(|error| failed(&error))??;
        keep(self.store, actor, name, bundle, scan).await
    }
}
