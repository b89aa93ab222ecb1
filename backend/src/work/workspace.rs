//! Where the worker finds what a task names: blobs by their digest, bundles by their name; and where it leaves what it
//! makes.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use shared::case::JobId;

use crate::store::{Digest, StoreError};

/// The folders that a worker on this machine shares with its server.
#[derive(Clone, Debug)]
pub struct Folders {
    /// Blobs by digest.
    pub blobs: PathBuf,
    /// Bundles by name.
    pub models: PathBuf,
    /// A folder for each job's output.
    pub work: PathBuf,
}

impl Folders {
    /// Where a run of a job leaves its files.
    pub(super) fn out(&self, job: JobId, attempt: i64) -> PathBuf {
        self.work.join(format!("job-{job}-{attempt}"))
    }
}

/// One run of a job's view of the [`Folders`].
#[derive(Debug)]
pub(super) struct Workspace {
    folders: Folders,
    out: PathBuf,
}

impl Workspace {
    /// The workspace of a run; makes its folder.
    pub(super) fn new(folders: &Folders, job: JobId, attempt: i64) -> Result<Self> {
        let out = folders.out(job, attempt);
        std::fs::create_dir_all(&out)?;
        Ok(Self { folders: folders.clone(), out })
    }

    /// Where the job's files go.
    pub(super) fn out(&self) -> &Path {
        &self.out
    }

    /// A bundle's folder.
    pub(super) fn bundle(&self, name: &str) -> PathBuf {
        self.folders.models.join(name)
    }

    /// A blob as a file, compared with its digest before a byte of it is used.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if it is not what was stored, or the system's words.
    pub(super) fn blob(&self, digest: &Digest) -> Result<PathBuf> {
        let file = digest.file_in(&self.folders.blobs);
        if Digest::of_file(&file).context("a stored volume cannot be read")? != *digest {
            bail!(StoreError::Damaged(digest.clone()));
        }
        Ok(file)
    }

    /// As [`Workspace::blob`], one after another.
    pub(super) fn blobs(&self, digests: &[Digest]) -> Result<Vec<PathBuf>> {
        digests.iter().map(|digest| self.blob(digest)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_that_is_not_what_was_stored_is_not_handed_out() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let folders = Folders { blobs: at("blobs"), models: at("models"), work: at("work") };
        let workspace = Workspace::new(&folders, JobId(7), 1).unwrap();
        let digest = Digest::of(b"scan");
        let file = digest.file_in(&folders.blobs);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, "scan").unwrap();
        assert_eq!(workspace.blob(&digest).unwrap(), file);
        std::fs::write(&file, "scam").unwrap();
        let refused = workspace.blob(&digest).unwrap_err().to_string();
        assert!(refused.starts_with(&format!("the stored volume {digest} is damaged")), "{refused}");
        assert_eq!(workspace.out(), at("work").join("job-7-1"));
    }
}
