//! The queue: jobs are rows, enqueued in the transaction of what they are for. A lease is fenced by its attempt: only the attempt that runs may finish.

use serde::Serialize;
use serde::de::DeserializeOwned;
use shared::acquisition::{SliceList, Standing};
use shared::case::{CaseId, Job, JobId, JobKind, JobState};
use shared::correction::CorrectedSlice;
use shared::geometry::{Geometry, Plane};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::{Digest, Store, StoreError, cases, corrections};

/// How often a worker may die of a job. The first death may be bad luck, the second is the job.
const MAX_CRASHES: i64 = 2;

/// A job that the caller runs now.
#[derive(Clone, Debug)]
pub struct Lease {
    /// Its number.
    pub job: JobId,
    /// Which run of it this is.
    pub attempt: i64,
    /// What it does.
    pub kind: JobKind,
    /// For whom.
    pub case: CaseId,
    /// Bundle that segments the case.
    pub bundle: String,
    /// The case's grid.
    pub geometry: Geometry,
    /// Channels as uploaded.
    pub scans: Vec<Digest>,
    /// The presegmentation, once there is one.
    pub presegmentation: Option<Digest>,
    /// What a refinement works with.
    pub corrections: Vec<CorrectedSlice>,
    /// How the case stands before a refinement.
    pub before: Option<Before>,
}

/// How a case stands before a refinement: what the refinement is measured against, and how its slices were chosen.
#[derive(Clone, Debug)]
pub struct Before {
    /// The newest segmentation, u8 per voxel.
    pub labels: Digest,
    /// Its uncertainty, u8 per voxel.
    pub uncertainty: Digest,
    /// The slices offered.
    pub slices: SliceList,
    /// What earlier refinements worked with.
    pub planes: Vec<Plane>,
    /// What earlier rounds taught.
    pub standing: Standing,
}

/// A segmentation's two forms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentationBlobs {
    /// u8 per voxel.
    pub labels: Digest,
    /// `.nii.gz` on the scan's grid.
    pub nifti: Digest,
}

/// What a presegmentation leaves.
#[derive(Clone, Debug)]
pub struct PresegmentationFiles {
    /// The labels.
    pub segmentation: SegmentationBlobs,
    /// u8 per voxel.
    pub uncertainty: Digest,
    /// The slices chosen.
    pub slices: SliceList,
}

/// What a refinement leaves.
#[derive(Clone, Debug)]
pub struct RefinementFiles {
    /// The labels.
    pub segmentation: SegmentationBlobs,
    /// u8 per voxel.
    pub uncertainty: Digest,
    /// The slices that another round would offer.
    pub next: SliceList,
    /// How the case stands now.
    pub standing: Standing,
}

impl Store {
    /// Queues a refinement with the slices that are done.
    ///
    /// # Errors
    /// [`StoreError::NotNow`] if no slice is done or a job is under way.
    pub async fn request_refinement(&self, id: &CaseId) -> Result<Job, StoreError> {
        let mut tx = self.write().await?;
        let number = cases::number(&mut tx, id).await?;
        check_idle(&mut tx, number).await?;
        let slices = corrections::done(corrections::latest(&mut tx, number).await?);
        if slices.is_empty() {
            return Err(StoreError::NotNow("no slice is marked as done; mark those that are right, then refine"));
        }
        let job = insert(&mut tx, number, JobKind::Refine, Some(&slices)).await?;
        tx.commit().await?;
        self.announce(id).await;
        Ok(job)
    }

