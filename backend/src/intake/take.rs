//! From files on disk to a case, whoever brought them.

use std::io;
use std::sync::Arc;

use shared::api::CaseSummary;
use tokio::task::spawn_blocking;

use super::{Brought, IntakeError, Kept, Lookers, find_bundle, keep};
use crate::bundle::Catalogue;
use crate::scan_io::{KeptReference, ScanError};
use crate::store::{Actor, Store};

/// Where scans are taken in.
#[derive(Clone, Copy, Debug)]
pub struct Desk<'a> {
    /// Where cases are kept.
    pub store: &'a Store,
    /// Bundles on offer.
    pub bundles: &'a Arc<Catalogue>,
    /// Those who look scans through.
    pub lookers: &'a Lookers,
    /// What is kept of whom a series is.
    pub kept: KeptReference,
}

impl Desk<'_> {
    /// Has files looked through under all checks, makes a case of them and queues its presegmentation.
    ///
    /// # Errors
    /// [`IntakeError`]; nothing is left behind then.
    pub async fn take_in(&self, actor: &Actor, brought: Brought<'_>) -> Result<CaseSummary, IntakeError> {
        let bundles = Arc::clone(self.bundles);
        let offered =
            spawn_blocking(move || bundles.list()).await.map_err(|error| ScanError::Io(io::Error::from(error)))?;
        let bundle = find_bundle(&offered, brought.bundle)?;
        let scan = self.lookers.look(&brought, self.kept).await?;
        keep(self.store, actor, Kept { name: brought.name, bundle, scan, folder: brought.folder }).await
    }
}
