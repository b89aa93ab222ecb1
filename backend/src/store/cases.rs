//! Cases: how they begin, how they stand, how they end.

use shared::api::{CaseDetail, CaseSummary, ImageInfo};
use shared::case::{CaseId, Job, JobKind, JobState, Stage};
use shared::geometry::Geometry;
use shared::label::LabelSet;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row};

use super::segmentations::{self, version};
use super::{Actor, Digest, Store, StoreError, audit, decisions, effort, now_s, number, queue, review, rounds};

/// A case that has passed all checks.
#[derive(Clone, Debug)]
pub struct NewCase {
    /// Name for the list; `Case 7` if it has none.
    pub name: Option<String>,
    /// Bundle that segments it.
    pub bundle: String,
    /// The scan's grid.
    pub geometry: Geometry,
    /// The bundle's labels.
    pub labels: LabelSet,
    /// One per channel.
    pub images: Vec<NewImage>,
    /// What a DICOM SEG has to say of the series; kept apart from all that is shown.
    pub reference: Option<Sealed>,
}

/// Text that may name a patient: it is stored and given back, and stands in no log.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(pub String);

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealed")
    }
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

/// A case's line with all that its stage follows from. What waits is counted as [`Store::lease`] takes it: refinements
/// first, then everybody's first, everybody's second, …
pub(super) const SUMMARY: &str = "
    WITH waiting AS (SELECT id, row_number() OVER (ORDER BY kind = 'refine' DESC, nth, id) AS place
                     FROM (SELECT id, kind, row_number() OVER (PARTITION BY asked_by, kind ORDER BY id) AS nth
                           FROM jobs WHERE state = 'queued'))
    SELECT c.number, c.id, c.name, c.bundle, c.created_s, c.round, c.deleted_s, c.deleted_by, c.note,
           (SELECT json_group_array(person) FROM (SELECT person FROM assignments a WHERE a.case_number = c.number
                                                  ORDER BY person)) AS assigned,
           (c.standing ->> '$.uncertainty') / nullif(c.standing ->> '$.foreground', 0) AS uncertain,
           (SELECT count(*) FROM (SELECT value ->> '$.axis', value ->> '$.index' FROM json_each(c.slices, '$.slices')
                                  UNION SELECT axis, plane FROM corrections k
                                  WHERE k.case_number = c.number AND k.state = 'done')) AS slices,
           (SELECT max(round) FROM segmentations s WHERE s.case_number = c.number) AS last_round,
           (SELECT count(*) FROM corrections k WHERE k.case_number = c.number AND k.state = 'done') AS done,
           (SELECT json_group_array(w.value) FROM images i, json_each(i.info, '$.warnings') w
            WHERE i.case_number = c.number) AS warnings,
           (SELECT verdict FROM reviews r WHERE r.case_number = c.number ORDER BY r.id DESC LIMIT 1) AS verdict,
           (SELECT r.work = w.work FROM reviews r JOIN case_work w ON w.case_number = r.case_number
            WHERE r.case_number = c.number ORDER BY r.id DESC LIMIT 1) AS holds,
           EXISTS (SELECT 1 FROM readings g WHERE g.case_number = c.number) AS is_reading,
           j.id AS job, j.kind, j.state, j.progress, j.message,
           (SELECT w.place - 1 + (SELECT count(*) FROM jobs WHERE state = 'running') FROM waiting w
            WHERE w.id = j.id) AS ahead
    FROM cases c LEFT JOIN jobs j ON j.id = (SELECT max(id) FROM jobs WHERE case_number = c.number)";

