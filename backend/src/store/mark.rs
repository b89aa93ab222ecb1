//! How far a data folder's database has come, written beside it: so that a start with another day's database is noticed
//! before anything is done to what that database does not know.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sqlx::{Row, SqliteConnection};

use super::StoreError;

/// Beside the database.
const FILE: &str = "mark.json";

/// A point in a data folder's history. Later ones are larger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    /// Which data folder it is about; random.
    pub(super) folder: String,
    /// Counts the times that the database was put back to an earlier day's.
    pub(super) epoch: i64,
    /// Counts the changes committed.
    pub(super) changes: i64,
}

impl Mark {
    /// The point that a folder has passed for certain; nothing for a folder that has none.
    ///
    /// # Errors
    /// A file that cannot be read or is something else.
    pub(super) fn read(data: &Path) -> Result<Option<Self>, StoreError> {
        match fs::read(data.join(FILE)) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The point that a database has come to; nothing for one that is older than marks are.
    pub(super) async fn of_database(connection: &mut SqliteConnection) -> Result<Option<Self>, StoreError> {
        let known: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'history')")
            .fetch_one(&mut *connection)
            .await?;
        if !known {
            return Ok(None);
        }
        let row = sqlx::query("SELECT folder, epoch, changes FROM history").fetch_optional(connection).await?;
        row.map(|row| {
            Ok(Self { folder: row.try_get("folder")?, epoch: row.try_get("epoch")?, changes: row.try_get("changes")? })
        })
        .transpose()
    }

    /// Writes the mark of a database that has committed this much; the file is whole at any moment.
    pub(super) fn write(&self, data: &Path) -> io::Result<()> {
        let partial = data.join("mark.partial");
        let mut file = File::create(&partial)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_all()?;
        fs::rename(&partial, data.join(FILE))?;
        File::open(data)?.sync_all()
    }

    /// Whether a database at this point lacks something that the folder has seen.
    pub(super) fn is_before(&self, other: &Self) -> bool {
        (self.epoch, self.changes) < (other.epoch, other.changes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_found_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Mark::read(folder.path()).unwrap(), None);
        let mark = Mark { folder: "f".into(), epoch: 1, changes: 7 };
        mark.write(folder.path()).unwrap();
        assert_eq!(Mark::read(folder.path()).unwrap(), Some(mark));
    }

    #[test]
    fn an_epoch_outweighs_any_number_of_changes() {
        let at = |epoch, changes| Mark { folder: "f".into(), epoch, changes };
        let check = |database: (i64, i64), seen: (i64, i64), expected: bool| {
            assert_eq!(at(database.0, database.1).is_before(&at(seen.0, seen.1)), expected, "{database:?} {seen:?}");
        };
        check((0, 5), (0, 5), false);
        check((0, 6), (0, 5), false);
        check((0, 4), (0, 5), true);
        check((1, 4), (0, 5), false);
        check((0, 9), (1, 5), true);
    }
}
