//! Cases that a reviewer has approved, for whoever learns from them; read beside a running server.

use std::path::{Path, PathBuf};

use shared::api::{Decision, ReviewState};
use shared::case::CaseId;
use shared::correction::{CorrectedSlice, corrected};
use shared::geometry::Geometry;
use shared::label::{Label, LabelSet};
use shared::volume::Volume;
use sqlx::{Connection, Row};

use super::backup::copy_volume;
use super::folder::{self, BLOBS};
use super::rows::open_to_read;
use super::{Digest, StoreError, corrections, decisions, review};

/// An approved case, as it lies in a data folder.
#[derive(Debug)]
pub struct ApprovedCase {
    /// Its id, which says nothing of whom it is of.
    pub id: CaseId,
    /// The grid of its scan.
    pub geometry: Geometry,
    /// The labels that it was worked on with.
    pub labels: LabelSet,
    /// Files of its channels, in order.
    scans: Vec<Digest>,
    /// Of the newest segmentation.
    voxels: Digest,
    decision: Option<Decision>,
    corrections: Vec<CorrectedSlice>,
    blobs: PathBuf,
}

impl ApprovedCase {
    /// How many channels it has.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.scans.len()
    }

    /// Copies a channel as it was brought, without any text of its header (`.nii.gz`); compared with its digest.
    ///
    /// # Errors
    /// [`StoreError::Refused`] if the volume is damaged; the system's.
    ///
    /// # Panics
    /// If there is no such channel.
    pub fn copy_scan(&self, channel: usize, to: &Path) -> Result<(), StoreError> {
        copy_volume(&self.scans[channel], &self.blobs, to)
    }

    /// The segmentation that was approved: the newest, with what was decided and corrected.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], [`StoreError::Correction`]; the system's.
    pub fn segmentation(&self) -> Result<Volume<Label>, StoreError> {
        let damaged = || StoreError::Damaged(self.voxels.clone());
        let voxels = std::fs::read(self.voxels.file_in(&self.blobs))?;
        if Digest::of(&voxels) != self.voxels {
            return Err(damaged());
        }
        let mut labels = Volume::new(self.geometry.clone(), voxels).map_err(|_| damaged())?;
        if let Some(decision) = &self.decision {
            decision.patch.apply(labels.voxels_mut());
        }
        Ok(corrected(labels, &self.labels, &self.corrections)?)
    }
}

/// The cases of a bundle that stand approved in a data folder, the oldest first, all as they were at one moment. Those
/// in the bin are none of them.
///
/// # Errors
/// [`StoreError::Refused`] if there is no database, or an older program's; [`StoreError::Database`].
pub async fn approved(data: &Path, bundle: &str) -> Result<Vec<ApprovedCase>, StoreError> {
    let mut connection = open_to_read(&folder::database_in(data)?).await?;
    let mut moment = connection.begin().await?;
    let known = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'reviews')");
    if !known.fetch_one(&mut *moment).await? {
        return Err(folder::older());
    }
    let rows = sqlx::query(
        "SELECT c.number, c.id, c.geometry, c.labels, s.round, s.labels AS voxels
         FROM open_cases c JOIN segmentations s ON s.case_number = c.number
         WHERE c.bundle = ? AND s.round = (SELECT max(round) FROM segmentations WHERE case_number = c.number)
         ORDER BY c.number",
    );
    let mut found = Vec::new();
    for row in rows.bind(bundle).fetch_all(&mut *moment).await? {
        let number: i64 = row.try_get("number")?;
        if review::state(&mut moment, number).await? != ReviewState::Approved {
            continue;
        }
        let scans = sqlx::query_scalar("SELECT scan FROM images WHERE case_number = ? ORDER BY channel").bind(number);
        found.push(ApprovedCase {
            id: CaseId::from(row.try_get::<String, _>("id")?),
            geometry: serde_json::from_str(row.try_get("geometry")?)?,
            labels: serde_json::from_str(row.try_get("labels")?)?,
            scans: scans.fetch_all(&mut *moment).await?,
            voxels: row.try_get("voxels")?,
            decision: decisions::holding(&mut moment, number, row.try_get("round")?).await?,
            corrections: corrections::latest(&mut moment, number).await?,
            blobs: data.join(BLOBS),
        });
    }
    Ok(found)
}
