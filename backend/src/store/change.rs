//! A change to the database: all of it or nothing, by one writer.

use std::ops::{Deref, DerefMut};

use sqlx::pool::PoolConnection;
use sqlx::{Sqlite, SqliteConnection, SqlitePool};

use super::StoreError;

/// A transaction that has the write lock from its start, so that what it reads still holds when it writes. Unless it
/// ends well, its connection is thrown away with it: after a commit that failed, nobody can say in which state a
/// connection is, and the next writer must not inherit it.
pub(super) struct Change {
    connection: PoolConnection<Sqlite>,
    ended: bool,
}

impl Change {
    /// Begins; waits for the writer before.
    pub(super) async fn begin(writer: &SqlitePool) -> Result<Self, StoreError> {
        let mut change = Self { connection: writer.acquire().await?, ended: false };
        sqlx::query("BEGIN IMMEDIATE").execute(&mut *change).await?;
        Ok(change)
    }

    /// Makes it last; answers when it is on disk.
    pub(super) async fn commit(mut self) -> Result<(), StoreError> {
        sqlx::query("UPDATE history SET changes = changes + 1").execute(&mut *self).await?;
        sqlx::query("COMMIT").execute(&mut *self).await?;
        self.ended = true;
        Ok(())
    }

    /// Nothing has to be changed after all; the connection stays.
    pub(super) async fn abandon(mut self) -> Result<(), StoreError> {
        sqlx::query("ROLLBACK").execute(&mut *self).await?;
        self.ended = true;
        Ok(())
    }
}

impl Drop for Change {
    fn drop(&mut self) {
        if !self.ended {
            self.connection.close_on_drop();
        }
    }
}

impl Deref for Change {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        &self.connection
    }
}

impl DerefMut for Change {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        &mut self.connection
    }
}
