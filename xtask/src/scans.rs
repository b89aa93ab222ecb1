//! Finds the scans in a folder: nnU-Net's raw layout (`NAME_0000.nii.gz`, `NAME_0001.nii.gz`, … in the folder or its
//! `imagesTr`/`imagesTs`), or plain NIfTI files, one scan each.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// A scan and its channels in order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Scan {
    pub(crate) name: String,
    pub(crate) channels: Vec<PathBuf>,
}

/// All scans of a folder, by name.
pub(crate) fn find(folder: &Path) -> Result<Vec<Scan>> {
    let images = ["imagesTr", "imagesTs"].iter().map(|name| folder.join(name)).find(|path| path.is_dir());
    let images = images.unwrap_or_else(|| folder.to_owned());
    let entries = fs::read_dir(&images).with_context(|| format!("cannot read the folder {}", images.display()))?;
    let scans = group(entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect());
    ensure!(!scans.is_empty(), "there is no NIfTI file (.nii or .nii.gz) in {}", images.display());
    Ok(scans)
}

fn group(mut files: Vec<PathBuf>) -> Vec<Scan> {
    files.sort();
    let mut scans: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for file in files {
        let Some(name) = file.file_name().and_then(|name| name.to_str()) else { continue };
        let stem = name.strip_suffix(".nii.gz").or_else(|| name.strip_suffix(".nii"));
        let Some(stem) = stem.filter(|stem| !stem.starts_with('.')) else { continue };
        scans.entry(without_channel(stem).to_owned()).or_default().push(file);
    }
    scans.into_iter().map(|(name, channels)| Scan { name, channels }).collect()
}

/// `hippocampus_017_0000` → `hippocampus_017`; four digits after the last underscore are nnU-Net's channel number.
fn without_channel(stem: &str) -> &str {
    match stem.rsplit_once('_') {
        Some((name, channel)) if channel.len() == 4 && channel.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => stem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_of_a_scan_are_grouped() {
        fn check(files: &[&str], expected: &[(&str, &[&str])]) {
            let scans = group(files.iter().map(PathBuf::from).collect());
            let expected: Vec<Scan> = expected
                .iter()
                .map(|(name, files)| Scan { name: (*name).into(), channels: files.iter().map(PathBuf::from).collect() })
                .collect();
            assert_eq!(scans, expected);
        }
        check(
            &["a_0001.nii.gz", "a_0000.nii.gz", "b_0000.nii.gz"],
            &[("a", &["a_0000.nii.gz", "a_0001.nii.gz"]), ("b", &["b_0000.nii.gz"])],
        );
        check(&["scan_17.nii", "dataset.json", ".hidden.nii.gz"], &[("scan_17", &["scan_17.nii"])]);
    }
}
