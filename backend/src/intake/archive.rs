//! Archives that are brought instead of many files.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use zip::ZipArchive;

use crate::scan_io::{ScanError, damaged};

/// Most files of an archive; the longest series have some thousand slices.
const MAX_FILES: usize = 8192;
/// Most bytes that archives unpack to.
const MAX_BYTES: u64 = 4 << 30;

/// The same files with each zip archive replaced by what it holds, unpacked beside it under names of our own. What
/// other programs hide in archives is left out.
///
/// # Errors
/// [`ScanError::Damaged`] or [`ScanError::ArchiveTooLarge`] for archives, [`ScanError::Io`].
pub(super) fn unpacked(files: &[PathBuf]) -> Result<Vec<PathBuf>, ScanError> {
    let mut left = MAX_BYTES;
    let mut all = Vec::new();
    for file in files {
        if is_zip(file) { unpack(file, &mut left, &mut all)? } else { all.push(file.clone()) }
    }
    Ok(all)
}

fn is_zip(file: &Path) -> bool {
    let mut bytes = [0; 4];
    File::open(file).and_then(|mut file| file.read_exact(&mut bytes)).is_ok() && bytes == *b"PK\x03\x04"
}

fn unpack(file: &Path, left: &mut u64, all: &mut Vec<PathBuf>) -> Result<(), ScanError> {
    let unreadable = |error: zip::result::ZipError| ScanError::Damaged(error.to_string());
    let mut archive = ZipArchive::new(File::open(file)?).map_err(unreadable)?;
    if archive.len() > MAX_FILES {
        return Err(ScanError::ArchiveTooLarge { files: MAX_FILES, mib: MAX_BYTES >> 20 });
    }
    let folder = file.with_extension("content");
    std::fs::create_dir_all(&folder)?;
    for number in 0..archive.len() {
        let mut entry = archive.by_index(number).map_err(unreadable)?;
        let hidden =
            entry.name().map_err(unreadable)?.split('/').any(|part| part.starts_with('.') || part == "__MACOSX");
        if entry.is_dir() || hidden {
            continue;
        }
        // Never a name from the archive.
        let path = folder.join(number.to_string());
        let mut out = File::create(&path)?;
        let written = io::copy(&mut (&mut entry).take(*left + 1), &mut out).map_err(damaged)?;
        *left =
            left.checked_sub(written).ok_or(ScanError::ArchiveTooLarge { files: MAX_FILES, mib: MAX_BYTES >> 20 })?;
        all.push(path);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use zip::write::{SimpleFileOptions, ZipWriter};

    use super::*;

    #[test]
    fn archives_stand_for_what_they_hold() {
        let folder = tempfile::tempdir().unwrap();
        let (plain, packed) = (folder.path().join("0"), folder.path().join("1"));
        std::fs::write(&plain, "a scan").unwrap();
        let mut zip = ZipWriter::new(File::create(&packed).unwrap());
        for name in ["../../escape", "series/1.dcm", "__MACOSX/._1.dcm", ".DS_Store"] {
            zip.start_file(name, SimpleFileOptions::default()).unwrap();
            zip.write_all(name.as_bytes()).unwrap();
        }
        zip.finish().unwrap();
        let files = unpacked(&[plain.clone(), packed]).unwrap();
        let texts: Vec<String> = files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
        assert_eq!(texts, ["a scan", "series/1.dcm"]);
        assert!(files.iter().all(|file| file.starts_with(folder.path())));
        std::fs::write(&plain, b"PK\x03\x04 and nothing").unwrap();
        assert!(matches!(unpacked(&[plain]), Err(ScanError::Damaged(_))));
    }

    #[test]
    fn a_damaged_entry_is_the_senders_fault() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("0");
        let mut zip = ZipWriter::new(File::create(&file).unwrap());
        zip.start_file("1.dcm", SimpleFileOptions::default()).unwrap();
        zip.write_all(&(0..4000_u32).flat_map(|n| (n * n).to_le_bytes()).collect::<Vec<_>>()).unwrap();
        zip.finish().unwrap();
        let mut bytes = std::fs::read(&file).unwrap();
        for at in (60..bytes.len() - 100).step_by(bytes.len() / 9) {
            bytes[at] ^= 0x55;
            std::fs::write(&file, &bytes).unwrap();
            assert!(matches!(unpacked(std::slice::from_ref(&file)), Err(ScanError::Damaged(_))), "{at}");
            bytes[at] ^= 0x55;
        }
    }
}