    /// Stops a job, whether it waits or runs; a job that has ended stays as it is. Its worker is left to the caller.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn cancel(&self, id: JobId) -> Result<Job, StoreError> {
        sqlx::query("UPDATE jobs SET state = 'cancelled', message = 'stopped' WHERE id = ? AND state IN ('queued', 'running')")
            .bind(id)
            .execute(&self.pool)
            .await?;
        self.announce_job(id).await;
        self.job(id).await
    }

    /// A job.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn job(&self, id: JobId) -> Result<Job, StoreError> {
        let row = sqlx::query("SELECT id AS job, kind, state, progress, message FROM jobs WHERE id = ?").bind(id);
        job(&row.fetch_optional(&self.pool).await?.ok_or(StoreError::NotFound("such job"))?)
    }

    /// Takes the job that has waited longest; it is running from now on. A refinement goes first: someone waits for it at a screen.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn lease(&self) -> Result<Option<Lease>, StoreError> {
        let mut tx = self.write().await?;
        let row = sqlx::query(
            "UPDATE jobs SET state = 'running', attempt = attempt + 1, progress = 0, message = ''
             WHERE id = (SELECT id FROM jobs WHERE state = 'queued' ORDER BY kind = 'refine' DESC, id LIMIT 1)
             RETURNING id, case_number, attempt, kind, corrections",
        )
        .fetch_optional(&mut *tx)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let number: i64 = row.try_get("case_number")?;
        let case = sqlx::query("SELECT id, bundle, geometry FROM cases WHERE number = ?").bind(number).fetch_one(&mut *tx).await?;
        let scans = sqlx::query_scalar("SELECT scan FROM images WHERE case_number = ? ORDER BY channel").bind(number).fetch_all(&mut *tx);
        let scans = scans.await?;
        let presegmentation = sqlx::query_scalar("SELECT nifti FROM segmentations WHERE case_number = ? AND round = 0")
            .bind(number)
            .fetch_optional(&mut *tx)
            .await?;
        let kind = from_word(row.try_get("kind")?)?;
        let before = if kind == JobKind::Refine { before(&mut tx, number).await? } else { None };
        tx.commit().await?;
        let corrections: Option<String> = row.try_get("corrections")?;
        let lease = Lease {
            job: row.try_get("id")?,
            attempt: row.try_get("attempt")?,
            kind,
            case: case.try_get("id")?,
            bundle: case.try_get("bundle")?,
            geometry: serde_json::from_str(case.try_get("geometry")?)?,
            scans,
            presegmentation,
            corrections: corrections.map(|slices| serde_json::from_str(&slices)).transpose()?.unwrap_or_default(),
            before,
        };
        self.announce(&lease.case).await;
        Ok(Some(lease))
    }

    /// Whether the lease still holds: the job has neither been cancelled nor deleted.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn holds(&self, lease: &Lease) -> Result<bool, StoreError> {
        let held = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM jobs WHERE id = ? AND attempt = ? AND state = 'running')")
            .bind(lease.job)
            .bind(lease.attempt);
        Ok(held.fetch_one(&self.pool).await?)
    }

    /// Notes how far a job is.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn note_progress(&self, lease: &Lease, progress: f32) -> Result<(), StoreError> {
        let noted = sqlx::query("UPDATE jobs SET progress = ? WHERE id = ? AND attempt = ? AND state = 'running'")
            .bind(progress.clamp(0.0, 1.0))
            .bind(lease.job)
            .bind(lease.attempt)
            .execute(&self.pool)
            .await?;
        if noted.rows_affected() > 0 {
            self.announce(&lease.case).await;
        }
        Ok(())
    }

    /// Stores what a presegmentation made, unless the lease is lost; says whether it was stored.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn finish_presegmentation(&self, lease: &Lease, files: &PresegmentationFiles) -> Result<bool, StoreError> {
        let mut tx = self.write().await?;
        let Some(number) = end(&mut tx, lease, JobState::Done, "").await? else { return Ok(false) };
        sqlx::query("UPDATE cases SET slices = ?, uncertainty = ? WHERE number = ?")
            .bind(serde_json::to_string(&files.slices)?)
            .bind(&files.uncertainty)
            .bind(number)
            .execute(&mut *tx)
            .await?;
        insert_segmentation(&mut tx, number, &files.segmentation).await?;
        tx.commit().await?;
        self.announce(&lease.case).await;
        Ok(true)
    }

    /// Stores what a refinement made as the next round, unless the lease is lost; says whether it was stored.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn finish_refinement(&self, lease: &Lease, files: &RefinementFiles) -> Result<bool, StoreError> {
        let mut tx = self.write().await?;
        let Some(number) = end(&mut tx, lease, JobState::Done, "").await? else { return Ok(false) };
        sqlx::query("UPDATE cases SET uncertainty = ?, next_slices = ?, standing = ? WHERE number = ?")
            .bind(&files.uncertainty)
            .bind(serde_json::to_string(&files.next)?)
            .bind(serde_json::to_string(&files.standing)?)
            .bind(number)
            .execute(&mut *tx)
            .await?;
        insert_segmentation(&mut tx, number, &files.segmentation).await?;
        tx.commit().await?;
        self.announce(&lease.case).await;
        Ok(true)
    }

    /// Gives a job up for a reason that trying again would not change.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn fail(&self, lease: &Lease, reason: &str) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        end(&mut tx, lease, JobState::Failed, reason).await?;
        tx.commit().await?;
        self.announce(&lease.case).await;
        Ok(())
    }

    /// The worker died of a job: it waits again, or has failed if that was one death too many.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn note_crash(&self, lease: &Lease, reason: &str) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE jobs SET crashes = crashes + 1, progress = 0,
                 state = CASE WHEN crashes + 1 < ? THEN 'queued' ELSE 'failed' END,
                 message = CASE WHEN crashes + 1 < ? THEN 'starting again after a crash' ELSE ? END
             WHERE id = ? AND attempt = ? AND state = 'running'",
        )
        .bind(MAX_CRASHES)
        .bind(MAX_CRASHES)
        .bind(reason)
        .bind(lease.job)
        .bind(lease.attempt)
        .execute(&self.pool)
        .await?;
        self.announce(&lease.case).await;
        Ok(())
    }

    /// What ran when the last server stopped waits again: that was no fault of the job.
    pub(super) async fn requeue_interrupted(&self) -> Result<(), StoreError> {
        sqlx::query("UPDATE jobs SET state = 'queued', progress = 0, message = 'starting again' WHERE state = 'running'")
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    async fn announce_job(&self, id: JobId) {
        let case = sqlx::query_scalar("SELECT c.id FROM cases c JOIN jobs j ON j.case_number = c.number WHERE j.id = ?").bind(id);
        if let Ok(Some(case)) = case.fetch_optional(&self.pool).await {
            self.announce(&case).await;
        }
    }
}

