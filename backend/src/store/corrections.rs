//! What the expert says. Every save stays; the highest revision of a slice is what holds.

use shared::case::CaseId;
use shared::correction::{CorrectedSlice, SliceState};
use shared::geometry::Geometry;
use shared::label::LabelSet;
use sqlx::{Row, SqliteConnection};

use super::{Store, StoreError, cases, now_s};

impl Store {
    /// The slices that were saved, as they were saved last.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn corrections(&self, id: &CaseId) -> Result<Vec<CorrectedSlice>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let number = cases::number(&mut connection, id).await?;
        latest(&mut connection, number).await
    }

    /// Saves a slice; `slice.revision` is what it is based on. Saying the same again is answered like the first time, so that a client whose answer
    /// was lost may ask again.
    ///
    /// # Errors
    /// [`StoreError::Stale`] if the slice was saved from elsewhere since, [`StoreError::Correction`] if it does not fit the case.
    pub async fn save_correction(&self, id: &CaseId, slice: &CorrectedSlice) -> Result<CorrectedSlice, StoreError> {
        let mut tx = self.write().await?;
        let number = cases::number(&mut tx, id).await?;
        let row = sqlx::query("SELECT geometry, labels, slices IS NOT NULL AS open FROM cases WHERE number = ?")
            .bind(number)
            .fetch_one(&mut *tx)
            .await?;
        if !row.try_get::<bool, _>("open")? {
            return Err(StoreError::NotNow("the presegmentation has not finished; there is nothing to correct yet"));
        }
        let geometry: Geometry = serde_json::from_str(row.try_get("geometry")?)?;
        let labels: LabelSet = serde_json::from_str(row.try_get("labels")?)?;
        slice.labels(&geometry, &labels)?;
        let stored = latest(&mut tx, number).await?.into_iter().find(|stored| stored.plane == slice.plane);
        let revision = stored.as_ref().map_or(0, |stored| stored.revision);
        let saved = CorrectedSlice { revision: slice.revision.saturating_add(1), ..slice.clone() };
        if stored.as_ref() == Some(&saved) {
            return Ok(saved);
        }
        if revision != slice.revision {
            return Err(StoreError::Stale { stored: revision, base: slice.revision });
        }
        sqlx::query("INSERT INTO corrections (case_number, axis, plane, revision, slice, saved_s) VALUES (?, ?, ?, ?, ?, ?)")
            .bind(number)
            .bind(slice.plane.axis.name())
            .bind(slice.plane.index as i64)
            .bind(saved.revision as i64)
            .bind(serde_json::to_string(&saved)?)
            .bind(now_s())
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        self.announce(id).await;
        Ok(saved)
    }
}

/// The latest revision of every saved slice, in the order in which the slices were saved last, so that the later word wins where planes cross.
pub(super) async fn latest(connection: &mut SqliteConnection, number: i64) -> Result<Vec<CorrectedSlice>, StoreError> {
    let rows: Vec<String> = sqlx::query_scalar(
        "SELECT slice FROM corrections k WHERE case_number = ? AND revision =
             (SELECT max(revision) FROM corrections l WHERE l.case_number = k.case_number AND l.axis = k.axis AND l.plane = k.plane)
         ORDER BY rowid",
    )
    .bind(number)
    .fetch_all(connection)
    .await?;
    Ok(rows.iter().map(|row| serde_json::from_str(row)).collect::<Result<_, _>>()?)
}

/// Those that the expert vouches for.
pub(super) fn done(slices: Vec<CorrectedSlice>) -> Vec<CorrectedSlice> {
    slices.into_iter().filter(|slice| slice.state == SliceState::Done).collect()
}
