//! What correcting has taken, slice by slice. Each visit of a page says its own numbers, again and again as they grow,
//! so that an answer that was lost counts nothing twice.

use std::collections::BTreeMap;

use shared::case::CaseId;
use shared::effort::SliceEffort;
use shared::geometry::{Geometry, Plane};
use sqlx::{Row, SqlitePool};

use super::{Actor, Store, StoreError, now_s, number};

impl Store {
    /// Notes what the slices have taken on one visit of a page, in the place of what that visit has said before.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Correction`] for a plane that is none.
    pub async fn note_effort(
        &self,
        actor: &Actor,
        id: &CaseId,
        page: &str,
        slices: &[SliceEffort],
    ) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        let number = number(&mut change, id).await?;
        let geometry: String = sqlx::query_scalar("SELECT geometry FROM cases WHERE number = ?")
            .bind(number)
            .fetch_one(&mut *change)
            .await?;
        let geometry: Geometry = serde_json::from_str(&geometry)?;
        for slice in slices {
            geometry.check_plane(slice.plane).map_err(shared::correction::CorrectionError::from)?;
            sqlx::query(
                "INSERT INTO effort (case_number, axis, plane, page, effort, saved_s, saved_by)
                 VALUES (?, ?, ?, ?, ?, ?, ?)
                 ON CONFLICT (case_number, axis, plane, page) DO UPDATE SET effort = excluded.effort,
                     saved_s = excluded.saved_s, saved_by = excluded.saved_by",
            )
            .bind(number)
            .bind(slice.plane.axis.name())
            .bind(slice.plane.index as i64)
            .bind(page)
            .bind(serde_json::to_string(slice)?)
            .bind(now_s())
            .bind(actor)
            .execute(&mut *change)
            .await?;
        }
        change.commit().await
    }
}

/// What each slice has taken over all visits, by plane.
pub(super) async fn effort(readers: &SqlitePool, number: i64) -> Result<Vec<SliceEffort>, StoreError> {
    let rows = sqlx::query("SELECT effort FROM effort WHERE case_number = ? ORDER BY saved_s, rowid").bind(number);
    let mut all: BTreeMap<Plane, SliceEffort> = BTreeMap::new();
    for row in rows.fetch_all(readers).await? {
        let visit: SliceEffort = serde_json::from_str(row.try_get("effort")?)?;
        let before = all.get(&visit.plane).copied().unwrap_or(SliceEffort::none(visit.plane));
        all.insert(visit.plane, visit.after(before));
    }
    Ok(all.into_values().collect())
}
