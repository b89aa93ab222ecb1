//! What a blob is named by.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

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
