//! What the server remembers: cases, corrections, segmentations, jobs. The only writer of server state; the door to the database and to blobs.
//!
//! State is SQLite with a write-ahead log that is flushed at every commit: what has been acknowledged survives a power cut. Volumes are blobs named by
//! their content; nothing is overwritten, rows point at new blobs, and what no row points at is swept away.

mod blobs;
mod cases;
mod corrections;
mod queue;
mod rounds;
mod sending;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use shared::api::Event;
use shared::case::CaseId;
use shared::correction::CorrectionError;
use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Sqlite, Transaction};
use thiserror::Error;
use tokio::sync::{RwLock, broadcast};

pub use blobs::{Blobs, Digest};
pub use cases::{NewCase, NewImage};
pub use queue::{Before, Lease, PresegmentationFiles, RefinementFiles, SegmentationBlobs};

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// How long a writer waits for another.
const BUSY_LIMIT: Duration = Duration::from_secs(10);
/// Events a slow listener may fall behind before it has to look again for itself.
const EVENTS: usize = 256;

/// Why the store could not do it.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Another server works on the data folder.
    #[error("another i3deep server uses the data folder {}; stop it, or choose another folder with --data", .0.display())]
    InUse(PathBuf),
    /// There is no such thing.
    #[error("there is no {0}; it may have been deleted")]
    NotFound(&'static str),
    /// The slice was saved from elsewhere in the meantime.
    #[error(
        "this slice has been saved from another window since (revision {stored}, yours is based on {base}); both versions are kept, reload to see the other one"
    )]
    Stale {
        /// The latest revision.
        stored: u64,
        /// What the save was based on.
        base: u64,
    },
    /// The case is not where it would have to be.
    #[error("{0}")]
    NotNow(&'static str),
    /// A correction that does not fit the case.
    #[error(transparent)]
    Correction(#[from] CorrectionError),
    /// The disk is full.
    #[error("the server's disk is full; nothing was stored. Ask its operator to make room, then try again")]
    Full,
    /// A blob is not what it was when it was stored.
    #[error("a stored volume is damaged; restore the data folder from a backup")]
    Damaged,
    /// The database.
    #[error("the database failed: {0}")]
    Database(sqlx::Error),
    /// The database could not be brought up to date.
    #[error("the database cannot be brought up to date: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// Files.
    #[error("the data folder failed: {0}")]
    Files(std::io::Error),
    /// Blobs.
    #[error("the blob store failed: {0}")]
    Blobs(object_store::Error),
    /// Stored JSON of another shape.
    #[error("a stored record cannot be read: {0}")]
    Record(#[from] serde_json::Error),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        // SQLITE_FULL
        let full = error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == "13");
        if full { Self::Full } else { Self::Database(error) }
    }
}

impl From<std::io::Error> for StoreError {
    fn from(error: std::io::Error) -> Self {
        if is_full(&error) { Self::Full } else { Self::Files(error) }
    }
}

impl From<object_store::Error> for StoreError {
    fn from(error: object_store::Error) -> Self {
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            if cause.downcast_ref::<std::io::Error>().is_some_and(is_full) {
                return Self::Full;
            }
            source = cause.source();
        }
        Self::Blobs(error)
    }
}

/// Whether there is no room left on the disk, or in the user's share of it.
pub fn is_full(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
}

/// The server's memory; clones share it.
#[derive(Clone, Debug)]
pub struct Store {
    pool: SqlitePool,
    blobs: Blobs,
    work: PathBuf,
    events: broadcast::Sender<Event>,
    /// Read while new blobs wait for their rows, written while blobs without rows are swept away.
    sweeping: Arc<RwLock<()>>,
    /// Held as long as the store lives.
    _lock: Arc<File>,
}

impl Store {
    /// Opens or creates the store in a folder. What was under way when the last server stopped is queued again.
    ///
    /// # Errors
    /// [`StoreError`], also [`StoreError::InUse`].
    pub async fn open(data: &Path) -> Result<Self, StoreError> {
        std::fs::create_dir_all(data)?;
        let lock = File::create(data.join("lock"))?;
        lock.try_lock().map_err(|_| StoreError::InUse(data.to_owned()))?;
        let work = data.join("work");
        if work.exists() {
            std::fs::remove_dir_all(&work)?;
        }
        std::fs::create_dir_all(&work)?;
        let options = SqliteConnectOptions::new()
            .filename(data.join("i3deep.sqlite"))
            .create_if_missing(true)
            .foreign_keys(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_LIMIT);
        let pool = SqlitePoolOptions::new().max_connections(4).connect_with(options).await?;
        MIGRATIONS.run(&pool).await?;
        let store = Self {
            pool,
            blobs: Blobs::open(&data.join("blobs"))?,
            work,
            events: broadcast::channel(EVENTS).0,
            sweeping: Arc::default(),
            _lock: Arc::new(lock),
        };
        store.requeue_interrupted().await?;
        store.sweep().await?;
        Ok(store)
    }

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

    /// A transaction that has the write lock from its start, so that what it reads still holds when it writes.
    async fn write(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        Ok(self.pool.begin_with("BEGIN IMMEDIATE").await?)
    }

    /// Tells listeners how a case stands; a case that is gone is not worth an error here.
    async fn announce(&self, id: &CaseId) {
        if let Ok(summary) = self.summary(id).await {
            // Fails only if nobody listens.
            let _ = self.events.send(Event::Case(summary));
        }
    }

    /// Deletes blobs that no row points at: what uploads and jobs left behind when they were cut off, and what deleted cases had.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Files`].
    pub async fn sweep(&self) -> Result<(), StoreError> {
        let _alone = self.sweeping.write().await;
        let used: Vec<String> = sqlx::query_scalar(
            "SELECT scan FROM images UNION SELECT voxels FROM images UNION SELECT labels FROM segmentations
             UNION SELECT nifti FROM segmentations UNION SELECT uncertainty FROM cases WHERE uncertainty IS NOT NULL",
        )
        .fetch_all(&self.pool)
        .await?;
        self.blobs.keep_only(&used.into_iter().collect())
    }
}

/// Seconds since 1970, UTC.
fn now_s() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests;
