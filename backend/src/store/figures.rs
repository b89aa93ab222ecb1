//! What there is, in numbers that name nothing.

use super::{Store, StoreError};

/// Counts of what the store holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Those in the bin left out.
    pub cases: i64,
    /// Deleted, and may come back.
    pub cases_in_bin: i64,
    /// Slices of open cases with a correction.
    pub corrected_slices: i64,
    /// Kind, state, how many.
    pub jobs: Vec<(String, String, i64)>,
    /// Since the database was made.
    pub changes: i64,
    /// Where the data folder is.
    pub free_disk_bytes: i64,
    /// Of the database, its log left out.
    pub database_bytes: i64,
}

impl Store {
    /// Counts what there is.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Files`].
    pub async fn figures(&self) -> Result<Figures, StoreError> {
        let mut connection = self.readers.acquire().await?;
        let (cases, cases_in_bin, corrected_slices, changes, database_bytes) = sqlx::query_as(
            "SELECT (SELECT count(*) FROM open_cases), (SELECT count(*) FROM cases WHERE deleted_s IS NOT NULL),
                    (SELECT count(*) FROM corrections JOIN open_cases ON number = case_number),
                    (SELECT changes FROM history),
                    (SELECT page_count * page_size FROM pragma_page_count, pragma_page_size)",
        )
        .fetch_one(&mut *connection)
        .await?;
        let jobs = sqlx::query_as("SELECT kind, state, count(*) FROM jobs GROUP BY kind, state ORDER BY kind, state");
        let jobs = jobs.fetch_all(&mut *connection).await?;
        let room = rustix::fs::statvfs(&self.folder.path).map_err(std::io::Error::from)?;
        let free_disk_bytes = i64::try_from(room.f_bavail.saturating_mul(room.f_frsize)).unwrap_or(i64::MAX);
        Ok(Figures { cases, cases_in_bin, corrected_slices, jobs, changes, free_disk_bytes, database_bytes })
    }
}
