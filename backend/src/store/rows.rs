//! A digest for every row, so that a restored database can be compared with the one that was backed up, row by row.

use std::collections::BTreeMap;
use std::path::Path;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, SqliteConnection, query_scalar};

use super::{Digest, StoreError};

/// The digests of every table's rows, in the tables' own order.
pub(super) type Rows = BTreeMap<String, Vec<Digest>>;

/// Opens a database that nobody else has open, or one that is in use, for reading.
pub(super) async fn open_to_read(database: &Path) -> Result<SqliteConnection, StoreError> {
    Ok(SqliteConnectOptions::new().filename(database).read_only(true).busy_timeout(super::BUSY_LIMIT).connect().await?)
}

/// Digests of all rows but for those that say how far the database has come, which a restore changes.
pub(super) async fn rows(connection: &mut SqliteConnection) -> Result<Rows, StoreError> {
    let tables: Vec<String> = query_scalar(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
             AND name NOT IN ('history', '_sqlx_migrations') ORDER BY name",
    )
    .fetch_all(&mut *connection)
    .await?;
    let mut all = Rows::new();
    for table in tables {
        let columns: Vec<String> =
            query_scalar("SELECT name FROM pragma_table_info(?)").bind(&table).fetch_all(&mut *connection).await?;
        let columns = columns.iter().map(|column| format!("\"{column}\"")).collect::<Vec<_>>().join(", ");
        // Names come from the database's own schema.
        let texts: Vec<String> =
            query_scalar(AssertSqlSafe(format!("SELECT json_array({columns}) FROM \"{table}\" ORDER BY {columns}")))
                .fetch_all(&mut *connection)
                .await?;
        all.insert(table, texts.iter().map(|text| Digest::of(text.as_bytes())).collect());
    }
    Ok(all)
}

/// Names the tables whose rows differ, and how many do.
pub(super) fn differences(expected: &Rows, got: &Rows) -> Vec<String> {
    let empty = Vec::new();
    let tables = expected.keys().chain(got.keys().filter(|table| !expected.contains_key(*table)));
    let differing = |table: &String| {
        let (expected, got) = (expected.get(table).unwrap_or(&empty), got.get(table).unwrap_or(&empty));
        let same = expected.iter().filter(|digest| got.contains(digest)).count();
        let different = expected.len().max(got.len()) - same.min(got.len());
        (different > 0).then(|| format!("{different} rows of the table {table} differ"))
    };
    tables.filter_map(differing).collect()
}
