//! What the server remembers: cases, corrections, segmentations, jobs. The only writer of server state; the door to the
//! database and to blobs.
//!
//! State is SQLite with a write-ahead log that is flushed at every commit: what has been acknowledged survives a power
//! cut. Volumes are blobs named by their content; nothing is overwritten, rows point at new blobs. Nothing is deleted
//! but what a person has deleted for good, and what this very server has written and then had no use for.

mod actor;
mod approved;
mod audit;
mod backup;
mod bin;
mod blobs;
mod cases;
mod change;
mod corrections;
mod decisions;
mod digest;
mod effort;
mod error;
mod figures;
mod folder;
mod forecast;
mod identities;
mod imports;
mod mark;
mod open;
mod packed;
mod people;
mod quarantine;
mod queue;
mod readings;
mod review;
mod rounds;
mod rows;
mod saves;
mod segmentations;
mod sending;
mod task;
mod upkeep;
mod verify;
mod versions;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde::de::DeserializeOwned;
use shared::api::Event;
use shared::case::CaseId;
use sqlx::{SqliteConnection, SqlitePool};
use tokio::sync::{Mutex, RwLock, broadcast};
use tokio::time::{Instant, timeout};

use change::Change;
use folder::Folder;
use packed::Packed;
use saves::Saves;
use upkeep::News;

pub use actor::Actor;
pub use approved::{ApprovedCase, approved};
pub use audit::{Act, AuditState, verify_audit};
pub use backup::{Copied, backup, restore};
pub use blobs::Blobs;
pub use cases::{NewCase, NewImage, Sealed};
pub use digest::Digest;
pub use error::{StoreError, is_full};
pub use figures::Figures;
pub use identities::Welcome;
pub use imports::UnderWay;
pub use open::Opening;
pub use packed::{Part, StoredVolume};
pub use people::Secret;
pub use quarantine::{SetAside, empty_quarantine, quarantined};
pub use queue::Lease;
pub use segmentations::{NewSegmentation, PresegmentationFiles, RefinementFiles, SegmentationBlobs};
pub use task::{AdaptedWeights, Before, PresegmentTask, RefineTask, Task};
pub use verify::{Verification, verify};

/// How long a writer waits for another.
const BUSY_LIMIT: Duration = Duration::from_secs(10);
/// How long the disk may take before it counts as one that does not work.
const READY_LIMIT: Duration = Duration::from_secs(2);
/// Who asks more often than this whether the disk works is told what the last one was told.
const READY_INTERVAL: Duration = Duration::from_millis(500);
/// Events a slow listener may fall behind before it has to look again for itself.
const EVENTS: usize = 256;

/// The server's memory; clones share it.
#[derive(Clone, Debug)]
pub struct Store {
    readers: SqlitePool,
    /// One connection.
    writer: SqlitePool,
    blobs: Blobs,
    packed: Packed,
    work: PathBuf,
    events: broadcast::Sender<Event>,
    news: Arc<News>,
    saves: Arc<Saves>,
    /// Read while new blobs wait for their rows, written while blobs without rows are swept away.
    sweeping: Arc<RwLock<()>>,
    /// When a write was last tried for its own sake, and went well.
    tried: Arc<Mutex<Option<Instant>>>,
    /// Locked as long as the store lives.
    folder: Arc<Folder>,
}

impl Store {
    /// Volumes.
    pub fn blobs(&self) -> &Blobs {
        &self.blobs
    }

    /// A folder for files that do not outlive the server.
    pub fn work(&self) -> &Path {
        &self.work
    }

