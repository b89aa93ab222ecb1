//! Why the store could not do something, in words for the person who asked.

use std::path::PathBuf;

use shared::correction::CorrectionError;
use shared::patch::PatchError;
use thiserror::Error;

use super::Digest;

/// Why the store could not do it.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Another server works on the data folder.
    #[error(
        "another i3deep server uses the data folder {}; stop it, or choose another folder with --data",
        .0.display()
    )]
    InUse(PathBuf),
    /// The data folder does not fit together.
    #[error("the data folder was left as it is: {problem}. What to do: {advice}")]
    Refused {
        /// What is wrong, by name.
        problem: String,
        /// What to do.
        advice: &'static str,
    },
    /// The disk takes too long.
    #[error("the data folder's disk does not answer in time")]
    Slow,
    /// There is no such thing.
    #[error("there is no {0}; it may have been deleted")]
    NotFound(&'static str),
    /// The slice was saved from elsewhere in the meantime.
    #[error(
        "this slice has been saved from another window since (revision {stored}, yours is based on {base}); both \
         versions are kept, reload to see the other one"
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
    /// Somebody has as many jobs waiting as one may have.
    #[error("{0} of your scans wait already, which is as many as may; send more when some of them are done")]
    Crowded(i64),
    /// A correction that does not fit the case.
    #[error(transparent)]
    Correction(#[from] CorrectionError),
    /// A decision that does not fit the segmentation.
    #[error(transparent)]
    Patch(#[from] PatchError),
    /// The disk is full.
    #[error("the server's disk is full; nothing was stored. Ask its operator to make room, then try again")]
    Full,
    /// A blob is not what it was when it was stored.
    #[error("the stored volume {0} is damaged; send the scan again, or restore the data folder from a backup")]
    Damaged(Digest),
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
