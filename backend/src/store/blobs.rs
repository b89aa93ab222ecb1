//! Volumes on disk, each named by the SHA-256 of its bytes, flushed before anything points at it. The only file that
//! names `object_store`'s files.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use object_store::{ObjectStoreExt, PutPayload};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{StoreError, folder, today};

/// The SHA-256 of a blob in hex.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, sqlx::Type)]
#[serde(transparent)]
#[sqlx(transparent)]
pub struct Digest(String);

impl Digest {
    /// The digest of bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self::from_hash(&Sha256::digest(bytes))
    }

    /// The digest of a file, which is read piece by piece.
    ///
    /// # Errors
    /// The system's.
    pub fn of_file(file: &Path) -> io::Result<Self> {
        let mut hash = Sha256::new();
        let mut reader = File::open(file)?;
        let mut buffer = vec![0; 1 << 16];
        loop {
            match reader.read(&mut buffer)? {
                0 => return Ok(Self::from_hash(&hash.finalize())),
                n => hash.update(&buffer[..n]),
            }
        }
    }

    fn from_hash(hash: &[u8]) -> Self {
        Self(hash.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The digest that a file is named by, if it is named by one.
    pub(super) fn from_file_name(file: &Path) -> Option<Self> {
        let name = file.file_name()?.to_str()?;
        (name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| Self(name.to_owned()))
    }

    /// In hex.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where a blob of this name lies in a folder of blobs.
    pub fn file_in(&self, folder: &Path) -> PathBuf {
        folder.join(self.0.get(..2).unwrap_or_default()).join(&self.0)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

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
            let place = folder::quarantine(&self.data, &[file], &today())?;
            tracing::warn!(
                "the volume {digest} was damaged and is stored anew; the damaged file is in {}",
                place.display()
            );
        } else {
            self.fresh.lock().unwrap_or_else(PoisonError::into_inner).insert(digest.clone());
        }
        self.files.put(&key(&digest), PutPayload::from_bytes(bytes)).await?;
        Ok(digest)
    }

    /// Reads a blob and compares it with its name.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], [`StoreError::Blobs`].
    pub async fn get(&self, digest: &Digest) -> Result<Bytes, StoreError> {
        let bytes = self.files.get(&key(digest)).await?.bytes().await?;
        if Digest::of(&bytes) == *digest { Ok(bytes) } else { Err(StoreError::Damaged(digest.clone())) }
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
}

fn key(digest: &Digest) -> Key {
    Key::from_iter([digest.0.get(..2).unwrap_or_default(), digest.as_str()])
}