    /// What happens from now on.
    pub fn listen(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// Hold this from the first blob of a change until its rows are committed.
    pub async fn keep_blobs(&self) -> impl Drop + use<> {
        Arc::clone(&self.sweeping).read_owned().await
    }

    /// A change that has the write lock from its start.
    async fn change(&self) -> Result<Change, StoreError> {
        Change::begin(&self.writer).await
    }

    /// Listeners will hear how a case stands now, if that is news to them.
    fn announce(&self, id: &CaseId) {
        self.news.add(id, false);
    }

    /// Listeners will hear of a case although it may stand as it stood: something was said of it that they should look
    /// at.
    fn announce_said(&self, id: &CaseId) {
        self.news.add(id, true);
    }

    /// Whether a change and a file would reach the disk right now, or would have half a second ago.
    ///
    /// # Errors
    /// Why not.
    pub async fn check_ready(&self) -> Result<(), StoreError> {
        let mut tried = self.tried.lock().await;
        if tried.is_some_and(|tried| tried.elapsed() < READY_INTERVAL) {
            return Ok(());
        }
        *tried = None;
        let change = async { self.change().await?.commit().await };
        timeout(READY_LIMIT, change).await.map_err(|_| StoreError::Slow)??;
        let file = self.folder.path.join("ready.partial");
        let written = tokio::task::spawn_blocking(move || folder::try_write(&file));
        timeout(READY_LIMIT, written).await.map_err(|_| StoreError::Slow)?.map_err(std::io::Error::other)??;
        *tried = Some(Instant::now());
        Ok(())
    }

    /// Deletes blobs that this server has written and no row names: what uploads and jobs left behind when they failed.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Files`].
    pub async fn sweep(&self) -> Result<(), StoreError> {
        let _alone = self.sweeping.write().await;
        let named = named_blobs(&mut *self.readers.acquire().await?).await?;
        for digest in self.blobs.take_fresh() {
            if !named.contains(&digest) {
                self.packed.forget(&digest)?;
                self.blobs.remove(&digest)?;
            }
        }
        Ok(())
    }
}

/// Blobs that rows name; also in a database that no server with this program has brought up to date yet, which is when
/// a careful operator makes a backup.
async fn named_blobs(connection: &mut SqliteConnection) -> Result<BTreeSet<Digest>, StoreError> {
    let mut named: Vec<Digest> = sqlx::query_scalar(
        "SELECT scan FROM images UNION SELECT voxels FROM images UNION SELECT labels FROM segmentations
         UNION SELECT nifti FROM segmentations UNION SELECT uncertainty FROM cases WHERE uncertainty IS NOT NULL
         UNION SELECT adapted_weights FROM segmentations WHERE adapted_weights IS NOT NULL",
    )
    .fetch_all(&mut *connection)
    .await?;
    let keeps_presegmentations: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM pragma_table_info('segmentations') WHERE name = 'uncertainty')",
    )
    .fetch_one(&mut *connection)
    .await?;
    if keeps_presegmentations {
        let more = sqlx::query_scalar("SELECT uncertainty FROM segmentations WHERE uncertainty IS NOT NULL");
        named.extend(more.fetch_all(connection).await?);
    }
    Ok(named.into_iter().collect())
}

/// Whether a folder in [`Store::work`] is one that the server makes there.
fn is_scratch(name: &str) -> bool {
    name.starts_with("job-") || name.starts_with("upload-")
}

/// Today's date, UTC, as `2026-01-31`.
fn today() -> String {
    chrono::Utc::now().date_naive().to_string()
}

/// The number that a case is referred to with in the database.
async fn number(connection: &mut SqliteConnection, id: &CaseId) -> Result<i64, StoreError> {
    let number = sqlx::query_scalar("SELECT number FROM open_cases WHERE id = ?")
        .bind(id.as_str())
        .fetch_optional(connection)
        .await?;
    number.ok_or(StoreError::NotFound("such case"))
}

/// The word that serde knows a unit variant by; the database and the wire use the same ones.
fn to_word<T: Serialize>(value: &T) -> Result<String, StoreError> {
    Ok(serde_json::to_string(value)?.trim_matches('"').to_owned())
}

fn from_word<T: DeserializeOwned>(word: &str) -> Result<T, StoreError> {
    Ok(serde_json::from_value(word.into())?)
}

/// Milliseconds since 1970, UTC.
fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Seconds since 1970, UTC.
fn now_s() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests;
