//! Bundles on offer: the one place that looks through their folder.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use shared::api::BundleInfo;
use shared::label::LabelSet;

use super::{Bundle, BundleError};

/// Folders within `models` that hold a `bundle.json`, by name.
///
/// # Errors
/// The system's, if `models` cannot be read.
pub fn folders(models: &Path) -> std::io::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(models)?;
    // What is hidden is still being made.
    let hidden = |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    let folders = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut folders: Vec<PathBuf> =
        folders.filter(|path| !hidden(path) && path.join("bundle.json").is_file()).collect();
    folders.sort();
    Ok(folders)
}

/// The folder of bundles. Looked through anew whenever someone asks, so that a bundle copied there is offered without a
/// restart; digests, which take long, are compared once per version of a `bundle.json` (again and again while they
/// differ: the bundle may be on its way here), and by the worker before every job.
#[derive(Debug)]
pub struct Catalogue {
    folder: PathBuf,
    verified: Mutex<HashMap<PathBuf, SystemTime>>,
}

impl Catalogue {
    /// Bundles in a folder.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, verified: Mutex::default() }
    }

    /// All bundles by name; those that cannot be used say why.
    pub fn list(&self) -> Vec<BundleInfo> {
        folders(&self.folder).unwrap_or_default().iter().map(|folder| self.info(folder)).collect()
    }

    /// The bundle that is listed under a name.
    ///
    /// # Errors
    /// [`BundleError`].
    pub fn open(&self, name: &str) -> Result<Bundle, BundleError> {
        Bundle::read(&self.folder.join(name))
    }

    fn info(&self, folder: &Path) -> BundleInfo {
        let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        match Bundle::read(folder) {
            Ok(bundle) => BundleInfo {
                name,
                version: bundle.manifest.version.clone(),
                task: bundle.manifest.task.clone(),
                channels: bundle.manifest.channels.clone(),
                labels: bundle.manifest.labels.clone(),
                problem: self.damage(&bundle),
            },
            Err(error) => BundleInfo {
                name,
                version: String::new(),
                task: String::new(),
                channels: Vec::new(),
                labels: LabelSet::default(),
                problem: Some(error.to_string()),
            },
        }
    }

    fn damage(&self, bundle: &Bundle) -> Option<String> {
        let changed = std::fs::metadata(bundle.folder.join("bundle.json"))
            .and_then(|data| data.modified())
            .unwrap_or(SystemTime::UNIX_EPOCH);
        if self.verified.lock().unwrap_or_else(PoisonError::into_inner).get(&bundle.folder) == Some(&changed) {
            return None;
        }
        let problem = bundle.verify().err().map(|error| error.to_string());
        if problem.is_none() {
            self.verified.lock().unwrap_or_else(PoisonError::into_inner).insert(bundle.folder.clone(), changed);
        }
        problem
    }
}
