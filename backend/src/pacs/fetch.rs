//! WADO-RS (PS3.18, 10.4): a series' objects, several at a time, each by itself: what broke is fetched again alone.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::find::find_instances;
use super::related::{boundary, first_part};
use super::sources::Source;
use super::{PacsError, uid};

/// Objects that are on their way at a time.
const AT_ONCE: usize = 4;
/// How often an object is asked for.
const TRIES: u32 = 4;
/// The wait before the second time; it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// Uncompressed, which every decoder reads; a PACS that does not unpack is asked for what it has.
const PLAIN: &str = "multipart/related; type=\"application/dicom\"; transfer-syntax=1.2.840.10008.1.2.1";
const AS_STORED: &str = "multipart/related; type=\"application/dicom\"; transfer-syntax=*";

/// How far a fetch is, and whether it is still wanted.
#[derive(Debug, Default)]
pub struct Progress {
    fetched: AtomicU32,
    of: AtomicU32,
    is_stopped: AtomicBool,
}

impl Progress {
    /// Objects that are here.
    pub fn fetched(&self) -> u32 {
        self.fetched.load(Ordering::Relaxed)
    }

    /// Objects there will be; 0 as long as that is not known.
    pub fn of(&self) -> u32 {
        self.of.load(Ordering::Relaxed)
    }

    /// It is not wanted any more.
    pub fn stop(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
    }

    /// Whether it is not wanted any more.
    pub fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Relaxed)
    }
}

/// What to fetch, and where to.
#[derive(Clone, Copy, Debug)]
pub struct Fetch<'a> {
    /// The study.
    pub study: &'a str,
    /// Its series, in the order in which their files are wanted.
    pub series: &'a [String],
    /// A folder for the files, whose names are numbers.
    pub folder: &'a Path,
    /// Most bytes of all files together.
    pub limit_bytes: u64,
}

/// Fetches all objects of series to files; blocks until they are here.
///
/// # Errors
/// [`PacsError`]; files that came before it are left in the folder.
pub fn fetch(source: &Source, fetch: Fetch<'_>, progress: &Progress) -> Result<Vec<PathBuf>, PacsError> {
    let (study, mut objects) = (uid(fetch.study)?, Vec::new());
    for series in fetch.series {
        let instances = find_instances(source, study, series)?;
        if instances.is_empty() {
            return Err(source.web.not_there());
        }
        let path = |instance: &String| format!("/studies/{study}/series/{series}/instances/{instance}");
        objects.extend(instances.iter().map(path));
        if progress.is_stopped() {
            return Err(PacsError::Stopped);
        }
    }
    progress.of.store(u32::try_from(objects.len()).unwrap_or(u32::MAX), Ordering::Relaxed);
    let files: Vec<PathBuf> = (0..objects.len()).map(|number| fetch.folder.join(number.to_string())).collect();
    let crew = Crew {
        source,
        progress,
        next: AtomicUsize::new(0),
        left: AtomicU64::new(fetch.limit_bytes),
        limit_bytes: fetch.limit_bytes,
        as_stored: AtomicBool::new(false),
        failed: Mutex::new(None),
    };
    thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(objects.len()) {
            scope.spawn(|| crew.work(&objects, &files));
        }
    });
    match crew.failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(files),
    }
}

/// Those who fetch a series together.
struct Crew<'a> {
    source: &'a Source,
    progress: &'a Progress,
    next: AtomicUsize,
    left: AtomicU64,
    limit_bytes: u64,
    /// Whether the PACS has been found not to unpack.
    as_stored: AtomicBool,
    /// What went wrong first; the others stop then.
    failed: Mutex<Option<PacsError>>,
}

impl Crew<'_> {
    fn work(&self, objects: &[String], files: &[PathBuf]) {
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let (Some(object), Some(file)) = (objects.get(number), files.get(number)) else { return };
            if let Err(error) = self.object(object, file) {
                self.next.store(objects.len(), Ordering::Relaxed);
                self.failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                return;
            }
            self.progress.fetched.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn object(&self, path: &str, file: &Path) -> Result<(), PacsError> {
        let mut wait = FIRST_WAIT;
        for _ in 1..TRIES {
            match self.once(path, file) {
                Err(error) if error.may_pass() && !self.progress.is_stopped() => thread::sleep(wait),
                outcome => return outcome,
            }
            wait *= 2;
        }
        self.once(path, file)
    }

    fn once(&self, path: &str, file: &Path) -> Result<(), PacsError> {
        let web = &self.source.web;
        let answer = match self.as_stored.load(Ordering::Relaxed) {
            true => None,
            false => web.fetch(path, PLAIN)?,
        };
        let (kind, body) = match answer {
            Some(answer) => answer,
            None => {
                self.as_stored.store(true, Ordering::Relaxed);
                web.fetch(path, AS_STORED)?.ok_or_else(|| web.odd("it gives no objects"))?
            }
        };
        let mut out = BufWriter::new(Counted { to: File::create(file)?, taken: 0, crew: self });
        let outcome = self.copy(&kind, BufReader::with_capacity(64 << 10, body), &mut out);
        let outcome = outcome.and_then(|()| Ok(out.flush()?));
        let counted = out.get_ref().taken;
        outcome.map_err(|error| {
            // What will be fetched again is not counted twice.
            self.left.fetch_add(counted, Ordering::Relaxed);
            match error {
                PacsError::Files(error) => self.reason(error),
                other => other,
            }
        })
    }

    fn copy(&self, kind: &str, mut body: impl io::BufRead, out: &mut impl Write) -> Result<(), PacsError> {
        match boundary(kind) {
            Some(boundary) => Ok(first_part(body, &boundary, out)?),
            // Some send a single object as it is.
            None if kind.starts_with("application/dicom") => {
                io::copy(&mut body, out)?;
                Ok(())
            }
            None => Err(self.source.web.odd("it is no DICOM")),
        }
    }

    /// What an error of reading and writing means here.
    fn reason(&self, error: io::Error) -> PacsError {
        match error.kind() {
            _ if self.progress.is_stopped() => PacsError::Stopped,
            io::ErrorKind::QuotaExceeded => PacsError::TooLarge { limit_bytes: self.limit_bytes },
            _ if crate::store::is_full(&error) => PacsError::Files(error),
            _ => self.source.web.cut_off(),
        }
    }
}

/// A file that takes no more than all files may.
struct Counted<'a> {
    to: File,
    taken: u64,
    crew: &'a Crew<'a>,
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.crew.progress.is_stopped() {
            return Err(io::ErrorKind::Other.into());
        }
        let less = |left: u64| left.checked_sub(bytes.len() as u64);
        if self.crew.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_err() {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        self.taken += bytes.len() as u64;
        self.to.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
