//! Rounds: what refinement taught, and the slices that come next.

use shared::acquisition::{SliceList, Standing, expected_gain};
use shared::api::{CaseDetail, NextRound};
use shared::case::CaseId;
use shared::correction::{CorrectedSlice, SliceState};
use shared::geometry::Plane;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{Actor, Store, StoreError, audit, corrections, number, queue};

impl Store {
    /// Offers the slices that the last refinement chose, without those that were done or skipped since. What was
    /// corrected stays.
    ///
    /// # Errors
    /// [`StoreError::NotNow`] if no refinement has finished since this round began, a job is under way, or no slice is
    /// left.
    pub async fn begin_round(&self, actor: &Actor, id: &CaseId) -> Result<CaseDetail, StoreError> {
        let mut change = self.change().await?;
        let number = number(&mut change, id).await?;
        queue::check_idle(&mut change, number).await?;
        let next: Option<String> = sqlx::query_scalar("SELECT next_slices FROM cases WHERE number = ?")
            .bind(number)
            .fetch_one(&mut *change)
            .await?;
        let next = next.ok_or(StoreError::NotNow(
            "the next slices are chosen by a refinement; refine with the slices of this round first",
        ))?;
        let next: SliceList = serde_json::from_str(&next)?;
        let slices = next.without(&answered(&corrections::latest(&mut change, number).await?));
        if slices.slices.is_empty() {
            return Err(StoreError::NotNow(
                "there are no slices left to offer; every one that was chosen is corrected",
            ));
        }
        sqlx::query(
            "UPDATE cases SET slices = ?, next_slices = NULL, round = round + 1, round_by = ? WHERE number = ?",
        )
        .bind(serde_json::to_string(&slices)?)
        .bind(actor)
        .bind(number)
        .execute(&mut *change)
        .await?;
        audit::record(&mut change, actor, "round.begin", id.as_str()).await?;
        change.commit().await?;
        self.announce(id);
        self.case(id).await
    }
}

/// What another round would bring, from a case's row; nothing before a refinement, after the round has begun, or where
/// no slice is left.
pub(super) fn next_round(row: &SqliteRow, corrected: &[CorrectedSlice]) -> Result<Option<NextRound>, StoreError> {
    let (slices, standing): (Option<String>, Option<String>) = (row.try_get("next_slices")?, row.try_get("standing")?);
    let (Some(slices), Some(standing)) = (slices, standing) else { return Ok(None) };
    let slices = serde_json::from_str::<SliceList>(&slices)?.without(&answered(corrected));
    let standing: Standing = serde_json::from_str(&standing)?;
    let expected = expected_gain(&standing, &slices.slices);
    Ok((!slices.slices.is_empty()).then_some(NextRound { slices, standing, expected }))
}

/// Planes that the expert has settled or does not want.
fn answered(corrected: &[CorrectedSlice]) -> Vec<Plane> {
    corrected.iter().filter(|slice| slice.state != SliceState::Todo).map(|slice| slice.plane).collect()
}
