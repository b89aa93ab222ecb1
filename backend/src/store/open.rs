//! Opening a data folder: what it holds must fit together, or it is left as it is and the operator is told why.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{SqliteConnection, query_scalar};
use tokio::sync::broadcast;

use super::change::Change;
use super::folder::{self, BLOBS, DATABASE, Folder, PACKED};
use super::mark::Mark;
use super::packed::Packed;
use super::{BUSY_LIMIT, Blobs, Digest, EVENTS, Store, StoreError, named_blobs, today};

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// Connections that read.
const READERS: u32 = 4;
/// Databases up to this size are looked through at every start, which takes a second at most.
const CHECKED_BYTES: u64 = 256 << 20;
/// A save folds the log into the database by itself if it has grown beyond this many pages: upkeep has not come to it.
const LOG_PAGES: &str = "4000";
/// A log that has been larger shrinks to this.
const LOG_BYTES: &str = "33554432";
/// What an epoch adds to the revisions that hold: a base from before it can then equal none of them.
const EPOCH_REVISIONS: i64 = 1 << 32;

/// How much a data folder has to fit together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Opening {
    /// The database is the latest that the folder has seen, and every volume that it names is there.
    #[default]
    Checked,
    /// As it is: the operator has been told what is wanting, and goes on without it.
    AsItIs,
}

impl Store {
    /// Opens or creates the store in a folder. What was under way when the last server stopped is queued again. Files
    /// that no row names are moved to quarantine; nothing is deleted.
    ///
    /// # Errors
    /// [`StoreError`], also [`StoreError::InUse`] and [`StoreError::Refused`].
    pub async fn open(data: &Path, opening: Opening) -> Result<Self, StoreError> {
        let folder = Folder::take(data)?;
        let create = is_new(&folder, opening)?;
        let writer = connect(&folder, create).await?;
        let seen = Mark::read(&folder.path)?;
        begin_history(&writer, &folder, seen.as_ref(), opening).await?;
        let options = options(&folder).pragma("query_only", "ON");
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(options)
            .await?;
        let blobs = Blobs::open(&folder.path.join(BLOBS), &folder.path)?;
        let store = Self {
            readers,
            writer,
            packed: Packed::open(folder.path.join(PACKED), blobs.folder())?,
            blobs,
            work: folder.clear_work()?,
            events: broadcast::channel(EVENTS).0,
            news: Arc::default(),
            saves: Arc::default(),
            sweeping: Arc::default(),
            tried: Arc::default(),
            folder: Arc::new(folder),
        };
        let named = named_blobs(&mut *store.readers.acquire().await?).await?;
        if opening == Opening::Checked {
            store.blobs.check_all_there(&named)?;
        }
        store.quarantine_unknown(&named)?;
        store.requeue_interrupted().await?;
        store.write_mark().await?;
        Ok(store)
    }

    /// Moves files that no row names out of the way: uploads and results that were cut off, or volumes of another day's
    /// database.
    fn quarantine_unknown(&self, named: &BTreeSet<Digest>) -> Result<(), StoreError> {
        let mut unknown = folder::files(self.blobs.folder())?;
        unknown.retain(|file| Digest::from_file_name(file).is_none_or(|digest| !named.contains(&digest)));
        if !unknown.is_empty() {
            let place = self.folder.quarantine(&unknown, &today())?;
            tracing::warn!(
                "{} files of {BLOBS}/ that the database does not know were moved to {}",
                unknown.len(),
                place.display()
            );
        }
        Ok(())
    }

    /// Says beside the database how far it has come, if that is not said already.
    pub(super) async fn write_mark(&self) -> Result<(), StoreError> {
        let mark = Mark::of_database(&mut *self.readers.acquire().await?).await?;
        if let Some(mark) = mark.filter(|mark| Mark::read(&self.folder.path).ok().flatten().as_ref() != Some(mark)) {
            mark.write(&self.folder.path)?;
        }
        Ok(())
    }

    /// Ends well: what runs is queued again and counts as no death, the log is folded into the database.
    ///
    /// # Errors
    /// [`StoreError::Database`]; everything that was acknowledged is on disk all the same.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.requeue_running().await?;
        sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&self.writer).await?;
        self.write_mark().await?;
        self.readers.close().await;
        self.writer.close().await;
        Ok(())
    }

    /// Folds the write-ahead log into the database as far as no reader needs it; no save waits for that.
    pub(super) async fn fold_log(&self) -> Result<(), StoreError> {
        sqlx::query("PRAGMA wal_checkpoint(PASSIVE)").execute(&self.readers).await?;
        Ok(())
    }
}

/// Whether the folder begins with an empty database.
fn is_new(folder: &Folder, opening: Opening) -> Result<bool, StoreError> {
    match (folder.is_new(), opening) {
        (Err(StoreError::Refused { .. }), Opening::AsItIs) => {
            // The log of a database that is gone would be thrown away by the next one.
            let left: Vec<_> = ["-wal", "-shm"]
                .map(|end| folder.path.join(format!("{DATABASE}{end}")))
                .into_iter()
                .filter(|file| file.exists())
                .collect();
            folder.quarantine(&left, &today())?;
            Ok(true)
        }
        (new, _) => new,
    }
}

fn options(folder: &Folder) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(folder.database())
        .foreign_keys(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_LIMIT)
        .pragma("wal_autocheckpoint", LOG_PAGES)
        .pragma("journal_size_limit", LOG_BYTES)
}

