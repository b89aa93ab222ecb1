//! What a job does, by its kind. A task names its bundle, and volumes by their digests: whoever has the blobs can do
//! it, on this machine or another.

use serde::{Deserialize, Serialize};
use shared::acquisition::{SliceList, Standing};
use shared::case::JobKind;
use shared::correction::CorrectedSlice;
use shared::geometry::Plane;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::{Digest, StoreError, from_word};

/// Work that is to be done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Task {
    /// Segment, measure uncertainty, choose slices.
    Presegment(PresegmentTask),
    /// Refine with corrected slices.
    Refine(Box<RefineTask>),
}

impl Task {
    /// What a job in the queue is to do.
    pub(super) async fn of(
        connection: &mut SqliteConnection,
        number: i64,
        job: &SqliteRow,
    ) -> Result<Self, StoreError> {
        let bundle = sqlx::query_scalar("SELECT bundle FROM cases WHERE number = ?")
            .bind(number)
            .fetch_one(&mut *connection)
            .await?;
        let scans = sqlx::query_scalar("SELECT scan FROM images WHERE case_number = ? ORDER BY channel").bind(number);
        let scans = scans.fetch_all(&mut *connection).await?;
        Ok(match from_word(job.try_get("kind")?)? {
            JobKind::Presegment => Self::Presegment(PresegmentTask { bundle, scans }),
            JobKind::Refine => {
                let corrections: Option<String> = job.try_get("corrections")?;
                let corrections = corrections.map(|slices| serde_json::from_str(&slices)).transpose()?;
                let (presegmentation, uncertainty) = presegmentation(&mut *connection, number).await?;
                Self::Refine(Box::new(RefineTask {
                    bundle,
                    scans,
                    presegmentation,
                    uncertainty,
                    corrections: corrections.unwrap_or_default(),
                    before: before(&mut *connection, number).await?,
                    adapt_seconds: job.try_get("adapt_seconds")?,
                }))
            }
        })
    }

    /// Its kind.
    pub fn kind(&self) -> JobKind {
        match self {
            Task::Presegment(_) => JobKind::Presegment,
            Task::Refine(_) => JobKind::Refine,
        }
    }

    /// The bundle that it is done with.
    pub fn bundle(&self) -> &str {
        match self {
            Task::Presegment(task) => &task.bundle,
            Task::Refine(task) => &task.bundle,
        }
    }
}

/// A presegmentation to be made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PresegmentTask {
    /// Bundle that segments the case.
    pub bundle: String,
    /// Channels as uploaded.
    pub scans: Vec<Digest>,
}

/// A refinement to be made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RefineTask {
    /// Bundle that segments the case.
    pub bundle: String,
    /// Channels as uploaded.
    pub scans: Vec<Digest>,
    /// The presegmentation, as `.nii.gz`.
    pub presegmentation: Digest,
    /// How unsure it is, u8 per voxel; not known of cases from before this was kept.
    #[serde(default)]
    pub uncertainty: Option<Digest>,
    /// The slices that the expert vouches for; where they cross, later ones win.
    pub corrections: Vec<CorrectedSlice>,
    /// How the case stands now.
    pub before: Before,
    /// How long the network may first learn from the case, 0 not at all; none as the bundle says.
    #[serde(default)]
    pub adapt_seconds: Option<f64>,
}

/// What a network has learned from a case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdaptedWeights {
    /// Its weights, safetensors.
    pub blob: Digest,
    /// The bundle that the network is of: weights are of use to no other.
    pub bundle_digest: String,
}

/// How a case stands before a refinement: what the refinement is measured against, and how its slices were chosen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Before {
    /// The newest segmentation, u8 per voxel.
    pub labels: Digest,
    /// Its uncertainty, u8 per voxel.
    pub uncertainty: Digest,
    /// What the network had learned from the case when it made the newest segmentation; nothing where it did not adapt
    /// then.
    #[serde(default)]
    pub adapted_weights: Option<AdaptedWeights>,
    /// The slices offered.
    pub slices: SliceList,
    /// What earlier refinements worked with.
    pub planes: Vec<Plane>,
    /// What earlier rounds taught.
    pub standing: Standing,
}

/// What a case's refinements begin with, and its uncertainty.
async fn presegmentation(
    connection: &mut SqliteConnection,
    number: i64,
) -> Result<(Digest, Option<Digest>), StoreError> {
    sqlx::query_as("SELECT nifti, uncertainty FROM segmentations WHERE case_number = ? AND round = 0")
        .bind(number)
        .fetch_optional(connection)
        .await?
        .ok_or(StoreError::NotFound("presegmentation of this case yet"))
}

/// How a case stands before a refinement.
async fn before(connection: &mut SqliteConnection, number: i64) -> Result<Before, StoreError> {
    let row = sqlx::query(
        "SELECT cases.uncertainty, slices, standing, s.labels, s.adapted_weights,
                s.provenance ->> '$.made_with.bundle_digest' AS adapted_bundle,
                (SELECT corrections FROM jobs j WHERE j.case_number = number AND kind = 'refine' AND state = 'done'
                 ORDER BY id DESC LIMIT 1) AS earlier
         FROM cases JOIN (SELECT * FROM segmentations WHERE case_number = ?1 ORDER BY round DESC LIMIT 1) s
              ON s.case_number = number
         WHERE number = ?1 AND cases.uncertainty IS NOT NULL AND slices IS NOT NULL",
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
