//! What the store does while nobody asks: tells listeners how cases stand, thins earlier versions, empties the bin,
//! keeps its log short.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use shared::api::{CaseSummary, Event};
use shared::case::CaseId;
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::{Store, StoreError, now_s};

/// Listeners hear of a case this often at most.
const TELL_INTERVAL: Duration = Duration::from_millis(100);
/// How often the mark follows the database.
const MARK_INTERVAL: Duration = Duration::from_secs(5);
/// How often the log is folded into the database.
const FOLD_INTERVAL: Duration = Duration::from_secs(2);
/// How often old versions are thinned and the bin is looked through.
const TIDY_INTERVAL: Duration = Duration::from_secs(600);
/// Versions younger than this all stay; of older ones, the last of an hour.
const THINNED_AFTER_S: i64 = 24 * 3600;
/// So many versions go at a time, so that no save waits long.
const THINNED_AT_ONCE: i64 = 500;

/// Cases that listeners are to be told about.
#[derive(Debug, Default)]
pub(super) struct News {
    /// Whether each is to be told of though its summary is the one that was told last.
    changed: Mutex<BTreeMap<CaseId, bool>>,
    wake: Notify,
}

impl News {
    /// A case has changed, perhaps in something that its summary does not say.
    pub(super) fn add(&self, id: &CaseId, beyond_summary: bool) {
        let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        let is_first = !changed.contains_key(id);
        *changed.entry(id.clone()).or_default() |= beyond_summary;
        drop(changed);
        if is_first {
            self.wake.notify_one();
        }
    }

    fn take(&self) -> BTreeMap<CaseId, bool> {
        std::mem::take(&mut *self.changed.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Store {
    /// Keeps the store in order until the task is dropped.
    pub async fn upkeep(self) {
        let every = |period| {
            let mut ticks = interval(period);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        };
        let (mut mark, mut fold, mut tidy) = (every(MARK_INTERVAL), every(FOLD_INTERVAL), every(TIDY_INTERVAL));
        let mut told = HashMap::new();
        loop {
            let done = tokio::select! {
                () = self.news.wake.notified() => {
                    sleep(TELL_INTERVAL).await;
                    self.tell(&mut told).await;
                    Ok(())
                }
                _ = mark.tick() => self.write_mark().await,
                _ = fold.tick() => self.fold_log().await,
                _ = tidy.tick() => self.tidy().await,
            };
            if let Err(error) = done {
                tracing::warn!("upkeep of the data folder: {error}");
            }
        }
    }

    /// Tells listeners how changed cases stand, unless that is what they were told last: a stroke changes nothing in a
    /// list.
    async fn tell(&self, told: &mut HashMap<CaseId, CaseSummary>) {
        for (id, beyond_summary) in self.news.take() {
            // A case that is gone was announced as such.
            let Ok(summary) = self.summary(&id).await else {
                told.remove(&id);
                continue;
            };
            if beyond_summary || told.get(&id) != Some(&summary) {
                told.insert(id, summary.clone());
                // Fails only if nobody listens.
                let _ = self.events.send(Event::Case(Box::new(summary)));
            }
        }
    }

    async fn tidy(&self) -> Result<(), StoreError> {
        self.empty_bin().await?;
        self.sweep().await?;
        while self.thin(now_s() - THINNED_AFTER_S).await? > 0 {}
        Ok(())
    }

    /// Of a slice's versions from before a time, removes some that were followed by another within the same hour; says
    /// how many. What holds, and what was refused, always stays.
    pub(super) async fn thin(&self, before_s: i64) -> Result<u64, StoreError> {
        let mut change = self.change().await?;
        let thinned = sqlx::query(
            "DELETE FROM slice_versions WHERE id IN (
                 SELECT v.id FROM slice_versions v WHERE v.saved_s < ?1 AND v.saved_s / 3600 = (
                     SELECT w.saved_s / 3600 FROM slice_versions w
                     WHERE w.case_number = v.case_number AND w.axis = v.axis AND w.plane = v.plane
                           AND w.revision > v.revision
                     ORDER BY w.revision LIMIT 1)
                 LIMIT ?2)",
        )
        .bind(before_s)
        .bind(THINNED_AT_ONCE)
        .execute(&mut *change)
        .await?
        .rows_affected();
        if thinned == 0 {
            change.abandon().await?;
        } else {
            change.commit().await?;
        }
        Ok(thinned)
    }
}
