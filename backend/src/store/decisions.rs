//! What the expert decides about a whole segmentation: the voxels of a refinement that are to be called otherwise.

use shared::api::Decision;
use shared::case::CaseId;
use shared::geometry::Geometry;
use shared::label::LabelSet;
use sqlx::{Row, SqliteConnection, SqlitePool};

use super::segmentations::{round, version};
use super::{Actor, Store, StoreError, audit, now_s, number};

impl Store {
    /// Saves what is decided about a segmentation, in the place of what was decided before; `decision.revision` is what
    /// it is based on. Saying the same again is answered like the first time.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such segmentation, [`StoreError::Patch`] if the patch does not fit it,
    /// [`StoreError::Stale`] if something else was decided since.
    pub async fn decide(&self, actor: &Actor, id: &CaseId, decision: &Decision) -> Result<Decision, StoreError> {
        let missing = StoreError::NotFound("such segmentation");
        let Some(round) = round(&decision.version) else { return Err(missing) };
        let mut change = self.change().await?;
        let number = number(&mut change, id).await?;
        let row = sqlx::query(
            "SELECT geometry, labels FROM cases
             WHERE number = ?1 AND EXISTS (SELECT 1 FROM segmentations WHERE case_number = ?1 AND round = ?2)",
        );
        let row = row.bind(number).bind(round).fetch_optional(&mut *change).await?.ok_or(missing)?;
        let geometry: Geometry = serde_json::from_str(row.try_get("geometry")?)?;
        let labels: LabelSet = serde_json::from_str(row.try_get("labels")?)?;
        decision.patch.check(geometry.voxel_count(), &labels)?;
        let stored = holding(&mut change, number, round).await?;
        let revision = stored.as_ref().map_or(0, |stored| stored.revision);
        if let Some(stored) = stored
            .filter(|stored| stored.revision == decision.revision.saturating_add(1) && stored.patch == decision.patch)
        {
            change.abandon().await?;
            return Ok(stored);
        }
        if revision != decision.revision {
            return Err(StoreError::Stale { stored: revision, base: decision.revision });
        }
        let saved = Decision { revision: revision + 1, ..decision.clone() };
        sqlx::query(
            "INSERT INTO decisions (case_number, round, revision, patch, saved_s, saved_by) VALUES (?, ?, ?, ?, ?, ?)
             ON CONFLICT (case_number, round) DO UPDATE SET revision = excluded.revision, patch = excluded.patch,
                 saved_s = excluded.saved_s, saved_by = excluded.saved_by",
        )
        .bind(number)
        .bind(round)
        .bind(saved.revision.cast_signed())
        .bind(serde_json::to_string(&saved.patch)?)
        .bind(now_s())
        .bind(actor)
        .execute(&mut *change)
        .await?;
        let object = format!("{id} {} revision {}, {} voxels", saved.version, saved.revision, saved.patch.len());
        audit::record(&mut change, actor, "segmentation.decide", &object).await?;
        change.commit().await?;
        self.announce(id);
        Ok(saved)
    }
}

/// What is decided about a case's segmentations, the oldest first.
pub(super) async fn decisions(readers: &SqlitePool, number: i64) -> Result<Vec<Decision>, StoreError> {
    let rows = sqlx::query("SELECT round, revision, patch FROM decisions WHERE case_number = ? ORDER BY round");
    let rows = rows.bind(number).fetch_all(readers).await?;
    rows.iter().map(|row| decision(row.try_get("round")?, row)).collect()
}

pub(super) async fn holding(
    connection: &mut SqliteConnection,
    number: i64,
    round: u32,
) -> Result<Option<Decision>, StoreError> {
    let row = sqlx::query("SELECT revision, patch FROM decisions WHERE case_number = ? AND round = ?");
    let row = row.bind(number).bind(round).fetch_optional(connection).await?;
    row.as_ref().map(|row| decision(round, row)).transpose()
}

fn decision(round: u32, row: &sqlx::sqlite::SqliteRow) -> Result<Decision, StoreError> {
    Ok(Decision {
        version: version(round),
        revision: row.try_get::<i64, _>("revision")?.cast_unsigned(),
        patch: serde_json::from_str(row.try_get("patch")?)?,
    })
}
