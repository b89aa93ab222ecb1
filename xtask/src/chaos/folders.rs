//! Data folders that do not fit together, as disks and hands leave them: the program refuses each by name, says what to
//! do, and deletes nothing. On copies of the folder that the people have worked in.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::bed::Bed;
use crate::process;

const DATABASE: &str = "i3deep.sqlite";
const LOG: &str = "i3deep.sqlite-wal";
/// Bytes of a page of the database.
const PAGE: usize = 4096;

/// What happens to a folder.
enum Fault {
    Missing,
    Older,
    LogMissing,
    Cut,
    PageDamaged,
    VolumeMissing,
    VolumeFlipped,
}

/// Each fault, and words that name it.
const FAULTS: [(Fault, &str, &str); 7] = [
    (Fault::Missing, "database missing", "the database i3deep.sqlite is missing"),
    (Fault::Older, "database older", "the database i3deep.sqlite is older than this folder"),
    (Fault::LogMissing, "-wal missing", "its log i3deep.sqlite-wal is missing"),
    (Fault::Cut, "database cut", "the database i3deep.sqlite is damaged"),
    (Fault::PageDamaged, "page damaged", "the database i3deep.sqlite is damaged"),
    (Fault::VolumeMissing, "volume missing", "volumes that the database names are missing from blobs/"),
    (Fault::VolumeFlipped, "volume flipped", "is damaged: its content has another digest"),
];

/// Tries every fault.
pub(super) fn check(bed: &Bed) -> Result<()> {
    let before = bed.data().with_extension("before");
    copy(&bed.data(), &before)?;
    // A later day's folder, as a power cut leaves it: the last saves stand in the log only.
    let later = bed.data().with_extension("later");
    copy(&bed.data(), &later)?;
    killed_after_saves(bed, &later)?;
    for (fault, name, words) in &FAULTS {
        let folder = bed.data().with_extension("fault");
        copy(&later, &folder)?;
        strike(fault, &folder, &before)?;
        let files = files(&folder.join("blobs"))?;
        let said = match fault {
            // Too long to be read at every start: `verify` finds it, and a request that would use it.
            Fault::VolumeFlipped => bed.verified(&folder)?,
            Fault::LogMissing => said_without_log(bed, &later, &folder)?,
            _ => match bed.start_on(&folder) {
                Ok(_) => bail!("{name}: the server starts"),
                Err(refusal) => refusal.to_string(),
            },
        };
        ensure!(said.contains(words), "{name}: expected `{words}`, but it says: {said}");
        ensure!(files == self::files(&folder.join("blobs"))?, "{name}: volumes are gone");
        println!("[chaos] {name}: nothing deleted ({} volumes); said: {}", files.len(), sentence(&said, words));
    }
    Ok(())
}

/// Saves until the folder's mark has followed, and ends without folding the log in.
fn killed_after_saves(bed: &Bed, folder: &Path) -> Result<()> {
    let mark = fs::read(folder.join("mark.json"))?;
    let server = bed.start_on(folder)?;
    let begun = std::time::Instant::now();
    while fs::read(folder.join("mark.json"))? == mark {
        ensure!(server.status("/api/ready")? == 204, "the server is not ready");
        ensure!(begun.elapsed().as_secs() < 30, "the mark does not follow the database");
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    server.kill()
}

/// What a start says without the log. A server folds its log in every few seconds; one that was killed right after that
/// has lost nothing with it, and starts: then the folder has come no less far than before.
fn said_without_log(bed: &Bed, later: &Path, folder: &Path) -> Result<String> {
    const TRIES: usize = 5;
    for _ in 0..TRIES {
        match bed.start_on(folder) {
            Err(refusal) => return Ok(refusal.to_string()),
            Ok(server) => {
                // The mark is written anew from what the database holds.
                std::thread::sleep(std::time::Duration::from_secs(2));
                server.kill()?;
                let (before, after) = (changes(later)?, changes(folder)?);
                ensure!(after >= before, "-wal missing: the server starts with {after} of {before} changes");
            }
        }
        killed_after_saves(bed, later)?;
        copy(later, folder)?;
        strike(&Fault::LogMissing, folder, later)?;
    }
    bail!("the server starts without its log, {TRIES} times")
}

/// The changes that a folder's mark counts.
fn changes(folder: &Path) -> Result<i64> {
    let mark: serde_json::Value = serde_json::from_slice(&fs::read(folder.join("mark.json"))?)?;
    mark["changes"].as_i64().context("the mark counts no changes")
}

fn strike(fault: &Fault, folder: &Path, before: &Path) -> Result<()> {
    let database = folder.join(DATABASE);
    match fault {
        Fault::Missing => fs::remove_file(&database)?,
        Fault::Older => {
            fs::remove_file(folder.join(LOG)).context("there is no log")?;
            fs::copy(before.join(DATABASE), &database)?;
        }
        Fault::LogMissing => fs::remove_file(folder.join(LOG)).context("there is no log")?,
        Fault::Cut => {
            let file = fs::File::options().write(true).open(&database)?;
            file.set_len(file.metadata()?.len() / 2)?;
        }
        Fault::PageDamaged => {
            let mut bytes = fs::read(&database)?;
            let end = bytes.len().min(3 * PAGE);
            bytes.get_mut(PAGE..end).context("the database has one page")?.fill(0xa5);
            fs::File::create(&database)?.write_all(&bytes)?;
        }
        Fault::VolumeMissing => fs::remove_file(some_volume(folder)?)?,
        Fault::VolumeFlipped => {
            let volume = some_volume(folder)?;
            let mut bytes = fs::read(&volume)?;
            *bytes.first_mut().context("the volume is empty")? ^= 1;
            fs::write(volume, bytes)?;
        }
    }
    Ok(())
}

fn some_volume(folder: &Path) -> Result<PathBuf> {
    files(&folder.join("blobs"))?.pop_first().context("there is no volume")
}

fn files(folder: &Path) -> Result<BTreeSet<PathBuf>> {
    let mut all = BTreeSet::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            all.append(&mut files(&path)?);
        } else {
            all.insert(path);
        }
    }
    Ok(all)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    if to.exists() {
        fs::remove_dir_all(to)?;
    }
    process::run(Command::new("cp").arg("-r").arg(from).arg(to))
}

/// The part that names the fault.
fn sentence<'a>(said: &'a str, words: &str) -> &'a str {
    let line = said.lines().find(|line| line.contains(words)).unwrap_or(said);
    let line = line.split_once("left as it is: ").map_or(line, |(_, rest)| rest);
    line.split_once("What to do").map_or(line, |(problem, _)| problem).trim()
}
