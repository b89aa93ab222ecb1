//! Second readings: a share of a case's slices, read by somebody who does not see the first reading.
//!
//! A second reading is a case of its own with the same scan and presegmentation. What one person says of it never
//! stands in the other's case, so nothing that is shown of either can tell the other one.

use shared::acquisition::{RankedSlice, SliceList};
use shared::agreement::agreement;
use shared::api::{NewReading, Reading, Role};
use shared::case::CaseId;
use shared::correction::CorrectedSlice;
use shared::geometry::{Geometry, Plane};
use shared::label::LabelSet;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::{Actor, Store, StoreError, audit, corrections, now_s, number, to_word};

impl Store {
    /// Asks somebody to read a share of the slices that are done a second time. Which ones is left to chance.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::NotNow`] if no slice is done, or the reader has seen, or may see, what
    /// the first one has said.
    pub async fn ask_reading(
        &self,
        actor: &Actor,
        id: &CaseId,
        NewReading { reader, share }: &NewReading,
    ) -> Result<Reading, StoreError> {
        let mut change = self.change().await?;
        let original = number(&mut change, id).await?;
        if is_one(&mut change, original).await? {
            return Err(StoreError::NotNow("this is a second reading; ask for another of the case itself"));
        }
        check_is_blind(&mut change, original, reader).await?;
        let first = drawn(&mut change, original, *share).await?;
        let planes: Vec<Plane> = first.iter().map(|slice| slice.plane).collect();
        let case = CaseId::from(uuid::Uuid::new_v4().simple().to_string());
        let twin = copy(&mut change, actor, original, &case, &planes).await?;
        sqlx::query("INSERT INTO assignments (case_number, person) VALUES (?, ?)")
            .bind(twin)
            .bind(reader)
            .execute(&mut *change)
            .await?;
        let asked_s = now_s();
        sqlx::query(
            "INSERT INTO readings (case_number, original, reader, asked_by, asked_s, slices) VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(twin)
        .bind(original)
        .bind(reader)
        .bind(actor)
        .bind(asked_s)
        .bind(serde_json::to_string(&first)?)
        .execute(&mut *change)
        .await?;
        audit::record(&mut change, actor, "reading.ask", &format!("{id} {case} {reader}")).await?;
        change.commit().await?;
        self.announce(&case);
        self.announce_said(id);
        Ok(Reading {
            case,
            reader: reader.clone(),
            asked_by: actor.as_str().to_owned(),
            asked_s,
            slices: planes.len(),
            finished_s: None,
            agreement: None,
        })
    }
}

/// Whoever reads a second time sees no case but their own, and has had no part in this one.
async fn check_is_blind(connection: &mut SqliteConnection, original: i64, reader: &str) -> Result<(), StoreError> {
    let role: Option<String> = sqlx::query_scalar("SELECT role FROM people WHERE name = ? AND NOT disabled")
        .bind(reader)
        .fetch_optional(&mut *connection)
        .await?;
    if role.ok_or(StoreError::NotFound("such person"))? != to_word(&Role::Annotator)? {
        return Err(StoreError::NotNow(
            "reviewers and administrators see every case, so they cannot read blind; choose an annotator",
        ));
    }
    let knows_it: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM cases WHERE number = ?1 AND created_by = ?2)
             OR EXISTS (SELECT 1 FROM assignments WHERE case_number = ?1 AND person = ?2)
             OR EXISTS (SELECT 1 FROM slice_versions WHERE case_number = ?1 AND saved_by = ?2)",
    )
    .bind(original)
    .bind(reader)
    .fetch_one(&mut *connection)
    .await?;
    if knows_it {
        return Err(StoreError::NotNow("this case is that person's, or has been; choose somebody else"));
    }
    let has_one: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM readings WHERE original = ? AND reader = ?)")
        .bind(original)
        .bind(reader)
        .fetch_one(connection)
        .await?;
    if has_one {
        return Err(StoreError::NotNow("that person has been asked already; choose somebody else"));
    }
    Ok(())
}

/// A share of the slices that are done, at least one, in no order.
async fn drawn(
    connection: &mut SqliteConnection,
    original: i64,
    share: f64,
) -> Result<Vec<CorrectedSlice>, StoreError> {
    let rows: Vec<String> = sqlx::query_scalar(
        "WITH done AS (SELECT version FROM corrections WHERE case_number = ?1 AND state = 'done')
         SELECT slice FROM slice_versions WHERE id IN (
             SELECT version FROM done ORDER BY random()
             LIMIT (SELECT max(1, CAST(round(count(*) * ?2) AS INTEGER)) FROM done))
         ORDER BY random()",
    )
    .bind(original)
    .bind(share.clamp(0.0, 1.0))
    .fetch_all(connection)
    .await?;
    if rows.is_empty() {
        return Err(StoreError::NotNow("no slice of this case is done yet; there is nothing to compare with"));
    }
    rows.iter().map(|slice| Ok(serde_json::from_str(slice)?)).collect()
}

