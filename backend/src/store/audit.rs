//! Who did what and when: a row for every change, in the change's own transaction, each holding the digest of the one
//! before it. Rows that were altered, removed or put in are found by [`verify_audit`]; cut off at the end are found by
//! whoever has noted the last digest elsewhere.
//!
//! Objects are ids, planes and account names; a case's name, which may be a patient's, never stands here.

use std::path::Path;

use sha2::{Digest as _, Sha256};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection as _, Row, SqliteConnection};

use super::folder::DATABASE;
use super::{Actor, Store, StoreError, now_s};

/// What the first row follows.
const BEGINNING: &str = "i3deep";

/// How the records stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditState {
    /// Every row follows from the one before it.
    Whole {
        /// Rows.
        rows: i64,
        /// Digest of the last; to be noted where this server's operator cannot write.
        last: String,
    },
    /// The first row that does not.
    Broken {
        /// Its number.
        row: i64,
    },
}

/// What somebody does that changes nothing here, and is recorded all the same: patients' data come or go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Looks for patients in a PACS.
    SearchPacs,
    /// Asks for a series of a PACS.
    OpenFromPacs,
    /// Sends a segmentation to a PACS.
    SendToPacs,
}

impl Act {
    fn name(self) -> &'static str {
        match self {
            Self::SearchPacs => "pacs.search",
            Self::OpenFromPacs => "pacs.open",
            Self::SendToPacs => "pacs.send",
        }
    }
}

impl Store {
    /// Records an act; `object` names ids and sources, never a patient.
    ///
    /// # Errors
    /// [`StoreError`]: then it must not be done.
    pub async fn note(&self, actor: &Actor, act: Act, object: &str) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        record(&mut change, actor, act.name(), object).await?;
        change.commit().await
    }
}

/// Notes a change; part of the change's transaction.
pub(super) async fn record(
    connection: &mut SqliteConnection,
    actor: &Actor,
    action: &str,
    object: &str,
) -> Result<(), StoreError> {
    let last = sqlx::query("SELECT number, chain FROM audit ORDER BY number DESC LIMIT 1")
        .fetch_optional(&mut *connection)
        .await?;
    let (number, before): (i64, String) = match last {
        Some(row) => (row.try_get::<i64, _>("number")? + 1, row.try_get("chain")?),
        None => (1, BEGINNING.to_owned()),
    };
    let at_s = now_s();
    sqlx::query("INSERT INTO audit (number, at_s, actor, action, object, chain) VALUES (?, ?, ?, ?, ?, ?)")
        .bind(number)
        .bind(at_s)
        .bind(actor.as_str())
        .bind(action)
        .bind(object)
        .bind(chain(&before, number, at_s, actor.as_str(), action, object))
        .execute(connection)
        .await?;
    Ok(())
}

fn chain(before: &str, number: i64, at_s: i64, actor: &str, action: &str, object: &str) -> String {
    let mut hasher = Sha256::new();
    // Each with its length, so that nothing can move from one field into the next.
    for field in [before, &number.to_string(), &at_s.to_string(), actor, action, object] {
        hasher.update((field.len() as u64).to_le_bytes());
        hasher.update(field);
    }
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Follows the records of a data folder from the first to the last; a server may be at work on it.
///
/// # Errors
/// [`StoreError::Database`] if there is no database, or none with records.
pub async fn verify_audit(data: &Path) -> Result<AuditState, StoreError> {
    let options = SqliteConnectOptions::new().filename(data.join(DATABASE)).read_only(true);
    let mut connection = SqliteConnection::connect_with(&options).await?;
    let (mut before, mut rows) = (BEGINNING.to_owned(), 0);
    loop {
        let query =
            "SELECT number, at_s, actor, action, object, chain FROM audit WHERE number > ? ORDER BY number LIMIT 1000";
        let page = sqlx::query(query).bind(rows).fetch_all(&mut connection).await?;
        if page.is_empty() {
            return Ok(AuditState::Whole { rows, last: before });
        }
        for row in page {
            let (number, at_s): (i64, i64) = (row.try_get("number")?, row.try_get("at_s")?);
            let (actor, action): (String, String) = (row.try_get("actor")?, row.try_get("action")?);
            let (object, stored): (String, String) = (row.try_get("object")?, row.try_get("chain")?);
            if number != rows + 1 || stored != chain(&before, number, at_s, &actor, &action, &object) {
                return Ok(AuditState::Broken { row: rows + 1 });
            }
            (before, rows) = (stored, number);
        }
    }
}
