//! Models that arrive as one file: what `nnUNetv2_export_model_to_zip` writes, or a bundle that was zipped. Unpacked
//! with limits, never beside its folder.

use std::fs::{self, File};
use std::io::{self, Read, copy};
use std::path::{Path, PathBuf};

use thiserror::Error;
use zip::ZipArchive;

/// More files than this are no model.
const MOST_FILES: usize = 100_000;
/// Bytes that all files together may unpack to: dozens of the largest networks.
const MOST_BYTES: u64 = 64 << 30;
/// Weights hardly compress; text does, tenfold. More is an attack on the disk.
const MOST_RATIO: u64 = 200;
/// Below this no ratio is asked for.
const SMALL: u64 = 1 << 20;

/// Why an archive is not unpacked.
#[derive(Debug, Error)]
pub enum ArchiveError {
    /// Nothing there that can be opened.
    #[error("cannot open {file} ({reason}); is the path right, and may it be read?", file = .file.display())]
    Closed {
        /// Which file.
        file: PathBuf,
        /// The system's words.
        reason: String,
    },
    /// Not a zip file, or half of one.
    #[error("{file} is no zip file that can be read ({reason}); export the model again with \
             nnUNetv2_export_model_to_zip", file = .file.display())]
    Unreadable {
        /// Which file.
        file: PathBuf,
        /// The reader's words.
        reason: String,
    },
    /// A file that wants to lie elsewhere, or is no file.
    #[error("{file} holds '{entry}', which {reason}; it was not unpacked", file = .file.display())]
    Entry {
        /// Which archive.
        file: PathBuf,
        /// Which entry.
        entry: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Too much.
    #[error("{file} unpacks to {what}; it was not unpacked", file = .file.display())]
    Bomb {
        /// Which archive.
        file: PathBuf,
        /// How much that is.
        what: String,
    },
    /// No network in it.
    #[error("{file} holds no network that nnU-Net trained and no bundle", file = .0.display())]
    Empty(PathBuf),
    /// The system's words.
    #[error("cannot write {file}: {source}", file = .file.display())]
    Write {
        /// Which file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// What an archive holds, as folders of where it was unpacked.
#[derive(Debug, PartialEq, Eq)]
pub enum Content {
    /// Bundles: folders with a `bundle.json`.
    Bundles(Vec<PathBuf>),
    /// Trained folders, by path.
    Networks(Vec<PathBuf>),
}

/// Unpacks an archive into an existing folder.
///
/// # Errors
/// [`ArchiveError`]; what was unpacked until then stays in `to`.
pub fn unpack(file: &Path, to: &Path) -> Result<Content, ArchiveError> {
    let unreadable =
        |error: &dyn std::fmt::Display| ArchiveError::Unreadable { file: file.to_owned(), reason: error.to_string() };
    let open =
        File::open(file).map_err(|error| ArchiveError::Closed { file: file.to_owned(), reason: error.to_string() })?;
    let packed = open.metadata().map_err(|error| unreadable(&error))?.len();
    let mut archive = ZipArchive::new(open).map_err(|error| unreadable(&error))?;
    if archive.len() > MOST_FILES {
        return Err(ArchiveError::Bomb { file: file.to_owned(), what: format!("{} files", archive.len()) });
    }
    let most = MOST_BYTES.min(packed.saturating_mul(MOST_RATIO).max(SMALL));
    let mut left = most;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(|error| unreadable(&error))?;
        let label = entry.name().map_or_else(|_| "?".to_owned(), std::borrow::Cow::into_owned);
        let wrong = |reason: &'static str| ArchiveError::Entry { file: file.to_owned(), entry: label.clone(), reason };
        let name = entry.enclosed_name().ok_or_else(|| wrong("leads out of its folder"))?;
        if entry.is_symlink() {
            return Err(wrong("is a link to somewhere else"));
        }
        let target = to.join(name);
        if entry.is_dir() {
            continue;
        }
        // What the system does not say is said by the archive's reader.
        let failed = |source: io::Error| match source.raw_os_error() {
            Some(_) => ArchiveError::Write { file: target.clone(), source },
            None => unreadable(&source),
        };
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        let mut out = File::create_new(&target).map_err(failed)?;
        // What an entry says of its size is not believed.
        let written = copy(&mut (&mut entry).take(left + 1), &mut out).map_err(failed)?;
        left = left.checked_sub(written).ok_or_else(|| {
            let what = format!("more than {} MiB from {} KiB", most >> 20, packed >> 10);
            ArchiveError::Bomb { file: file.to_owned(), what }
        })?;
    }
    content(to).ok_or_else(|| ArchiveError::Empty(file.to_owned()))
}

/// Bundles, or else trained folders, three folders deep at most: `DATASET/TRAINER__PLANS__CONFIGURATION`.
fn content(folder: &Path) -> Option<Content> {
    let holding = |name: &str| {
        let mut found = Vec::new();
        find(folder, name, 3, &mut found);
        found
    };
    let bundles = holding("bundle.json");
    if !bundles.is_empty() {
        return Some(Content::Bundles(bundles));
    }
    let networks: Vec<PathBuf> = holding("plans.json").into_iter().filter(|folder| has_folds(folder)).collect();
    (!networks.is_empty()).then_some(Content::Networks(networks))
}

fn has_folds(folder: &Path) -> bool {
    super::trained::subfolders(folder).iter().any(|name| name.starts_with("fold_"))
}

fn find(folder: &Path, name: &str, depth: usize, found: &mut Vec<PathBuf>) {
    if folder.join(name).is_file() {
        found.push(folder.to_owned());
    }
    if depth > 0 {
        for inner in super::trained::subfolders(folder) {
            find(&folder.join(inner), name, depth - 1, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use zip::write::SimpleFileOptions;
    use zip::{CompressionMethod, ZipWriter};

    use super::*;

    /// An archive of those files, beside an empty folder to unpack it into.
    fn archive(files: &[(&str, &[u8])], links: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let mut zip = ZipWriter::new(File::create(folder.path().join("model.zip")).unwrap());
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
        for (name, content) in files {
            zip.start_file(*name, options).unwrap();
            zip.write_all(content).unwrap();
        }
        for (name, target) in links {
            zip.add_symlink(*name, *target, options).unwrap();
        }
        zip.finish().unwrap();
        fs::create_dir(folder.path().join("out")).unwrap();
        folder
    }

    fn run(folder: &Path) -> Result<Content, String> {
        unpack(&folder.join("model.zip"), &folder.join("out")).map_err(|error| error.to_string())
    }

    #[test]
    fn trained_folders_and_bundles_are_found() {
        let trained = "Dataset004_H/nnUNetTrainer__nnUNetPlans__2d";
        let plans = format!("{trained}/plans.json");
        let weights = format!("{trained}/fold_0/checkpoint_final.pth");
        let folder = archive(&[(&plans, b"{}"), (&weights, b"w"), ("Dataset004_H/notes.txt", b"")], &[]);
        assert_eq!(run(folder.path()), Ok(Content::Networks(vec![folder.path().join("out").join(trained)])));
        assert_eq!(fs::read(folder.path().join("out").join(weights)).unwrap(), b"w");

        let folder = archive(&[("mine/bundle.json", b"{}"), ("mine/presegmentation/plans.json", b"{}")], &[]);
        assert_eq!(run(folder.path()), Ok(Content::Bundles(vec![folder.path().join("out/mine")])));
    }

    #[test]
    fn what_leads_elsewhere_is_too_much_or_nothing_is_refused() {
        let check = |files: &[(&str, &[u8])], links: &[(&str, &str)], expected: &str| {
            let folder = archive(files, links);
            let message = run(folder.path()).unwrap_err();
            assert!(message.contains(expected), "{message}");
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "something lies beside the folder");
        };
        check(&[("../evil", b"x")], &[], "holds '../evil', which leads out of its folder");
        check(&[("a/../../evil", b"x")], &[], "leads out of its folder");
        check(&[("/evil", b"x")], &[], "holds no network");
        check(&[], &[("link", "/etc")], "holds 'link', which is a link to somewhere else");
        check(&[("readme.txt", b"x")], &[], "holds no network that nnU-Net trained and no bundle");
        check(&[("zeros", &vec![0; 8 << 20])], &[], "unpacks to more than 1 MiB");
    }

    #[test]
    fn what_is_no_archive_says_so() {
        let folder = archive(&[("plans.json", b"{}")], &[]);
        let file = folder.path().join("model.zip");
        let absent = unpack(&folder.path().join("absent.zip"), folder.path()).unwrap_err().to_string();
        assert!(absent.starts_with("cannot open ") && absent.contains("No such file"), "{absent}");
        let half = fs::read(&file).unwrap();
        for content in [b"no archive".as_slice(), &half[..half.len() / 2], b""] {
            fs::write(&file, content).unwrap();
            assert!(run(folder.path()).unwrap_err().contains("is no zip file that can be read"));
        }
        let weights: Vec<u8> = (0..4000_u32).flat_map(|n| (n * n).to_le_bytes()).collect();
        let folder = archive(&[("weights", &weights)], &[]);
        let file = folder.path().join("model.zip");
        let mut bytes = fs::read(&file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x55;
        fs::write(&file, &bytes).unwrap();
        assert!(run(folder.path()).unwrap_err().contains("is no zip file that can be read"));
    }
}
