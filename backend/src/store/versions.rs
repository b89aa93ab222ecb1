//! A slice's versions: what was said of it earlier, and what was refused because somebody else had been at it.

use shared::api::SliceVersion;
use shared::case::CaseId;
use shared::correction::CorrectedSlice;
use shared::geometry::Plane;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::{Actor, Store, StoreError, now_s, number};

impl Store {
    /// All versions of a slice, the latest first.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such case.
    pub async fn slice_versions(&self, id: &CaseId, plane: Plane) -> Result<Vec<SliceVersion>, StoreError> {
        let mut connection = self.readers.acquire().await?;
        let number = number(&mut connection, id).await?;
        let rows = sqlx::query(
            "SELECT v.id, v.base, v.revision, v.slice ->> '$.state' AS state, v.saved_s, v.saved_by,
                    k.version IS NOT NULL AS holds
             FROM slice_versions v LEFT JOIN corrections k ON k.version = v.id
             WHERE v.case_number = ? AND v.axis = ? AND v.plane = ? ORDER BY v.id DESC",
        )
        .bind(number)
        .bind(plane.axis.name())
        .bind(plane.index as i64)
        .fetch_all(&mut *connection)
        .await?;
        rows.iter().map(version).collect()
    }

    /// One of a slice's versions, as it was said.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn slice_version(&self, id: &CaseId, plane: Plane, version: i64) -> Result<CorrectedSlice, StoreError> {
        let mut connection = self.readers.acquire().await?;
        let number = number(&mut connection, id).await?;
        said(&mut connection, number, plane, version).await
    }
}

fn version(row: &SqliteRow) -> Result<SliceVersion, StoreError> {
    Ok(SliceVersion {
        id: row.try_get("id")?,
        base: row.try_get::<i64, _>("base")?.cast_unsigned(),
        revision: row.try_get::<Option<i64>, _>("revision")?.map(i64::cast_unsigned),
        state: super::from_word(row.try_get("state")?)?,
        saved_s: row.try_get("saved_s")?,
        saved_by: row.try_get("saved_by")?,
        holds: row.try_get("holds")?,
    })
}

async fn said(
    connection: &mut SqliteConnection,
    number: i64,
    plane: Plane,
    version: i64,
) -> Result<CorrectedSlice, StoreError> {
    let row = sqlx::query(
        "SELECT slice, base, revision FROM slice_versions WHERE id = ? AND case_number = ? AND axis = ? AND plane = ?",
    )
    .bind(version)
    .bind(number)
    .bind(plane.axis.name())
    .bind(plane.index as i64)
    .fetch_optional(connection)
    .await?
    .ok_or(StoreError::NotFound("such version of this slice; it may have been thinned out"))?;
    slice(&row)
}

/// A slice from a version's row: with its revision, or with its base where it was refused.
pub(super) fn slice(row: &SqliteRow) -> Result<CorrectedSlice, StoreError> {
    let said: CorrectedSlice = serde_json::from_str(row.try_get("slice")?)?;
    let revision = row.try_get::<Option<i64>, _>("revision")?.map_or(said.revision, i64::cast_unsigned);
    Ok(CorrectedSlice { revision, ..said })
}

/// Keeps what is refused, once however often it is sent.
pub(super) async fn keep_refused(
    connection: &mut SqliteConnection,
    actor: &Actor,
    number: i64,
    slice: &CorrectedSlice,
) -> Result<(), StoreError> {
    let text = serde_json::to_string(slice)?;
    sqlx::query(
        "INSERT INTO slice_versions (case_number, axis, plane, base, slice, saved_s, saved_by)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7
         WHERE NOT EXISTS (SELECT 1 FROM slice_versions INDEXED BY slice_versions_by_revision
                           WHERE case_number = ?1 AND axis = ?2 AND plane = ?3 AND revision IS NULL AND base = ?4
                                 AND slice = ?5)",
    )
    .bind(number)
    .bind(slice.plane.axis.name())
    .bind(slice.plane.index as i64)
    .bind(slice.revision.cast_signed())
    .bind(text)
    .bind(now_s())
    .bind(actor)
    .execute(connection)
    .await?;
    Ok(())
}