/// The scan and its presegmentation once more, with these slices offered and nothing said of them.
async fn copy(
    connection: &mut SqliteConnection,
    actor: &Actor,
    original: i64,
    id: &CaseId,
    planes: &[Plane],
) -> Result<i64, StoreError> {
    let offered: String = sqlx::query_scalar("SELECT slices FROM cases WHERE number = ?")
        .bind(original)
        .fetch_one(&mut *connection)
        .await?;
    let offered: SliceList = serde_json::from_str(&offered)?;
    let slice = |(rank, plane): (usize, &Plane)| RankedSlice {
        axis: plane.axis,
        index: plane.index,
        score: 0.0,
        rank,
        settles: 0.0,
        component: None,
    };
    let slices = SliceList { slices: (1..).zip(planes).map(slice).collect(), beyond: Vec::new(), ..offered };
    let twin: i64 = sqlx::query_scalar(
        "INSERT INTO cases (id, name, bundle, created_s, created_by, geometry, labels, slices, uncertainty)
         SELECT ?, name, bundle, ?, ?, geometry, labels, ?, coalesce(
             (SELECT s.uncertainty FROM segmentations s WHERE s.case_number = number AND s.round = 0), uncertainty)
         FROM cases WHERE number = ? RETURNING number",
    )
    .bind(id.as_str())
    .bind(now_s())
    .bind(actor)
    .bind(serde_json::to_string(&slices)?)
    .bind(original)
    .fetch_one(&mut *connection)
    .await?;
    for statement in [
        "INSERT INTO images (case_number, channel, info, scan, voxels)
         SELECT ?, channel, info, scan, voxels FROM images WHERE case_number = ?",
        "INSERT INTO segmentations (case_number, round, labels, nifti, provenance, uncertainty)
         SELECT ?, round, labels, nifti, provenance, uncertainty FROM segmentations
         WHERE case_number = ? AND round = 0",
    ] {
        sqlx::query(statement).bind(twin).bind(original).execute(&mut *connection).await?;
    }
    Ok(twin)
}

/// Whether a case is a second reading.
pub(super) async fn is_one(connection: &mut SqliteConnection, number: i64) -> Result<bool, StoreError> {
    let found = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM readings WHERE case_number = ?)").bind(number);
    Ok(found.fetch_one(connection).await?)
}

/// Whether somebody reads slices of a case blind, so that the case must not become theirs to see.
pub(super) async fn reads_blind(
    connection: &mut SqliteConnection,
    original: i64,
    reader: &str,
) -> Result<bool, StoreError> {
    let found = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM readings WHERE original = ? AND reader = ? AND finished_s IS NULL)",
    );
    Ok(found.bind(original).bind(reader).fetch_one(connection).await?)
}

/// Whether somebody reads slices of any case blind.
pub(super) async fn reads_any_blind(connection: &mut SqliteConnection, reader: &str) -> Result<bool, StoreError> {
    let found = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM readings WHERE reader = ? AND finished_s IS NULL)")
        .bind(reader);
    Ok(found.fetch_one(connection).await?)
}

/// Finishes a second reading: what it says now is what is compared, whatever is painted later. Answers which case it is
/// of; nothing where this is no second reading.
pub(super) async fn finish(
    connection: &mut SqliteConnection,
    actor: &Actor,
    number: i64,
) -> Result<Option<CaseId>, StoreError> {
    let row = sqlx::query(
        "SELECT r.slices, c.id FROM readings r JOIN cases c ON c.number = r.original WHERE r.case_number = ?",
    );
    let Some(row) = row.bind(number).fetch_optional(&mut *connection).await? else { return Ok(None) };
    let first: Vec<CorrectedSlice> = serde_json::from_str(row.try_get("slices")?)?;
    let mut second = corrections::done(corrections::latest(&mut *connection, number).await?);
    second.retain(|slice| first.iter().any(|known| known.plane == slice.plane));
    if second.len() < first.len() {
        return Err(StoreError::NotNow("some slices of this second reading are not done; mark each that is right"));
    }
    sqlx::query("UPDATE readings SET finished_s = ?, second = ? WHERE case_number = ?")
        .bind(now_s())
        .bind(serde_json::to_string(&second)?)
        .bind(number)
        .execute(&mut *connection)
        .await?;
    let original: String = row.try_get("id")?;
    audit::record(connection, actor, "reading.finish", &original).await?;
    Ok(Some(original.into()))
}

/// Second readings of a case, the oldest first.
pub(super) async fn of(connection: &mut SqliteConnection, original: i64) -> Result<Vec<Reading>, StoreError> {
    let rows = sqlx::query(
        "SELECT t.id, r.reader, r.asked_by, r.asked_s, r.slices, r.finished_s, r.second, t.geometry, t.labels
         FROM readings r JOIN open_cases t ON t.number = r.case_number WHERE r.original = ? ORDER BY r.case_number",
    );
    rows.bind(original).fetch_all(connection).await?.iter().map(reading).collect()
}

fn reading(row: &SqliteRow) -> Result<Reading, StoreError> {
    let first: Vec<CorrectedSlice> = serde_json::from_str(row.try_get("slices")?)?;
    let second: Option<String> = row.try_get("second")?;
    let agreement = match second {
        None => None,
        Some(second) => {
            let second: Vec<CorrectedSlice> = serde_json::from_str(&second)?;
            let geometry: Geometry = serde_json::from_str(row.try_get("geometry")?)?;
            let labels: LabelSet = serde_json::from_str(row.try_get("labels")?)?;
            Some(agreement(&geometry, &labels, &first, &second)?)
        }
    };
    Ok(Reading {
        case: row.try_get::<String, _>("id")?.into(),
        reader: row.try_get("reader")?,
        asked_by: row.try_get("asked_by")?,
        asked_s: row.try_get("asked_s")?,
        slices: first.len(),
        finished_s: row.try_get("finished_s")?,
        agreement,
    })
}