impl Store {
    /// Stores a case and queues its presegmentation, both or neither.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn create_case(&self, actor: &Actor, case: &NewCase) -> Result<CaseSummary, StoreError> {
        let id = CaseId::from(uuid::Uuid::new_v4().simple().to_string());
        let mut change = self.change().await?;
        let number: i64 = sqlx::query_scalar(
            "INSERT INTO cases (id, name, bundle, created_s, created_by, geometry, labels)
             VALUES (?, coalesce(?, ''), ?, ?, ?, ?, ?) RETURNING number",
        )
        .bind(id.as_str())
        .bind(&case.name)
        .bind(&case.bundle)
        .bind(now_s())
        .bind(actor)
        .bind(serde_json::to_string(&case.geometry)?)
        .bind(serde_json::to_string(&case.labels)?)
        .fetch_one(&mut *change)
        .await?;
        sqlx::query("UPDATE cases SET name = 'Case ' || number WHERE number = ? AND name = ''")
            .bind(number)
            .execute(&mut *change)
            .await?;
        for (channel, image) in (0_i64..).zip(&case.images) {
            sqlx::query("INSERT INTO images (case_number, channel, info, scan, voxels) VALUES (?, ?, ?, ?, ?)")
                .bind(number)
                .bind(channel)
                .bind(serde_json::to_string(&image.info)?)
                .bind(&image.scan)
                .bind(&image.voxels)
                .execute(&mut *change)
                .await?;
        }
        if let Some(Sealed(reference)) = &case.reference {
            sqlx::query("INSERT INTO series_references (case_number, reference) VALUES (?, ?)")
                .bind(number)
                .bind(reference)
                .execute(&mut *change)
                .await?;
        }
        queue::insert(&mut change, actor, number, JobKind::Presegment, None).await?;
        audit::record(&mut change, actor, "case.create", id.as_str()).await?;
        change.commit().await?;
        self.announce(&id);
        self.summary(&id).await
    }

    /// All cases, newest first.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn cases(&self) -> Result<Vec<CaseSummary>, StoreError> {
        let rows = sqlx::query(all_summaries("WHERE c.deleted_s IS NULL ORDER BY c.number DESC"))
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(summary).collect()
    }

    /// One case's line.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn summary(&self, id: &CaseId) -> Result<CaseSummary, StoreError> {
        let row = sqlx::query(all_summaries("WHERE c.deleted_s IS NULL AND c.id = ?"))
            .bind(id.as_str())
            .fetch_optional(&self.readers)
            .await?;
        summary(&row.ok_or(StoreError::NotFound("such case"))?)
    }

    /// Everything about a case beside its voxels.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn case(&self, id: &CaseId) -> Result<CaseDetail, StoreError> {
        let summary = self.summary(id).await?;
        let row = sqlx::query(
            "SELECT number, geometry, labels, slices, standing, next_slices,
                        EXISTS (SELECT 1 FROM series_references WHERE case_number = number) AS has_series
                 FROM open_cases WHERE id = ?",
        )
        .bind(id.as_str());
        let row = row.fetch_optional(&self.readers).await?.ok_or(StoreError::NotFound("such case"))?;
        let number: i64 = row.try_get("number")?;
        let images: Vec<String> = sqlx::query_scalar("SELECT info FROM images WHERE case_number = ? ORDER BY channel")
            .bind(number)
            .fetch_all(&self.readers)
            .await?;
        let rounds: Vec<u32> =
            sqlx::query_scalar("SELECT round FROM segmentations WHERE case_number = ? ORDER BY round")
                .bind(number)
                .fetch_all(&self.readers)
                .await?;
        let slices: Option<String> = row.try_get("slices")?;
        let corrections = self.corrections(id).await?;
        let refined_with = segmentations::refined_with(&self.readers, number, summary.rounds).await?;
        Ok(CaseDetail {
            summary,
            geometry: serde_json::from_str(row.try_get("geometry")?)?,
            images: images.iter().map(|info| serde_json::from_str(info)).collect::<Result<_, _>>()?,
            labels: serde_json::from_str(row.try_get("labels")?)?,
            versions: rounds.into_iter().map(version).collect(),
            slices: slices.map(|slices| serde_json::from_str(&slices)).transpose()?,
            has_series: row.try_get("has_series")?,
            next: rounds::next_round(&row, &corrections)?,
            corrections,
            refined_with,
            decisions: decisions::decisions(&self.readers, number).await?,
            effort: effort::effort(&self.readers, number).await?,
        })
    }

    /// Writes a note on a case, in the place of what stood there. Its words may name a patient: the record of who did
    /// what says only that.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn set_note(&self, actor: &Actor, id: &CaseId, note: &str) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        let number = number(&mut change, id).await?;
        sqlx::query("UPDATE cases SET note = ? WHERE number = ?").bind(note).bind(number).execute(&mut *change).await?;
        audit::record(&mut change, actor, "case.note", id.as_str()).await?;
        change.commit().await?;
        self.announce(id);
        Ok(())
    }

    /// What a DICOM SEG has to say of the series that the case came from, if it came from one and this was kept.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn series_reference(&self, id: &CaseId) -> Result<Option<Sealed>, StoreError> {
        let found: Option<Option<String>> = sqlx::query_scalar(
            "SELECT reference FROM open_cases LEFT JOIN series_references ON case_number = number WHERE id = ?",
        )
        .bind(id.as_str())
        .fetch_optional(&self.readers)
        .await?;
        Ok(found.ok_or(StoreError::NotFound("such case"))?.map(Sealed))
    }

    /// The cases that came from a series, newest first, as far as it was kept of them which that was.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn cases_of_series(&self, series: &str) -> Result<Vec<CaseId>, StoreError> {
        let ids: Vec<String> = sqlx::query_scalar(
            "SELECT id FROM open_cases JOIN series_references ON case_number = number
             WHERE json_extract(reference, '$.series') = ? ORDER BY number DESC",
        )
        .bind(series)
        .fetch_all(&self.readers)
        .await?;
        Ok(ids.into_iter().map(CaseId::from).collect())
    }

    /// The file of a channel as it was brought, without any text of its header.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn scan(&self, id: &CaseId, channel: u32) -> Result<Digest, StoreError> {
        sqlx::query_scalar(
            "SELECT scan FROM images JOIN open_cases ON number = case_number WHERE id = ? AND channel = ?",
        )
        .bind(id.as_str())
        .bind(channel)
        .fetch_optional(&self.readers)
        .await?
        .ok_or(StoreError::NotFound("such image"))
    }

    /// Voxels of a case along each stored axis.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn dims(&self, id: &CaseId) -> Result<[usize; 3], StoreError> {
        Ok(self.geometry(id).await?.dims)
    }

    /// The grid of a case.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn geometry(&self, id: &CaseId) -> Result<Geometry, StoreError> {
        let geometry: String = sqlx::query_scalar("SELECT geometry FROM open_cases WHERE id = ?")
            .bind(id.as_str())
            .fetch_optional(&self.readers)
            .await?
            .ok_or(StoreError::NotFound("such case"))?;
        Ok(serde_json::from_str(&geometry)?)
    }

    /// A channel's voxels, u16 each.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn image(&self, id: &CaseId, channel: u32) -> Result<Digest, StoreError> {
        sqlx::query_scalar(
            "SELECT voxels FROM images JOIN open_cases ON number = case_number WHERE id = ? AND channel = ?",
        )
        .bind(id.as_str())
        .bind(channel)
        .fetch_optional(&self.readers)
        .await?
        .ok_or(StoreError::NotFound("such image"))
    }

    /// The uncertainty of the newest segmentation, u8 per voxel.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], also before the presegmentation is done.
    pub async fn uncertainty(&self, id: &CaseId) -> Result<Digest, StoreError> {
        let found: Option<Option<Digest>> = sqlx::query_scalar("SELECT uncertainty FROM open_cases WHERE id = ?")
            .bind(id.as_str())
            .fetch_optional(&self.readers)
            .await?;
        found.flatten().ok_or(StoreError::NotFound("uncertainty of this case yet"))
    }
}

