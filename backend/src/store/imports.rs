//! Imports from a PACS that are under way: who asked for which, so that a server that starts again goes on with them.

use shared::api::OpenSeries;
use sqlx::Row;

use super::{Store, StoreError};

/// Starts of the server that go on with one import: one that ends the server each time is given up.
const TRIES: i64 = 3;

/// An import that is under way.
#[derive(Clone, Debug)]
pub struct UnderWay {
    /// What it is called.
    pub id: String,
    /// Who asked for it.
    pub owner: String,
    /// Of which PACS.
    pub source: String,
    /// For what.
    pub wanted: OpenSeries,
}

impl Store {
    /// Keeps an import in mind until it is over.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn keep_import(&self, import: &UnderWay) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        sqlx::query("INSERT INTO imports (id, owner, source, wanted) VALUES (?, ?, ?, ?)")
            .bind(&import.id)
            .bind(&import.owner)
            .bind(&import.source)
            .bind(serde_json::to_string(&import.wanted)?)
            .execute(&mut *change)
            .await?;
        change.commit().await
    }

    /// It is over.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn forget_import(&self, id: &str) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        sqlx::query("DELETE FROM imports WHERE id = ?").bind(id).execute(&mut *change).await?;
        change.commit().await
    }

    /// Those that were under way when the server ended, to be gone on with; those that have ended it too often are
    /// forgotten.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn imports_to_go_on_with(&self) -> Result<Vec<UnderWay>, StoreError> {
        let mut change = self.change().await?;
        sqlx::query("DELETE FROM imports WHERE tries >= ?").bind(TRIES).execute(&mut *change).await?;
        sqlx::query("UPDATE imports SET tries = tries + 1").execute(&mut *change).await?;
        let rows = sqlx::query("SELECT id, owner, source, wanted FROM imports ORDER BY rowid");
        let rows = rows.fetch_all(&mut *change).await?;
        change.commit().await?;
        let under_way = |row: &sqlx::sqlite::SqliteRow| -> Result<UnderWay, StoreError> {
            Ok(UnderWay {
                id: row.try_get("id")?,
                owner: row.try_get("owner")?,
                source: row.try_get("source")?,
                wanted: serde_json::from_str(row.try_get("wanted")?)?,
            })
        };
        rows.iter().map(under_way).collect()
    }
}
