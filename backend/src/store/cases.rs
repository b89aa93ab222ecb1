//! Cases: how they begin, how they stand, how they end.

use shared::api::{CaseDetail, CaseSummary, Event, ImageInfo, PRESEGMENTATION, refinement_version};
use shared::case::{CaseId, Job, JobKind, JobState, Stage};
use shared::geometry::Geometry;
use shared::label::LabelSet;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row, SqliteConnection};

use super::{Digest, Store, StoreError, now_s, rounds};

/// A case that has passed all checks.
#[derive(Clone, Debug)]
pub struct NewCase {
    /// Name for the list.
    pub name: String,
    /// Bundle that segments it.
    pub bundle: String,
    /// The scan's grid.
    pub geometry: Geometry,
    /// The bundle's labels.
    pub labels: LabelSet,
    /// One per channel.
    pub images: Vec<NewImage>,
}

/// One channel of a [`NewCase`].
#[derive(Clone, Debug)]
pub struct NewImage {
    /// How the voxels are packed.
    pub info: ImageInfo,
    /// The file as uploaded.
    pub scan: Digest,
    /// u16 per voxel, little-endian.
    pub voxels: Digest,
}

/// A case's line with all that its stage follows from.
const SUMMARY: &str = "
    WITH done_planes AS (
        SELECT case_number, axis, plane FROM corrections k WHERE slice ->> '$.state' = 'done' AND revision =
            (SELECT max(revision) FROM corrections l WHERE l.case_number = k.case_number AND l.axis = k.axis AND l.plane = k.plane))
    SELECT c.number, c.id, c.name, c.bundle, c.created_s, c.round,
           (SELECT count(*) FROM (SELECT value ->> '$.axis', value ->> '$.index' FROM json_each(c.slices, '$.slices')
                                  UNION SELECT axis, plane FROM done_planes d WHERE d.case_number = c.number)) AS slices,
           (SELECT max(round) FROM segmentations s WHERE s.case_number = c.number) AS last_round,
           (SELECT count(*) FROM done_planes d WHERE d.case_number = c.number) AS done,
           j.id AS job, j.kind, j.state, j.progress, j.message
    FROM cases c LEFT JOIN jobs j ON j.id = (SELECT max(id) FROM jobs WHERE case_number = c.number)";

