//! Segmentations: what each round made of a case, and how a case stands before the next.

use shared::acquisition::{SliceList, Standing};
use shared::api::{MadeWith, PRESEGMENTATION, Provenance, refinement_version};
use shared::case::CaseId;
use shared::correction::CorrectedSlice;
use sqlx::{Row, SqliteConnection};

use super::{Actor, AdaptedWeights, Before, Digest, Store, StoreError, now_s};

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

/// Name of the version that a round made; round 0 is the presegmentation.
pub(super) fn version(round: u32) -> String {
    if round == 0 { PRESEGMENTATION.to_owned() } else { refinement_version(round) }
}

fn round(name: &str) -> Option<u32> {
    let round = if name == PRESEGMENTATION { 0 } else { name.strip_prefix("refinement-")?.parse().ok()? };
    (version(round) == name).then_some(round)
}

/// What a case's refinements begin with.
pub(super) async fn presegmentation(connection: &mut SqliteConnection, number: i64) -> Result<Digest, StoreError> {
    let nifti = sqlx::query_scalar("SELECT nifti FROM segmentations WHERE case_number = ? AND round = 0").bind(number);
    nifti.fetch_optional(connection).await?.ok_or(StoreError::NotFound("presegmentation of this case yet"))
}

/// How a case stands before a refinement.
pub(super) async fn before(connection: &mut SqliteConnection, number: i64) -> Result<Before, StoreError> {
    let row = sqlx::query(
        "SELECT uncertainty, slices, standing, s.labels, s.adapted_weights,
                s.provenance ->> '$.made_with.bundle_digest' AS adapted_bundle,
                (SELECT corrections FROM jobs j WHERE j.case_number = number AND kind = 'refine' AND state = 'done'
                 ORDER BY id DESC LIMIT 1) AS earlier
         FROM cases JOIN (SELECT * FROM segmentations WHERE case_number = ?1 ORDER BY round DESC LIMIT 1) s
              ON s.case_number = number
         WHERE number = ?1 AND uncertainty IS NOT NULL AND slices IS NOT NULL",
    )
    .bind(number)
    .fetch_optional(connection)
    .await?
    .ok_or(StoreError::NotFound("presegmentation of this case yet"))?;
    let (earlier, standing): (Option<String>, Option<String>) = (row.try_get("earlier")?, row.try_get("standing")?);
    let (adapted_weights, adapted_bundle): (Option<Digest>, Option<String>) =
        (row.try_get("adapted_weights")?, row.try_get("adapted_bundle")?);
    let earlier: Vec<CorrectedSlice> =
        earlier.map(|slices| serde_json::from_str(&slices)).transpose()?.unwrap_or_default();
    Ok(Before {
        labels: row.try_get("labels")?,
        uncertainty: row.try_get("uncertainty")?,
        adapted_weights: adapted_weights
            .zip(adapted_bundle)
            .map(|(blob, bundle_digest)| AdaptedWeights { blob, bundle_digest }),
        slices: serde_json::from_str(row.try_get("slices")?)?,
        planes: earlier.into_iter().map(|slice| slice.plane).collect(),
        standing: standing.map(|standing| serde_json::from_str(&standing)).transpose()?.unwrap_or_default(),
    })
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
