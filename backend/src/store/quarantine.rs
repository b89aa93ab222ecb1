//! What was set aside instead of being deleted, and the operator's word that it may go.

use std::fs;
use std::path::Path;

use chrono::NaiveDate;

use super::StoreError;
use super::folder::QUARANTINE;

/// What was set aside on one day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAside {
    /// The day, UTC.
    pub day: NaiveDate,
    /// Files.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
}

/// What lies in a data folder's quarantine, the earliest day first.
///
/// # Errors
/// The system's.
pub fn quarantined(data: &Path) -> Result<Vec<SetAside>, StoreError> {
    let folder = data.join(QUARANTINE);
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut days = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // Folders of other names are not ours.
        let Some(day) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let mut found = SetAside { day, files: 0, bytes: 0 };
        for file in fs::read_dir(entry.path())? {
            found.files += 1;
            found.bytes += file?.metadata()?.len();
        }
        days.push(found);
    }
    days.sort_by_key(|found| found.day);
    Ok(days)
}

/// Deletes what was set aside before a day; says what that was. A server may be at work in the folder: it adds to
/// today.
///
/// # Errors
/// The system's.
pub fn empty_quarantine(data: &Path, before: NaiveDate) -> Result<Vec<SetAside>, StoreError> {
    let mut gone = quarantined(data)?;
    gone.retain(|found| found.day < before);
    for found in &gone {
        fs::remove_dir_all(data.join(QUARANTINE).join(found.day.to_string()))?;
    }
    Ok(gone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_earlier_days_go() {
        let data = tempfile::tempdir().unwrap();
        assert_eq!(quarantined(data.path()).unwrap(), []);
        for (day, content) in [("2026-02-03", "late"), ("2026-01-31", "early"), ("notes", "mine")] {
            let folder = data.path().join(QUARANTINE).join(day);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("file"), content).unwrap();
        }
        let set_aside = |day: &str, bytes| SetAside { day: day.parse().unwrap(), files: 1, bytes };
        let [early, late] = [set_aside("2026-01-31", 5), set_aside("2026-02-03", 4)];
        assert_eq!(quarantined(data.path()).unwrap(), [early.clone(), late.clone()]);
        assert_eq!(empty_quarantine(data.path(), late.day).unwrap(), [early]);
        assert_eq!(quarantined(data.path()).unwrap(), [late]);
        assert!(data.path().join(QUARANTINE).join("notes").is_dir());
    }
}
