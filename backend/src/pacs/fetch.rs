//! WADO-RS (PS3.18, 10.4): a series' objects in one answer, which is what a PACS does best; and what did not come that
//! way several at a time, each by itself: what broke is fetched again alone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::find::{IMAGES_LIMIT, count_instances, find_instances, find_middle};
use super::objects::{Objects, Room};
use super::progress::Progress;
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
/// Largest object that is fetched to be looked at alone: one that holds a whole series would come twice.
const GLIMPSE_LIMIT_BYTES: u64 = 32 << 20;

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
    let study = uid(fetch.study)?;
    let series = fetch.series.iter().map(|series| uid(series)).collect::<Result<Vec<&str>, _>>()?;
    // A PACS may not say how many there are: then they are listed.
    let said: Vec<Option<usize>> =
        series.iter().map(|series| count_instances(source, study, series).ok().flatten()).collect();
    let of = said.iter().map(|count| count.unwrap_or(0)).sum::<usize>();
    progress.expect(of);
    let crew = Crew {
        source,
        folder: fetch.folder,
        room: Room::new(fetch.limit_bytes, progress),
        made: AtomicUsize::new(0),
        as_stored: AtomicBool::new(false),
    };
    let mut files = Vec::new();
    for (series, said) in series.into_iter().zip(said) {
        files.extend(crew.series(&format!("/studies/{study}/series/{series}"), (study, series), said)?);
    }
    Ok(files)
}

/// Fetches one object from the middle of a series to a file, so that it can be looked at while the others come.
///
/// # Errors
/// [`PacsError`].
pub fn glimpse(source: &Source, fetch: Fetch<'_>, progress: &Progress) -> Result<PathBuf, PacsError> {
    let (study, series) = (uid(fetch.study)?, uid(fetch.series.first().map_or("", String::as_str))?);
    let instance = find_middle(source, study, series)?;
    let crew = Crew {
        source,
        folder: fetch.folder,
        // Of the images that are counted, it is none.
        room: Room::new(fetch.limit_bytes.min(GLIMPSE_LIMIT_BYTES), progress),
        made: AtomicUsize::new(0),
        as_stored: AtomicBool::new(false),
    };
    let path = format!("/studies/{study}/series/{series}/instances/{instance}");
    let file = crew.file();
    crew.object(&path, &file)?;
    Ok(file)
}

/// Those who fetch series together.
struct Crew<'a> {
    source: &'a Source,
    folder: &'a Path,
    room: Room<'a>,
    /// Files that have been given a name.
    made: AtomicUsize,
    /// Whether the PACS has been found not to unpack.
    as_stored: AtomicBool,
}

impl Crew<'_> {
    /// A name that no file has.
    fn file(&self) -> PathBuf {
        self.folder.join(self.made.fetch_add(1, Ordering::Relaxed).to_string())
    }

    /// All objects of a series at this path, of which there are so many, as far as that was said.
    fn series(&self, path: &str, of: (&str, &str), said: Option<usize>) -> Result<Vec<PathBuf>, PacsError> {
        let (mut here, outcome) = self.together(path);
        match outcome {
            Err(error) if !may_do_otherwise(&error) => return Err(error),
            _ if said == Some(here.len()) => return Ok(here.into_values().collect()),
            _ => {}
        }
        let listed = find_instances(self.source, of.0, of.1)?;
        if listed.is_empty() {
            return Err(self.source.web.not_there());
        }
        let progress = self.room.progress;
        progress.expect_instead(said.unwrap_or(0), listed.len());
        let known: BTreeSet<&String> = listed.iter().collect();
        here.retain(|instance, _| {
            let is_listed = known.contains(instance);
            if !is_listed {
                progress.went();
            }
            is_listed
        });
        let missing: Vec<&String> = listed.iter().filter(|instance| !here.contains_key(*instance)).collect();
        let paths: Vec<String> = missing.iter().map(|instance| format!("{path}/instances/{instance}")).collect();
        here.extend(missing.into_iter().cloned().zip(self.apart(&paths)?));
        Ok(listed.iter().filter_map(|instance| here.remove(instance)).collect())
    }

    /// What comes of a series in one answer, by its identifier; and whether the answer came to its end.
    fn together(&self, path: &str) -> (BTreeMap<String, PathBuf>, Result<(), PacsError>) {
        let mut here = BTreeMap::new();
        let outcome = self.answer(path, |mut objects| {
            let mut file = self.file();
            while let Some(instance) = objects.next(&file)? {
                // What does not say what it is, or is here, will not be missed.
                let Some(instance) = instance.filter(|instance| !here.contains_key(instance)) else { continue };
                here.insert(instance, std::mem::replace(&mut file, self.file()));
                self.room.progress.came();
                if here.len() > IMAGES_LIMIT {
                    return Err(PacsError::TooMany(IMAGES_LIMIT));
                }
            }
            Ok(())
        });
        (here, outcome)
    }

    /// Objects, each by itself; their files, in their order.
    fn apart(&self, paths: &[String]) -> Result<Vec<PathBuf>, PacsError> {
        let files: Vec<PathBuf> = paths.iter().map(|_| self.file()).collect();
        let (next, failed) = (AtomicUsize::new(0), Mutex::new(None));
        let work = || {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let (Some(path), Some(file)) = (paths.get(number), files.get(number)) else { return };
                if let Err(error) = self.object(path, file) {
                    // The others stop then.
                    next.store(paths.len(), Ordering::Relaxed);
                    failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                    return;
                }
                self.room.progress.came();
            }
        };
        thread::scope(|scope| {
            for _ in 0..AT_ONCE.min(paths.len()) {
                scope.spawn(work);
            }
        });
        match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error),
            None => Ok(files),
        }
    }

    /// One object; it is asked for again where that may help.
    fn object(&self, path: &str, file: &Path) -> Result<(), PacsError> {
        let once = || {
            self.answer(path, |mut objects| match objects.next(file)? {
                Some(_) => Ok(()),
                None => Err(self.source.web.cut_off()),
            })
        };
        let mut wait = FIRST_WAIT;
        for _ in 1..TRIES {
            match once() {
                Err(error) if error.may_pass() && !self.room.progress.is_stopped() => thread::sleep(wait),
                outcome => return outcome,
            }
            wait *= 2;
        }
        once()
    }

    /// Asks for what is at a path, and takes the objects of the answer as they come.
    fn answer(&self, path: &str, take: impl FnOnce(Objects<'_>) -> Result<(), PacsError>) -> Result<(), PacsError> {
        let web = &self.source.web;
        if self.room.progress.is_stopped() {
            return Err(PacsError::Stopped);
        }
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
        let objects = Objects::of(&kind, Box::new(body), &self.room, web);
        take(objects.ok_or_else(|| web.odd("it is no DICOM"))?)
    }
}

/// Whether objects may come one by one where they did not come together: a PACS may not give whole series, or break
/// off.
fn may_do_otherwise(error: &PacsError) -> bool {
    matches!(error, PacsError::Away { .. } | PacsError::NotThere(_) | PacsError::Odd { .. })
}
