//! Backups: the database as it was at one moment and the volumes that it names, in a folder of their own, taken while
//! people work; and the way back.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
use sqlx::{ConnectOptions, Connection, SqliteConnection};

use super::folder::{self, BLOBS, DATABASE, Folder};
use super::mark::Mark;
use super::open::begin_epoch;
use super::rows::{Rows, differences, open_to_read, rows};
use super::{Digest, StoreError, named_blobs, now_s, today};

/// Written last: a folder without it is no backup.
const MANIFEST: &str = "backup.json";
/// Its format.
const FORMAT: u32 = 1;
/// How often the database is looked at again because a volume was deleted for good meanwhile.
const ATTEMPTS: usize = 3;

/// What a backup holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Manifest {
    format: u32,
    program: String,
    made_s: i64,
    mark: Mark,
    rows: Rows,
    volumes: BTreeSet<Digest>,
}

/// What was backed up or restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Rows, each compared with its digest.
    pub rows: usize,
    /// Volumes, each compared with its digest.
    pub volumes: usize,
}

impl Manifest {
    fn copied(&self) -> Copied {
        Copied { rows: self.rows.values().map(Vec::len).sum(), volumes: self.volumes.len() }
    }
}

/// Backs a data folder up into a folder that is empty or not there, while a server may be at work in it.
///
/// # Errors
/// [`StoreError::Refused`] if the target holds something or a volume is damaged; the system's.
pub async fn backup(data: &Path, out: &Path) -> Result<Copied, StoreError> {
    let database = folder::database_in(data)?;
    if out.exists() && fs::read_dir(out)?.next().is_some() {
        return Err(refused(
            format!("the backup folder {} is not empty", out.display()),
            "choose an empty folder, or a new name",
        ));
    }
    fs::create_dir_all(out)?;
    let mut attempt = 1;
    let manifest = loop {
        let manifest = snapshot(&database, out).await?;
        match copy_volumes(&manifest.volumes, &data.join(BLOBS), &out.join(BLOBS)) {
            Ok(()) => break manifest,
            // Deleted for good between the snapshot and the copy: the next snapshot does not name it.
            Err(StoreError::Files(error)) if error.kind() == io::ErrorKind::NotFound && attempt < ATTEMPTS => {
                attempt += 1
            }
            Err(error) => return Err(error),
        }
    };
    write_synced(&out.join(MANIFEST), &serde_json::to_vec_pretty(&manifest)?)?;
    Ok(manifest.copied())
}

/// The database at one moment, with everything that was acknowledged before.
async fn snapshot(database: &Path, out: &Path) -> Result<Manifest, StoreError> {
    let file = out.join(DATABASE);
    if file.exists() {
        fs::remove_file(&file)?;
    }
    let mut live = open_to_read(database).await?;
    sqlx::query("VACUUM INTO ?").bind(file.to_string_lossy().into_owned()).execute(&mut live).await?;
    File::open(&file)?.sync_all()?;
    let mut copy = open_to_read(&file).await?;
    let mark = Mark::of_database(&mut copy).await?;
    let mark = mark.ok_or_else(folder::older)?;
    let program = env!("CARGO_PKG_VERSION").to_owned();
    let manifest = Manifest {
        format: FORMAT,
        program,
        made_s: now_s(),
        mark,
        rows: rows(&mut copy).await?,
        volumes: named_blobs(&mut copy).await?,
    };
    copy.close().await?;
    Ok(manifest)
}

fn copy_volumes(volumes: &BTreeSet<Digest>, from: &Path, to: &Path) -> Result<(), StoreError> {
    for digest in volumes {
        let place = digest.file_in(to);
        if !place.exists() {
            copy_volume(digest, from, &place)?;
        }
    }
    Ok(())
}

/// Copies a volume; it appears whole or not at all.
pub(super) fn copy_volume(digest: &Digest, from: &Path, place: &Path) -> Result<(), StoreError> {
    fs::create_dir_all(place.parent().unwrap_or(place))?;
    let partial = place.with_extension("partial");
    fs::copy(digest.file_in(from), &partial)?;
    if Digest::of_file(&partial)? != *digest {
        fs::remove_file(&partial)?;
        return Err(refused(
            format!("the volume {digest} is damaged"),
            "`i3deep verify` says what else is; a scan heals when the same file is uploaded again",
        ));
    }
    File::open(&partial)?.sync_all()?;
    Ok(fs::rename(&partial, place)?)
}

