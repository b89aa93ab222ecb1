//! Volumes on disk, each named by the SHA-256 of its bytes, flushed before anything points at it. The only file that names `object_store`'s files.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use object_store::{ObjectStoreExt, PutPayload};
use sha2::{Digest as _, Sha256};

use super::StoreError;

/// The SHA-256 of a blob in hex.
pub type Digest = String;

/// Content-addressed blobs.
#[derive(Clone, Debug)]
pub struct Blobs {
    files: Arc<LocalFileSystem>,
    folder: PathBuf,
}

impl Blobs {
    /// Blobs in a folder.
    pub(super) fn open(folder: &Path) -> Result<Self, StoreError> {
        std::fs::create_dir_all(folder)?;
        let files = LocalFileSystem::new_with_prefix(folder)?.with_fsync(true);
        Ok(Self { files: Arc::new(files), folder: folder.canonicalize()? })
    }

    /// Stores bytes; the same bytes twice are one blob.
    ///
    /// # Errors
    /// [`StoreError::Full`], [`StoreError::Blobs`].
    pub async fn put(&self, bytes: impl Into<Bytes>) -> Result<Digest, StoreError> {
        let bytes = bytes.into();
        let digest = sha256(&bytes);
        if !self.path(&digest).is_file() {
            self.files.put(&key(&digest), PutPayload::from_bytes(bytes)).await?;
        }
        Ok(digest)
    }

    /// Reads a blob and compares it with its name.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], [`StoreError::Blobs`].
    pub async fn get(&self, digest: &Digest) -> Result<Bytes, StoreError> {
        let bytes = self.files.get(&key(digest)).await?.bytes().await?;
        if sha256(&bytes) == *digest { Ok(bytes) } else { Err(StoreError::Damaged) }
    }

    /// Where a blob lies, for a worker on this machine.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        self.folder.join(&digest[..2]).join(digest)
    }

    /// Deletes all other files, also those that were cut off while they were written, which the object store does not list.
    pub(super) fn keep_only(&self, used: &HashSet<Digest>) -> Result<(), StoreError> {
        for folder in std::fs::read_dir(&self.folder)? {
            let folder = folder?.path();
            if !folder.is_dir() {
                continue;
            }
            for file in std::fs::read_dir(&folder)? {
                let file = file?;
                if !file.file_name().to_str().is_some_and(|name| used.contains(name)) {
                    std::fs::remove_file(file.path())?;
                }
            }
        }
        Ok(())
    }
}

fn key(digest: &Digest) -> Key {
    Key::from_iter([&digest[..2], digest.as_str()])
}

fn sha256(bytes: &[u8]) -> Digest {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
