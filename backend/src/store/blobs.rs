//! Volumes on disk, each named by the SHA-256 of its bytes, flushed before anything points at it. The only file that
//! names `object_store`'s files.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use object_store::{ObjectStoreExt, PutPayload};

use super::digest::Digest;
use super::folder::{self, BLOBS};
use super::{StoreError, today};

/// Content-addressed blobs.
#[derive(Clone, Debug)]
pub struct Blobs {
    files: Arc<LocalFileSystem>,
    folder: PathBuf,
    data: PathBuf,
    /// Written by this process since they were last asked for.
    fresh: Arc<Mutex<BTreeSet<Digest>>>,
}

impl Blobs {
    /// Blobs in a folder of a data folder.
    pub(super) fn open(folder: &Path, data: &Path) -> Result<Self, StoreError> {
        std::fs::create_dir_all(folder)?;
        let files = LocalFileSystem::new_with_prefix(folder)?.with_fsync(true);
        Ok(Self {
            files: Arc::new(files),
            folder: folder.canonicalize()?,
            data: data.canonicalize()?,
            fresh: Arc::default(),
        })
    }

    /// Stores bytes; the same bytes twice are one blob. One that is there and damaged heals: the damaged file goes to
    /// quarantine.
    ///
    /// # Errors
    /// [`StoreError::Full`], [`StoreError::Blobs`].
    pub async fn put(&self, bytes: impl Into<Bytes>) -> Result<Digest, StoreError> {
        let bytes = bytes.into();
        let digest = Digest::of(&bytes);
        let file = self.path(&digest);
        if file.is_file() {
            if std::fs::read(&file).is_ok_and(|stored| stored == bytes) {
                return Ok(digest);
            }
            self.set_aside(&digest, file)?;
        } else {
            self.fresh.lock().unwrap_or_else(PoisonError::into_inner).insert(digest.clone());
        }
        self.files.put(&key(&digest), PutPayload::from_bytes(bytes)).await?;
        Ok(digest)
    }

    /// As [`Blobs::put`] with a file of the data folder, which is moved and never held in memory.
    ///
    /// # Errors
    /// [`StoreError::Full`], [`StoreError::Files`].
    pub async fn take(&self, file: PathBuf) -> Result<Digest, StoreError> {
        let blobs = self.clone();
        let moved = tokio::task::spawn_blocking(move || blobs.move_in(&file)).await;
        moved.map_err(|error| StoreError::Files(io::Error::other(error)))?
    }

    fn move_in(&self, from: &Path) -> Result<Digest, StoreError> {
        let digest = Digest::of_file(from)?;
        let file = self.path(&digest);
        if file.is_file() {
            if Digest::of_file(&file).is_ok_and(|stored| stored == digest) {
                return Ok(digest);
            }
            self.set_aside(&digest, file.clone())?;
        } else {
            self.fresh.lock().unwrap_or_else(PoisonError::into_inner).insert(digest.clone());
        }
        File::open(from)?.sync_all()?;
        let folder = file.parent().unwrap_or(&self.folder);
        let is_new = !folder.is_dir();
        std::fs::create_dir_all(folder)?;
        std::fs::rename(from, &file)?;
        File::open(folder)?.sync_all()?;
        if is_new {
            File::open(&self.folder)?.sync_all()?;
        }
        Ok(digest)
    }

    fn set_aside(&self, digest: &Digest, damaged: PathBuf) -> io::Result<()> {
        let place = folder::quarantine(&self.data, &[damaged], &today())?;
        let place = place.display();
        tracing::warn!("the volume {digest} was damaged and is stored anew; the damaged file is in {place}");
        Ok(())
    }

    /// Reads a blob and compares it with its name.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], [`StoreError::Blobs`].
    pub async fn get(&self, digest: &Digest) -> Result<Bytes, StoreError> {
        let bytes = self.files.get(&key(digest)).await?.bytes().await?;
        if Digest::of(&bytes) == *digest { Ok(bytes) } else { Err(StoreError::Damaged(digest.clone())) }
    }

    /// Reads a part of a blob. It cannot be compared with the blob's name: for pictures, and for nothing that is
    /// computed with.
    ///
    /// # Errors
    /// [`StoreError::Blobs`].
    pub async fn part(&self, digest: &Digest, bytes: Range<u64>) -> Result<Bytes, StoreError> {
        Ok(self.files.get_range(&key(digest), bytes).await?)
    }

    /// Where all blobs lie, for a worker on this machine.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where a blob lies.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        digest.file_in(&self.folder)
    }

    /// What this process has written since it was last asked.
    pub(super) fn take_fresh(&self) -> BTreeSet<Digest> {
        std::mem::take(&mut *self.fresh.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Deletes a blob, if it is there.
    pub(super) fn remove(&self, digest: &Digest) -> io::Result<()> {
        match std::fs::remove_file(self.path(digest)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Names those that are wanting.
    pub(super) fn check_all_there(&self, named: &BTreeSet<Digest>) -> Result<(), StoreError> {
        let missing: Vec<&Digest> = named.iter().filter(|digest| !self.path(digest).is_file()).collect();
        let Some(first) = missing.first() else { return Ok(()) };
        Err(StoreError::Refused {
            problem: format!(
                "{} of {} volumes that the database names are missing from {BLOBS}/, such as {first}",
                missing.len(),
                named.len()
            ),
            advice: "put them back, or restore a backup with `i3deep restore`. To go on without them, start once with \
                     --accept-data-as-it-is",
        })
    }
}

fn key(digest: &Digest) -> Key {
    Key::from_iter([digest.as_str().get(..2).unwrap_or_default(), digest.as_str()])
}