/// Puts a backup in the place of what a data folder holds. What was there goes to quarantine; the server must not be
/// running.
///
/// # Errors
/// [`StoreError::Refused`] if the backup is not whole, and [`StoreError::InUse`]; the folder is then as it was.
pub async fn restore(from: &Path, data: &Path) -> Result<Copied, StoreError> {
    let manifest = check(from).await?;
    let folder = Folder::take(data)?;
    copy_restored(&manifest.volumes, &from.join(BLOBS), data)?;
    let prepared = data.join(format!("{DATABASE}.restored"));
    prepare(&from.join(DATABASE), &prepared, &manifest, Mark::read(data)?).await?;
    let present: Vec<PathBuf> = ["-wal", "-shm", ""]
        .map(|end| data.join(format!("{DATABASE}{end}")))
        .into_iter()
        .filter(|file| file.exists())
        .collect();
    if !present.is_empty() {
        folder.quarantine(&present, &today())?;
    }
    fs::rename(&prepared, folder.database())?;
    File::open(data)?.sync_all()?;
    let mut connection = open_to_read(&folder.database()).await?;
    if let Some(mark) = Mark::of_database(&mut connection).await? {
        mark.write(data)?;
    }
    Ok(manifest.copied())
}

/// Whether a backup is whole: every row and every volume.
async fn check(from: &Path) -> Result<Manifest, StoreError> {
    let advice = "choose another backup";
    let text = fs::read(from.join(MANIFEST))
        .map_err(|error| refused(format!("{} is no finished backup ({MANIFEST}: {error})", from.display()), advice))?;
    let manifest: Manifest = serde_json::from_slice(&text)?;
    if manifest.format != FORMAT {
        return Err(refused(
            format!("the backup has format {}, this program reads {FORMAT}", manifest.format),
            "update i3deep",
        ));
    }
    let mut database = open_to_read(&from.join(DATABASE)).await?;
    let mut problems = differences(&manifest.rows, &rows(&mut database).await?);
    database.close().await?;
    for digest in &manifest.volumes {
        match Digest::of_file(&digest.file_in(&from.join(BLOBS))) {
            Ok(content) if content == *digest => {}
            Ok(_) => problems.push(format!("the volume {digest} is damaged")),
            Err(error) => problems.push(format!("the volume {digest} cannot be read: {error}")),
        }
    }
    match problems.first() {
        None => Ok(manifest),
        Some(first) => Err(refused(format!("the backup is damaged in {} places: {first}", problems.len()), advice)),
    }
}

/// Adds what is wanting; a volume of the same name that is damaged goes to quarantine.
fn copy_restored(volumes: &BTreeSet<Digest>, from: &Path, data: &Path) -> Result<(), StoreError> {
    for digest in volumes {
        let place = digest.file_in(&data.join(BLOBS));
        if place.exists() {
            if Digest::of_file(&place)? == *digest {
                continue;
            }
            folder::quarantine(data, std::slice::from_ref(&place), &today())?;
        }
        copy_volume(digest, from, &place)?;
    }
    Ok(())
}

/// A copy of the backup's database that goes on in an epoch of its own; every row is compared before.
async fn prepare(from: &Path, prepared: &Path, manifest: &Manifest, seen: Option<Mark>) -> Result<(), StoreError> {
    fs::copy(from, prepared)?;
    let options =
        SqliteConnectOptions::new().filename(prepared).journal_mode(SqliteJournalMode::Delete).foreign_keys(true);
    let mut connection: SqliteConnection = options.connect().await?;
    let differing = differences(&manifest.rows, &rows(&mut connection).await?);
    if let Some(first) = differing.first() {
        return Err(refused(format!("the database did not arrive whole: {first}"), "try again"));
    }
    let mut change = connection.begin().await?;
    begin_epoch(&mut change, seen.as_ref()).await?;
    change.commit().await?;
    connection.close().await?;
    Ok(File::open(prepared)?.sync_all()?)
}

fn write_synced(file: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::write(file, bytes)?;
    File::open(file)?.sync_all()?;
    File::open(file.parent().unwrap_or(file))?.sync_all()
}

fn refused(problem: String, advice: &'static str) -> StoreError {
    StoreError::Refused { problem, advice }
}
