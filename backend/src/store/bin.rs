//! The bin: a deleted case can be brought back for a while.

use shared::api::{BinnedCase, CaseSummary, Event};
use shared::case::CaseId;
use sqlx::{AssertSqlSafe, Row};

use super::cases::{SUMMARY, summary};
use super::{Actor, Digest, Store, StoreError, audit, now_s, queue};

/// How long a deleted case can be brought back.
const KEPT_S: i64 = 7 * 24 * 3600;

impl Store {
    /// Puts a case into the bin; its jobs are called off.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn delete_case(&self, actor: &Actor, id: &CaseId) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        let number = super::number(&mut change, id).await?;
        sqlx::query("UPDATE cases SET deleted_s = ?, deleted_by = ? WHERE number = ?")
            .bind(now_s())
            .bind(actor)
            .bind(number)
            .execute(&mut *change)
            .await?;
        queue::call_off(&mut change, actor, number).await?;
        audit::record(&mut change, actor, "case.delete", id.as_str()).await?;
        change.commit().await?;
        tracing::info!(case = id.as_str(), actor = actor.as_str(), "deleted");
        // Fails only if nobody listens.
        let _ = self.events.send(Event::Deleted { id: id.clone() });
        Ok(())
    }

    /// Deleted cases that can be brought back, the latest first.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn bin(&self) -> Result<Vec<BinnedCase>, StoreError> {
        let rows = sqlx::query(AssertSqlSafe(format!(
            "{SUMMARY} WHERE c.deleted_s IS NOT NULL ORDER BY c.deleted_s DESC, c.number DESC"
        )));
        let binned = |row| {
            let deleted_s: i64 = Row::try_get(row, "deleted_s")?;
            Ok(BinnedCase {
                summary: summary(row)?,
                deleted_s,
                deleted_by: row.try_get::<Option<String>, _>("deleted_by")?.unwrap_or_default(),
                until_s: deleted_s + KEPT_S,
            })
        };
        rows.fetch_all(&self.readers).await?.iter().map(binned).collect()
    }

    /// Takes a case out of the bin. A presegmentation that was called off when it was deleted is queued again.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn undelete_case(&self, actor: &Actor, id: &CaseId) -> Result<CaseSummary, StoreError> {
        let mut change = self.change().await?;
        let number: Option<i64> = sqlx::query_scalar(
            "UPDATE cases SET deleted_s = NULL, deleted_by = NULL WHERE id = ? AND deleted_s IS NOT NULL \
             RETURNING number",
        )
        .bind(id.as_str())
        .fetch_optional(&mut *change)
        .await?;
        let number = number.ok_or(StoreError::NotFound("such case in the bin"))?;
        queue::take_up_again(&mut change, actor, number).await?;
        audit::record(&mut change, actor, "case.restore", id.as_str()).await?;
        change.commit().await?;
        tracing::info!(case = id.as_str(), actor = actor.as_str(), "brought back");
        self.announce(id);
        self.summary(id).await
    }

    /// Deletes a case of the bin for good, with all volumes that no other case has.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn purge_case(&self, actor: &Actor, id: &CaseId) -> Result<(), StoreError> {
        let _alone = self.sweeping.write().await;
        let mut change = self.change().await?;
        let blobs: Vec<Digest> = sqlx::query_scalar(
            "WITH binned AS (SELECT number, uncertainty FROM cases WHERE id = ?1 AND deleted_s IS NOT NULL)
             SELECT scan FROM images JOIN binned ON number = case_number
             UNION SELECT voxels FROM images JOIN binned ON number = case_number
             UNION SELECT s.labels FROM segmentations s JOIN binned ON number = case_number
             UNION SELECT nifti FROM segmentations JOIN binned ON number = case_number
             UNION SELECT adapted_weights FROM segmentations JOIN binned ON number = case_number
                 WHERE adapted_weights IS NOT NULL
             UNION SELECT s.uncertainty FROM segmentations s JOIN binned ON number = case_number
                 WHERE s.uncertainty IS NOT NULL
             UNION SELECT uncertainty FROM binned WHERE uncertainty IS NOT NULL",
        )
        .bind(id.as_str())
        .fetch_all(&mut *change)
        .await?;
        let purged = sqlx::query("DELETE FROM cases WHERE id = ? AND deleted_s IS NOT NULL")
            .bind(id.as_str())
            .execute(&mut *change)
            .await?;
        if purged.rows_affected() == 0 {
            return Err(StoreError::NotFound("such case in the bin"));
        }
        audit::record(&mut change, actor, "case.purge", id.as_str()).await?;
        let named = super::named_blobs(&mut change).await?;
        change.commit().await?;
        tracing::info!(case = id.as_str(), actor = actor.as_str(), "deleted for good");
        // The case is gone, whatever becomes of its files: what cannot be removed now is found at the next start.
        for blob in blobs.iter().filter(|blob| !named.contains(blob)) {
            if let Err(error) = self.packed.forget(blob).and_then(|()| self.blobs.remove(blob)) {
                tracing::warn!("the volume {blob} of a deleted case cannot be removed: {error}");
            }
        }
        Ok(())
    }

    /// Deletes for good what has been in the bin for its time.
    pub(super) async fn empty_bin(&self) -> Result<(), StoreError> {
        let over: Vec<String> = sqlx::query_scalar("SELECT id FROM cases WHERE deleted_s < ?")
            .bind(now_s() - KEPT_S)
            .fetch_all(&self.readers)
            .await?;
        for id in over {
            self.purge_case(&Actor::server(), &id.into()).await?;
        }
        Ok(())
    }
}