/// [`SUMMARY`] with the rest of the statement; both are constants of this file, values are bound.
fn all_summaries(rest: &'static str) -> AssertSqlSafe<String> {
    AssertSqlSafe(format!("{SUMMARY} {rest}"))
}

pub(super) fn summary(row: &SqliteRow) -> Result<CaseSummary, StoreError> {
    let last_round: Option<u32> = row.try_get("last_round")?;
    let job = match row.try_get::<Option<i64>, _>("job")? {
        None => None,
        Some(_) => Some(queue::job(row)?),
    };
    Ok(CaseSummary {
        id: row.try_get::<String, _>("id")?.into(),
        name: row.try_get("name")?,
        bundle: row.try_get("bundle")?,
        created_s: row.try_get("created_s")?,
        stage: stage(last_round, job.as_ref()),
        job,
        slices: row.try_get::<u32, _>("slices")? as usize,
        slices_done: row.try_get::<u32, _>("done")? as usize,
        rounds: last_round.unwrap_or(0),
        round: row.try_get("round")?,
        uncertain: row.try_get("uncertain")?,
        warnings: serde_json::from_str(row.try_get("warnings")?)?,
        note: row.try_get("note")?,
        assigned: serde_json::from_str(row.try_get("assigned")?)?,
        review: review::stands(row.try_get("verdict")?, row.try_get::<Option<bool>, _>("holds")?.unwrap_or(false))?,
        is_reading: row.try_get("is_reading")?,
    })
}

/// A stage is never stored: it follows from what there is and what is under way.
fn stage(last_round: Option<u32>, job: Option<&Job>) -> Stage {
    let refining =
        job.is_some_and(|job| job.kind == JobKind::Refine && matches!(job.state, JobState::Queued | JobState::Running));
    match last_round {
        None => Stage::Presegmenting,
        Some(_) if refining => Stage::Refining,
        Some(0) => Stage::Correcting,
        Some(_) => Stage::Refined,
    }
}
