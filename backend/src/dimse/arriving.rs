//! Series that are coming, image by image, in whatever order and over however many associations.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::scan_io::file_identity;
use crate::store::is_full;

use super::message::Status;

/// Series that come at a time.
const SERIES_LIMIT: usize = 64;
/// Most images of one; the longest have some thousand slices.
const IMAGES_LIMIT: usize = 8192;

/// A series that is quiet.
#[derive(Debug)]
pub struct Arrived {
    /// Its files.
    pub files: Vec<PathBuf>,
    /// What holds them, to be removed when they are dealt with.
    pub folder: PathBuf,
    /// What the sender calls itself.
    pub sender: String,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Arriving {
    folder: PathBuf,
    limit_bytes: u64,
    series: Mutex<HashMap<String, Series>>,
}

#[derive(Debug)]
struct Series {
    folder: PathBuf,
    /// By what the image is called: what comes twice is there once.
    files: HashMap<String, PathBuf>,
    bytes: u64,
    last: Instant,
    sender: String,
}

impl Arriving {
    pub(super) fn new(folder: PathBuf, limit_bytes: u64) -> Self {
        Self { folder, limit_bytes, series: Mutex::new(HashMap::new()) }
    }

    /// A file for an image that begins to come.
    pub(super) fn begin(&self) -> io::Result<Incoming> {
        let path = self.folder.join(format!("image-{}", uuid::Uuid::new_v4().simple()));
        Ok(Incoming { out: BufWriter::new(File::create(&path)?), path, left: self.limit_bytes, failed: None })
    }

    /// An image is here whole: it joins its series, or goes.
    pub(super) fn end(&self, incoming: Incoming, instance: &str, sender: &str) -> Status {
        let outcome = self.join(&incoming.path, incoming.out, incoming.failed, instance, sender);
        if outcome != Status::Success {
            // What cannot be removed now is removed at the next start.
            let _ = std::fs::remove_file(&incoming.path);
        }
        outcome
    }

    fn join(
        &self,
        path: &Path,
        mut out: BufWriter<File>,
        failed: Option<Status>,
        instance: &str,
        sender: &str,
    ) -> Status {
        if let Some(status) = failed.or(out.flush().err().map(|error| status_of(&error))) {
            return status;
        }
        let Ok(identity) = file_identity(path) else { return Status::CannotUnderstand };
        if identity.instance != instance {
            return Status::DoesNotMatch;
        }
        let bytes = std::fs::metadata(path).map_or(0, |data| data.len());
        let mut all = self.all();
        if !all.contains_key(&identity.series) && all.len() >= SERIES_LIMIT {
            return Status::OutOfResources;
        }
        let folder = || self.folder.join(format!("series-{}", uuid::Uuid::new_v4().simple()));
        let series = all.entry(identity.series).or_insert_with(|| Series {
            folder: folder(),
            files: HashMap::new(),
            bytes: 0,
            last: Instant::now(),
            sender: sender.to_owned(),
        });
        if series.files.len() >= IMAGES_LIMIT || series.bytes + bytes > self.limit_bytes {
            return Status::OutOfResources;
        }
        let place = series.folder.join(series.files.len().to_string());
        let place = series.files.get(&identity.instance).cloned().unwrap_or(place);
        let moved = std::fs::create_dir_all(&series.folder).and_then(|()| std::fs::rename(path, &place));
        if let Err(error) = moved {
            return status_of(&error);
        }
        series.files.insert(identity.instance, place);
        series.bytes += bytes;
        series.last = Instant::now();
        Status::Success
    }

    /// Those that have been quiet for so long; they are not told again.
    pub(super) fn quiet(&self, quiet: Duration) -> Vec<Arrived> {
        let taken = self.all().extract_if(|_, series| series.last.elapsed() >= quiet).collect::<Vec<_>>();
        let arrived = |(_, series): (String, Series)| {
            let mut files: Vec<PathBuf> = series.files.into_values().collect();
            files.sort();
            Arrived { files, folder: series.folder, sender: series.sender }
        };
        taken.into_iter().map(arrived).collect()
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, Series>> {
        self.series.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An image that is coming.
pub(super) struct Incoming {
    path: PathBuf,
    out: BufWriter<File>,
    left: u64,
    /// What went wrong; the rest is not kept, and the sender told in the end.
    failed: Option<Status>,
}

impl Incoming {
    /// More of it.
    pub(super) fn add(&mut self, bytes: &[u8]) {
        if self.failed.is_some() {
            return;
        }
        self.failed = match self.left.checked_sub(bytes.len() as u64) {
            None => Some(Status::OutOfResources),
            Some(left) => {
                self.left = left;
                self.out.write_all(bytes).err().map(|error| status_of(&error))
            }
        };
    }

    /// It will not come whole.
    pub(super) fn forget(self) {
        // What cannot be removed now is removed at the next start.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn status_of(error: &io::Error) -> Status {
    if !is_full(error) {
        tracing::error!("an image that was sent cannot be kept: {error}");
    }
    Status::OutOfResources
}