/// Queues a job.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    case_number: i64,
    kind: JobKind,
    corrections: Option<&[CorrectedSlice]>,
) -> Result<Job, StoreError> {
    let row = sqlx::query(
        "INSERT INTO jobs (case_number, kind, state, corrections) VALUES (?, ?, ?, ?) RETURNING id AS job, kind, state, progress, message",
    )
    .bind(case_number)
    .bind(to_word(&kind)?)
    .bind(to_word(&JobState::Queued)?)
    .bind(corrections.map(serde_json::to_string).transpose()?)
    .fetch_one(connection)
    .await?;
    job(&row)
}

/// Refuses while a job of a case waits or runs.
pub(super) async fn check_idle(connection: &mut SqliteConnection, case_number: i64) -> Result<(), StoreError> {
    let busy: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM jobs WHERE case_number = ? AND state IN ('queued', 'running'))")
        .bind(case_number)
        .fetch_one(connection)
        .await?;
    if busy { Err(StoreError::NotNow("this case is being worked on already; wait until that is finished, or cancel it")) } else { Ok(()) }
}

/// How a case stands; nothing before its presegmentation.
async fn before(connection: &mut SqliteConnection, number: i64) -> Result<Option<Before>, StoreError> {
    let row = sqlx::query(
        "SELECT uncertainty, slices, standing,
                (SELECT labels FROM segmentations WHERE case_number = number ORDER BY round DESC LIMIT 1) AS labels,
                (SELECT corrections FROM jobs WHERE case_number = number AND kind = 'refine' AND state = 'done' ORDER BY id DESC LIMIT 1) AS earlier
         FROM cases WHERE number = ?",
    )
    .bind(number)
    .fetch_one(connection)
    .await?;
    let (Some(labels), Some(uncertainty)) = (row.try_get("labels")?, row.try_get("uncertainty")?) else { return Ok(None) };
    let Some(slices): Option<String> = row.try_get("slices")? else { return Ok(None) };
    let (earlier, standing): (Option<String>, Option<String>) = (row.try_get("earlier")?, row.try_get("standing")?);
    let earlier: Vec<CorrectedSlice> = earlier.map(|slices| serde_json::from_str(&slices)).transpose()?.unwrap_or_default();
    let standing = standing.map(|standing| serde_json::from_str(&standing)).transpose()?.unwrap_or_default();
    let planes = earlier.into_iter().map(|slice| slice.plane).collect();
    Ok(Some(Before { labels, uncertainty, slices: serde_json::from_str(&slices)?, planes, standing }))
}

/// A job from a row that names its number `job`.
pub(super) fn job(row: &SqliteRow) -> Result<Job, StoreError> {
    Ok(Job {
        id: row.try_get("job")?,
        kind: from_word(row.try_get("kind")?)?,
        state: from_word(row.try_get("state")?)?,
        progress: row.try_get::<f64, _>("progress")? as f32,
        message: row.try_get("message")?,
    })
}

/// Ends a leased job; answers the case's number, or nothing if the lease is lost.
async fn end(connection: &mut SqliteConnection, lease: &Lease, state: JobState, message: &str) -> Result<Option<i64>, StoreError> {
    let ended = sqlx::query_scalar(
        "UPDATE jobs SET state = ?, message = ?, progress = CASE WHEN ? = 'done' THEN 1 ELSE progress END
         WHERE id = ? AND attempt = ? AND state = 'running' RETURNING case_number",
    )
    .bind(to_word(&state)?)
    .bind(message)
    .bind(to_word(&state)?)
    .bind(lease.job)
    .bind(lease.attempt)
    .fetch_optional(connection)
    .await?;
    Ok(ended)
}

async fn insert_segmentation(connection: &mut SqliteConnection, number: i64, files: &SegmentationBlobs) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO segmentations (case_number, round, labels, nifti)
         VALUES (?1, (SELECT coalesce(max(round) + 1, 0) FROM segmentations WHERE case_number = ?1), ?2, ?3)",
    )
    .bind(number)
    .bind(&files.labels)
    .bind(&files.nifti)
    .execute(connection)
    .await?;
    Ok(())
}

/// The word that serde knows a unit variant by; the database and the wire use the same ones.
fn to_word<T: Serialize>(value: &T) -> Result<String, StoreError> {
    Ok(serde_json::to_string(value)?.trim_matches('"').to_owned())
}

fn from_word<T: DeserializeOwned>(word: &str) -> Result<T, StoreError> {
    Ok(serde_json::from_value(word.into())?)
}
