//! A data folder as it lies there, before a database is opened in it. No start deletes anything: what does not fit is
//! refused in words, and what nobody knows is moved to quarantine.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::mark::Mark;
use super::{Digest, StoreError, is_scratch};

/// The database's file.
pub(super) const DATABASE: &str = "i3deep.sqlite";
/// Volumes.
pub(super) const BLOBS: &str = "blobs";
/// What was made of volumes for the browser, and can be made again.
pub(super) const PACKED: &str = "packed";
/// Files that do not outlive the server.
pub(super) const WORK: &str = "work";
/// What was found and is not known; a folder a day.
pub(super) const QUARANTINE: &str = "quarantine";

/// A data folder that this process has for itself.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Takes a folder, which is made if it is not there.
    ///
    /// # Errors
    /// [`StoreError::InUse`]; [`StoreError::Refused`] if it is full of other things.
    pub(super) fn take(data: &Path) -> Result<Self, StoreError> {
        fs::create_dir_all(data)?;
        if let Some(stranger) = stranger(data)? {
            return Err(StoreError::Refused {
                problem: format!("it holds something that is not i3Deep's ({stranger}) and no database"),
                advice: "choose an empty folder, or one that i3Deep has worked in",
            });
        }
        // Scans are nobody's to read but the server's.
        #[cfg(unix)]
        if let Err(error) = fs::set_permissions(data, std::os::unix::fs::PermissionsExt::from_mode(0o700)) {
            tracing::warn!("other users of this machine may be able to read {}: {error}", data.display());
        }
        let lock = File::create(data.join("lock"))?;
        lock.try_lock().map_err(|_| StoreError::InUse(data.to_owned()))?;
        Ok(Self { path: data.to_owned(), _lock: lock })
    }

    /// The database's file.
    pub(super) fn database(&self) -> PathBuf {
        self.path.join(DATABASE)
    }

    /// Whether there is no database because nothing has ever been here.
    ///
    /// # Errors
    /// [`StoreError::Refused`] if there is none although there should be.
    pub(super) fn is_new(&self) -> Result<bool, StoreError> {
        if self.database().exists() {
            return Ok(false);
        }
        let log = self.path.join(format!("{DATABASE}-wal"));
        let blobs = stored(&self.path.join(BLOBS))?.len();
        let signs = [
            (log.exists(), format!("its log {DATABASE}-wal is there")),
            (blobs > 0, format!("{blobs} stored volumes are there")),
            (Mark::read(&self.path)?.is_some(), "mark.json says that there was one".to_owned()),
        ];
        match signs.into_iter().find(|(there, _)| *there) {
            None => Ok(true),
            Some((_, sign)) => Err(StoreError::Refused {
                problem: format!("the database {DATABASE} is missing, but {sign}"),
                advice: "put the database back where it was, or restore a backup with `i3deep restore`",
            }),
        }
    }

    /// Makes the folder for what does not outlive the server; what the last server left in it goes.
    pub(super) fn clear_work(&self) -> Result<PathBuf, StoreError> {
        let work = self.path.join(WORK);
        fs::create_dir_all(&work)?;
        for entry in fs::read_dir(&work)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() && is_scratch(&entry.file_name().to_string_lossy()) {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(work)
    }

    /// Moves files to the quarantine of a day.
    pub(super) fn quarantine(&self, files: &[PathBuf], day: &str) -> io::Result<PathBuf> {
        quarantine(&self.path, files, day)
    }
}

/// Moves files to the quarantine of a day; a name that is there already gets a number. Returns where they are.
pub(super) fn quarantine(data: &Path, files: &[PathBuf], day: &str) -> io::Result<PathBuf> {
    let folder = data.join(QUARANTINE).join(day);
    fs::create_dir_all(&folder)?;
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let names = std::iter::once(name.clone()).chain((1..).map(|n| format!("{name}.{n}")));
        if let Some(place) = names.map(|name| folder.join(name)).find(|place| !place.exists()) {
            fs::rename(file, place)?;
        }
    }
    File::open(&folder)?.sync_all()?;
    Ok(folder)
}

/// Writes a page to the disk and takes it back.
pub(super) fn try_write(file: &Path) -> io::Result<()> {
    let written = File::create(file).and_then(|mut file| file.write_all(&[0; 4096]).and_then(|()| file.sync_all()));
    // What cannot be removed is written over the next time.
    let _ = fs::remove_file(file);
    written
}

/// Something in a folder without a database that i3Deep has not put there. A disk of its own has `lost+found`, and
/// systems leave hidden files.
fn stranger(data: &Path) -> io::Result<Option<String>> {
    const OURS: [&str; 9] =
        ["lock", BLOBS, PACKED, WORK, QUARANTINE, "mark.json", "mark.partial", "ready.partial", "lost+found"];
    if data.join(DATABASE).exists() {
        return Ok(None);
    }
    for entry in fs::read_dir(data)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !OURS.contains(&name.as_str()) && !name.starts_with(DATABASE) && !name.starts_with('.') {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// The database of a data folder, which somebody else may have open.
///
/// # Errors
/// [`StoreError::Refused`] if there is none.
pub(super) fn database_in(data: &Path) -> Result<PathBuf, StoreError> {
    let database = data.join(DATABASE);
    if database.exists() {
        return Ok(database);
    }
    Err(StoreError::Refused {
        problem: format!("there is no database in {}", data.display()),
        advice: "name the folder that `i3deep serve --data` works in",
    })
}

/// What is said of a database that lacks what this program looks for.
pub(super) fn older() -> StoreError {
    StoreError::Refused {
        problem: "the database is that of an older i3deep".to_owned(),
        advice: "start the server once, which brings it up to date",
    }
}

/// All files in a folder of blobs that have the name of one.
pub(super) fn stored(blobs: &Path) -> io::Result<BTreeSet<Digest>> {
    Ok(files(blobs)?.iter().filter_map(|file| Digest::from_file_name(file)).collect())
}

/// All files in a folder of blobs, also those that were cut off while they were written.
pub(super) fn files(blobs: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    if !blobs.exists() {
        return Ok(files);
    }
    for folder in fs::read_dir(blobs)? {
        let folder = folder?;
        if folder.file_type()?.is_dir() {
            for file in fs::read_dir(folder.path())? {
                files.push(file?.path());
            }
        }
    }
    Ok(files)
}