/// The one connection that writes, to a database that is whole.
async fn connect(folder: &Folder, create: bool) -> Result<SqlitePool, StoreError> {
    let options = options(folder).create_if_missing(create);
    let writer =
        SqlitePoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None).test_before_acquire(false);
    let writer = writer.connect_with(options).await.map_err(damaged)?;
    if folder.database().metadata().is_ok_and(|data| data.len() <= CHECKED_BYTES) {
        let said: String = query_scalar("PRAGMA quick_check(1)").fetch_one(&writer).await.map_err(damaged)?;
        if said != "ok" {
            return Err(StoreError::damaged_database(&said));
        }
    }
    Ok(writer)
}

/// SQLITE_CORRUPT and SQLITE_NOTADB in words.
fn damaged(error: sqlx::Error) -> StoreError {
    let code = error.as_database_error().and_then(|error| error.code()).and_then(|code| code.parse::<i32>().ok());
    match code.map(|code| code & 0xff) {
        Some(11 | 26) => StoreError::damaged_database(&error.to_string()),
        _ => error.into(),
    }
}

/// Compares the database with what the folder has seen, before anything is changed in it; then brings it up to date.
async fn begin_history(
    writer: &SqlitePool,
    folder: &Folder,
    seen: Option<&Mark>,
    opening: Opening,
) -> Result<(), StoreError> {
    let mut connection = writer.acquire().await?;
    let own = Mark::of_database(&mut connection).await?;
    let older = match (seen, &own) {
        (Some(seen), Some(own)) => own.folder != seen.folder || own.is_before(seen),
        (Some(_), None) => true,
        (None, None) => is_empty(&mut connection).await? && !folder::stored(&folder.path.join(BLOBS))?.is_empty(),
        (None, Some(_)) => false,
    };
    drop(connection);
    if older && opening == Opening::Checked {
        return Err(StoreError::older_database(seen, own.as_ref()));
    }
    MIGRATIONS.run(writer).await.map_err(|error| match error {
        MigrateError::VersionMissing(step) | MigrateError::VersionTooNew(step, _) => StoreError::newer_database(step),
        other => other.into(),
    })?;
    let begin = seen.cloned().unwrap_or_else(|| Mark {
        folder: uuid::Uuid::new_v4().simple().to_string(),
        epoch: 0,
        changes: 0,
    });
    let mut change = Change::begin(writer).await?;
    sqlx::query("INSERT INTO history (id, folder, epoch, changes) VALUES (1, ?, ?, 0) ON CONFLICT DO NOTHING")
        .bind(&begin.folder)
        .bind(begin.epoch)
        .execute(&mut *change)
        .await?;
    if older {
        begin_epoch(&mut change, seen).await?;
    }
    change.commit().await
}

async fn is_empty(connection: &mut SqliteConnection) -> Result<bool, StoreError> {
    let tables: i64 = query_scalar("SELECT count(*) FROM sqlite_schema").fetch_one(connection).await?;
    Ok(tables == 0)
}

/// The database goes on from an earlier day: revisions that are given from now on differ from those that were given
/// since that day, so that a window which still shows those cannot overwrite unseen.
pub(super) async fn begin_epoch(connection: &mut SqliteConnection, seen: Option<&Mark>) -> Result<(), StoreError> {
    sqlx::query("UPDATE history SET epoch = max(epoch, ?) + 1, folder = coalesce(?, folder)")
        .bind(seen.map_or(0, |seen| seen.epoch))
        .bind(seen.map(|seen| &seen.folder))
        .execute(&mut *connection)
        .await?;
    sqlx::query("UPDATE slice_versions SET revision = revision + ? WHERE id IN (SELECT version FROM corrections)")
        .bind(EPOCH_REVISIONS)
        .execute(connection)
        .await?;
    Ok(())
}

impl StoreError {
    pub(super) fn damaged_database(said: &str) -> Self {
        // SQLite begins with a headline.
        let said = said.lines().find(|line| !line.starts_with("***")).unwrap_or(said);
        Self::Refused {
            problem: format!("the database {DATABASE} is damaged ({said})"),
            advice: "restore a backup with `i3deep restore`; `i3deep verify` says what else is wrong",
        }
    }

    fn older_database(seen: Option<&Mark>, own: Option<&Mark>) -> Self {
        let problem = match (seen, own) {
            (Some(seen), Some(own)) if seen.folder != own.folder => {
                format!("the database {DATABASE} is that of another data folder")
            }
            (Some(seen), Some(own)) if seen.epoch == own.epoch => format!(
                "the database {DATABASE} is older than this folder: it lacks the last {} changes. It may be another \
                 day's, or its log {DATABASE}-wal is missing",
                seen.changes - own.changes
            ),
            (Some(_), _) => {
                format!(
                    "the database {DATABASE} is older than this folder. It may be another day's, or its log \
                     {DATABASE}-wal is missing"
                )
            }
            (None, _) => format!(
                "the database {DATABASE} is empty, but volumes are stored. Its log {DATABASE}-wal may be missing"
            ),
        };
        let advice = "put the latest database and its log back, or restore a backup with `i3deep restore`. To go on \
                      with this one and lose what came after it, start once with --accept-data-as-it-is";
        Self::Refused { problem, advice }
    }

    fn newer_database(step: i64) -> Self {
        Self::Refused {
            problem: format!("the database {DATABASE} was written by a newer i3deep (step {step})"),
            advice: "start that version, or restore a backup from before the update",
        }
    }
}
