//! Segmentations: what each round made of a case, and how a case stands before the next.

use shared::acquisition::{SliceList, Standing};
use shared::api::{MadeWith, PRESEGMENTATION, Provenance, refinement_version};
use shared::case::CaseId;
use shared::correction::CorrectedSlice;
use sqlx::{Row, SqliteConnection};

use super::{Actor, Digest, Store, StoreError, now_s};

/// A segmentation's two forms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentationBlobs {
    /// u8 per voxel.
    pub labels: Digest,
    /// `.nii.gz` on the scan's grid.
    pub nifti: Digest,
}

/// A segmentation that has been made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSegmentation {
    /// Its two forms.
    pub blobs: SegmentationBlobs,
    /// What it was made with.
    pub made_with: MadeWith,
    /// What the network that made it has learned from the case, for the next round; none if it is as it was bundled.
    pub adapted_weights: Option<Digest>,
}

/// What a presegmentation leaves.
#[derive(Clone, Debug)]
pub struct PresegmentationFiles {
    /// The labels.
    pub segmentation: NewSegmentation,
    /// u8 per voxel.
    pub uncertainty: Digest,
    /// The slices chosen.
    pub slices: SliceList,
    /// How the case stands.
    pub standing: Standing,
}

/// What a refinement leaves.
#[derive(Clone, Debug)]
pub struct RefinementFiles {
    /// The labels.
    pub segmentation: NewSegmentation,
    /// u8 per voxel.
    pub uncertainty: Digest,
    /// The slices that another round would offer.
    pub next: SliceList,
    /// How the case stands now.
    pub standing: Standing,
}

impl Store {
    /// A segmentation by its version's name: labels (u8 per voxel) and NIfTI.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn segmentation(&self, id: &CaseId, version: &str) -> Result<SegmentationBlobs, StoreError> {
        let missing = StoreError::NotFound("such segmentation");
        let Some(round) = round(version) else { return Err(missing) };
        let row = sqlx::query(
            "SELECT s.labels, nifti FROM segmentations s JOIN open_cases ON number = case_number
             WHERE id = ? AND s.round = ?",
        )
        .bind(id.as_str())
        .bind(round)
        .fetch_optional(&self.readers)
        .await?
        .ok_or(missing)?;
        Ok(SegmentationBlobs { labels: row.try_get("labels")?, nifti: row.try_get("nifti")? })
    }

    /// What a segmentation was made with, for whom and when.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], also for segmentations from before this was written down.
    pub async fn provenance(&self, id: &CaseId, version: &str) -> Result<Provenance, StoreError> {
        let missing = StoreError::NotFound("provenance of this segmentation");
        let Some(round) = round(version) else { return Err(missing) };
        let text: Option<Option<String>> = sqlx::query_scalar(
            "SELECT provenance FROM segmentations s JOIN open_cases ON number = case_number
             WHERE id = ? AND s.round = ?",
        )
        .bind(id.as_str())
        .bind(round)
        .fetch_optional(&self.readers)
        .await?;
        Ok(serde_json::from_str(&text.flatten().ok_or(missing)?)?)
    }
}

impl Store {
    /// The slices that went into a version.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn slices_in(&self, id: &CaseId, version: &str) -> Result<Vec<CorrectedSlice>, StoreError> {
        let round = round(version).ok_or(StoreError::NotFound("such segmentation"))?;
        let number = super::number(&mut *self.readers.acquire().await?, id).await?;
        refined_with(&self.readers, number, round).await
    }
}

/// The slices that a case's refinement of this round worked with; none of round 0, the presegmentation. Every
/// refinement that ended well is a round.
pub(super) async fn refined_with(
    readers: &sqlx::SqlitePool,
    number: i64,
    round: u32,
) -> Result<Vec<CorrectedSlice>, StoreError> {
    let Some(earlier) = round.checked_sub(1) else { return Ok(Vec::new()) };
    let slices: Option<Option<String>> = sqlx::query_scalar(
        "SELECT corrections FROM jobs WHERE case_number = ? AND kind = 'refine' AND state = 'done'
         ORDER BY id LIMIT 1 OFFSET ?",
    )
    .bind(number)
    .bind(earlier)
    .fetch_optional(readers)
    .await?;
    Ok(slices.flatten().map(|slices| serde_json::from_str(&slices)).transpose()?.unwrap_or_default())
}

/// Name of the version that a round made; round 0 is the presegmentation.
pub(super) fn version(round: u32) -> String {
    if round == 0 { PRESEGMENTATION.to_owned() } else { refinement_version(round) }
}

pub(super) fn round(name: &str) -> Option<u32> {
    let round = if name == PRESEGMENTATION { 0 } else { name.strip_prefix("refinement-")?.parse().ok()? };
    (version(round) == name).then_some(round)
}

/// Stores a segmentation as the next round, with what it was made with, for whom and when.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    actor: &Actor,
    bundle: &str,
    number: i64,
    segmentation: &NewSegmentation,
) -> Result<(), StoreError> {
    let provenance = Provenance {
        bundle: bundle.to_owned(),
        made_with: segmentation.made_with.clone(),
        program_version: env!("CARGO_PKG_VERSION").to_owned(),
        asked_by: actor.as_str().to_owned(),
        made_s: now_s(),
    };
    sqlx::query(
        "INSERT INTO segmentations (case_number, round, labels, nifti, provenance, adapted_weights)
         VALUES (?1, (SELECT coalesce(max(round) + 1, 0) FROM segmentations WHERE case_number = ?1), ?2, ?3, ?4, ?5)",
    )
    .bind(number)
    .bind(&segmentation.blobs.labels)
    .bind(&segmentation.blobs.nifti)
    .bind(serde_json::to_string(&provenance)?)
    .bind(&segmentation.adapted_weights)
    .execute(connection)
    .await?;
    Ok(())
}