impl Store {
    /// Stores a case and queues its presegmentation, both or neither.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn create_case(&self, case: &NewCase) -> Result<CaseSummary, StoreError> {
        let id: CaseId = uuid::Uuid::new_v4().simple().to_string();
        let mut tx = self.write().await?;
        let number: i64 = sqlx::query_scalar(
            "INSERT INTO cases (id, name, bundle, created_s, geometry, labels) VALUES (?, ?, ?, ?, ?, ?) RETURNING number",
        )
        .bind(&id)
        .bind(&case.name)
        .bind(&case.bundle)
        .bind(now_s())
        .bind(serde_json::to_string(&case.geometry)?)
        .bind(serde_json::to_string(&case.labels)?)
        .fetch_one(&mut *tx)
        .await?;
        for (channel, image) in (0_i64..).zip(&case.images) {
            sqlx::query("INSERT INTO images (case_number, channel, info, scan, voxels) VALUES (?, ?, ?, ?, ?)")
                .bind(number)
                .bind(channel)
                .bind(serde_json::to_string(&image.info)?)
                .bind(&image.scan)
                .bind(&image.voxels)
                .execute(&mut *tx)
                .await?;
        }
        super::queue::insert(&mut tx, number, JobKind::Presegment, None).await?;
        tx.commit().await?;
        let summary = self.summary(&id).await?;
        // Fails only if nobody listens.
        let _ = self.events.send(Event::Case(summary.clone()));
        Ok(summary)
    }

    /// All cases, newest first.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn cases(&self) -> Result<Vec<CaseSummary>, StoreError> {
        let rows = sqlx::query(all_summaries("ORDER BY c.number DESC")).fetch_all(&self.pool).await?;
        rows.iter().map(summary).collect()
    }

    /// One case's line.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn summary(&self, id: &CaseId) -> Result<CaseSummary, StoreError> {
        let row = sqlx::query(all_summaries("WHERE c.id = ?")).bind(id).fetch_optional(&self.pool).await?;
        summary(&row.ok_or(StoreError::NotFound("such case"))?)
    }

    /// Everything about a case beside its voxels.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn case(&self, id: &CaseId) -> Result<CaseDetail, StoreError> {
        let summary = self.summary(id).await?;
        let row = sqlx::query("SELECT number, geometry, labels, slices, standing, next_slices FROM cases WHERE id = ?").bind(id);
        let row = row.fetch_optional(&self.pool).await?.ok_or(StoreError::NotFound("such case"))?;
        let number: i64 = row.try_get("number")?;
        let images: Vec<String> =
            sqlx::query_scalar("SELECT info FROM images WHERE case_number = ? ORDER BY channel").bind(number).fetch_all(&self.pool).await?;
        let rounds: Vec<u32> = sqlx::query_scalar("SELECT round FROM segmentations WHERE case_number = ? ORDER BY round")
            .bind(number)
            .fetch_all(&self.pool)
            .await?;
        let slices: Option<String> = row.try_get("slices")?;
        let corrections = self.corrections(id).await?;
        Ok(CaseDetail {
            summary,
            geometry: serde_json::from_str(row.try_get("geometry")?)?,
            images: images.iter().map(|info| serde_json::from_str(info)).collect::<Result<_, _>>()?,
            labels: serde_json::from_str(row.try_get("labels")?)?,
            versions: rounds.into_iter().map(version).collect(),
            slices: slices.map(|slices| serde_json::from_str(&slices)).transpose()?,
            next: rounds::next_round(&row, &corrections)?,
            corrections,
        })
    }

    /// Deletes a case, what was made of it, and its jobs.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn delete_case(&self, id: &CaseId) -> Result<(), StoreError> {
        let deleted = sqlx::query("DELETE FROM cases WHERE id = ?").bind(id).execute(&self.pool).await?;
        if deleted.rows_affected() == 0 {
            return Err(StoreError::NotFound("such case"));
        }
        // Fails only if nobody listens.
        let _ = self.events.send(Event::Deleted { id: id.clone() });
        self.sweep().await
    }

    /// A channel's voxels, u16 each.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn image(&self, id: &CaseId, channel: u32) -> Result<Digest, StoreError> {
        sqlx::query_scalar("SELECT voxels FROM images JOIN cases ON number = case_number WHERE id = ? AND channel = ?")
            .bind(id)
            .bind(channel)
            .fetch_optional(&self.pool)
            .await?
            .ok_or(StoreError::NotFound("such image"))
    }

    /// The uncertainty of the newest segmentation, u8 per voxel.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], also before the presegmentation is done.
    pub async fn uncertainty(&self, id: &CaseId) -> Result<Digest, StoreError> {
        let found: Option<Option<String>> =
            sqlx::query_scalar("SELECT uncertainty FROM cases WHERE id = ?").bind(id).fetch_optional(&self.pool).await?;
        found.flatten().ok_or(StoreError::NotFound("uncertainty of this case yet"))
    }

    /// A segmentation by its version's name: labels (u8 per voxel) and NIfTI.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn segmentation(&self, id: &CaseId, version: &str) -> Result<super::SegmentationBlobs, StoreError> {
        let missing = StoreError::NotFound("such segmentation");
        let Some(round) = round(version) else { return Err(missing) };
        let row =
            sqlx::query("SELECT s.labels, nifti FROM segmentations s JOIN cases ON number = case_number WHERE id = ? AND s.round = ?")
                .bind(id)
                .bind(round)
                .fetch_optional(&self.pool)
                .await?
                .ok_or(missing)?;
        Ok(super::SegmentationBlobs { labels: row.try_get("labels")?, nifti: row.try_get("nifti")? })
    }
}

/// The number that a case is referred to with in the database.
pub(super) async fn number(connection: &mut SqliteConnection, id: &CaseId) -> Result<i64, StoreError> {
    let number = sqlx::query_scalar("SELECT number FROM cases WHERE id = ?").bind(id).fetch_optional(connection).await?;
    number.ok_or(StoreError::NotFound("such case"))
}

/// [`SUMMARY`] with the rest of the statement; both are constants of this file, values are bound.
fn all_summaries(rest: &'static str) -> AssertSqlSafe<String> {
    AssertSqlSafe(format!("{SUMMARY} {rest}"))
}

/// Name of the version that a round made; round 0 is the presegmentation.
fn version(round: u32) -> String {
    if round == 0 { PRESEGMENTATION.to_owned() } else { refinement_version(round) }
}

fn round(name: &str) -> Option<u32> {
    let round = if name == PRESEGMENTATION { 0 } else { name.strip_prefix("refinement-")?.parse().ok()? };
    (version(round) == name).then_some(round)
}

fn summary(row: &SqliteRow) -> Result<CaseSummary, StoreError> {
    let last_round: Option<u32> = row.try_get("last_round")?;
    let job = match row.try_get::<Option<i64>, _>("job")? {
        None => None,
        Some(_) => Some(super::queue::job(row)?),
    };
    Ok(CaseSummary {
        id: row.try_get("id")?,
        name: row.try_get("name")?,
        bundle: row.try_get("bundle")?,
        created_s: row.try_get("created_s")?,
        stage: stage(last_round, job.as_ref()),
        job,
        slices: row.try_get::<u32, _>("slices")? as usize,
        slices_done: row.try_get::<u32, _>("done")? as usize,
        rounds: last_round.unwrap_or(0),
        round: row.try_get("round")?,
    })
}

/// A stage is never stored: it follows from what there is and what is under way.
fn stage(last_round: Option<u32>, job: Option<&Job>) -> Stage {
    let refining = job.is_some_and(|job| job.kind == JobKind::Refine && matches!(job.state, JobState::Queued | JobState::Running));
    match last_round {
        None => Stage::Presegmenting,
        Some(_) if refining => Stage::Refining,
        Some(0) => Stage::Correcting,
        Some(_) => Stage::Refined,
    }
}
