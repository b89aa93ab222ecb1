//! What the expert says. Every save is a version of its slice; the latest is what holds.

use shared::case::CaseId;
use shared::correction::{CorrectedSlice, SliceState};
use shared::geometry::Plane;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row, SqliteConnection};

use super::{Actor, Store, StoreError, now_s, number, to_word, versions};

impl Store {
    /// The slices that were saved, as they were saved last.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn corrections(&self, id: &CaseId) -> Result<Vec<CorrectedSlice>, StoreError> {
        let mut connection = self.readers.acquire().await?;
        let number = number(&mut connection, id).await?;
        latest(&mut connection, number).await
    }

    /// Saves a slice; `slice.revision` is what it is based on. Saying the same again is answered like the first time,
    /// so that a client whose answer was lost may ask again. What is refused because its base is not the latest is kept
    /// beside it, among the slice's versions.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such case, [`StoreError::NotNow`] before it is presegmented,
    /// [`StoreError::Correction`] if the slice does not fit it, [`StoreError::Stale`] if the slice was saved from
    /// elsewhere since.
    pub async fn save_correction(
        &self,
        actor: &Actor,
        id: &CaseId,
        slice: &CorrectedSlice,
    ) -> Result<CorrectedSlice, StoreError> {
        self.save(actor, id, slice).await
    }

    /// Saves slices that belong together: all of them or none. Where one is refused because its base is not the latest,
    /// all are kept among their slices' versions.
    ///
    /// # Errors
    /// As [`Store::save_correction`].
    pub async fn save_corrections(
        &self,
        actor: &Actor,
        id: &CaseId,
        slices: &[CorrectedSlice],
    ) -> Result<(), StoreError> {
        self.save_all(actor, id, slices).await
    }

    /// Says again what a version says, as the slice's latest; `base` is the revision that it is to follow.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or as [`Store::save_correction`].
    pub async fn bring_back(
        &self,
        actor: &Actor,
        id: &CaseId,
        plane: Plane,
        version: i64,
        base: u64,
    ) -> Result<CorrectedSlice, StoreError> {
        let slice = self.slice_version(id, plane, version).await?;
        self.save_correction(actor, id, &CorrectedSlice { revision: base, ..slice }).await
    }
}

/// What holds of a slice, and what it was based on.
pub(super) struct Stored {
    pub(super) slice: CorrectedSlice,
    pub(super) base: u64,
}

/// Every slice's version that holds; the only place that says which one that is.
const HOLDING: &str = "SELECT v.slice, v.base, v.revision FROM corrections k JOIN slice_versions v ON v.id = k.version";

fn stored(row: &SqliteRow) -> Result<Stored, StoreError> {
    Ok(Stored { slice: versions::slice(row)?, base: row.try_get::<i64, _>("base")?.cast_unsigned() })
}

/// What holds of one slice.
pub(super) async fn newest(
    connection: &mut SqliteConnection,
    number: i64,
    plane: Plane,
) -> Result<Option<Stored>, StoreError> {
    let row = sqlx::query(AssertSqlSafe(format!("{HOLDING} WHERE k.case_number = ? AND k.axis = ? AND k.plane = ?")))
        .bind(number)
        .bind(plane.axis.name())
        .bind(plane.index as i64)
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(stored).transpose()
}

/// What holds of every saved slice, in the order in which the slices were saved last, so that the later word wins where
/// planes cross.
pub(super) async fn latest(connection: &mut SqliteConnection, number: i64) -> Result<Vec<CorrectedSlice>, StoreError> {
    let rows = sqlx::query(AssertSqlSafe(format!("{HOLDING} WHERE k.case_number = ? ORDER BY k.version"))).bind(number);
    rows.fetch_all(connection).await?.iter().map(|row| Ok(stored(row)?.slice)).collect()
}

/// Puts a version in the place of what held before.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    actor: &Actor,
    number: i64,
    base: u64,
    slice: &CorrectedSlice,
) -> Result<(), StoreError> {
    let (axis, plane) = (slice.plane.axis.name(), slice.plane.index as i64);
    let version: i64 = sqlx::query_scalar(
        "INSERT INTO slice_versions (case_number, axis, plane, base, revision, slice, saved_s, saved_by)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
    )
    .bind(number)
    .bind(axis)
    .bind(plane)
    .bind(base.cast_signed())
    .bind(slice.revision.cast_signed())
    .bind(serde_json::to_string(slice)?)
    .bind(now_s())
    .bind(actor)
    .fetch_one(&mut *connection)
    .await?;
    sqlx::query(
        "INSERT INTO corrections (case_number, axis, plane, version, state) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (case_number, axis, plane) DO UPDATE SET version = excluded.version, state = excluded.state",
    )
    .bind(number)
    .bind(axis)
    .bind(plane)
    .bind(version)
    .bind(to_word(&slice.state)?)
    .execute(connection)
    .await?;
    Ok(())
}

/// Those that the expert vouches for.
pub(super) fn done(slices: Vec<CorrectedSlice>) -> Vec<CorrectedSlice> {
    slices.into_iter().filter(|slice| slice.state == SliceState::Done).collect()
}
