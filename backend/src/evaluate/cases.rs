//! Labelled cases in files, and which of them are asked for.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, ensure};
use serde::Deserialize;
use shared::label::{Label, LabelSet};
use shared::volume::Volume;

use crate::bundle::{Bundle, BundleManifest};
use crate::scan_io::{LabelFile, VOLUME_ENDINGS, read_origin};
use crate::tasks::{CaseFailure, orientation_warning, read_on_grid};

/// A labelled case in files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseFiles {
    /// Its name.
    pub name: String,
    /// The scan, one file a channel.
    pub channels: Vec<PathBuf>,
    /// What is really there.
    pub label: PathBuf,
}

/// Endings of files of labels. A DICOM SEG is one of them.
const LABEL_ENDINGS: [&str; 6] = [".nii.gz", ".nii", ".seg.nrrd", ".nrrd", ".mha", ".dcm"];

/// The cases of a folder of labels (`NAME.nii.gz`, or another of [`LABEL_ENDINGS`]) with their scans
/// (`NAME_0000.nii.gz`, one file a channel, or the folder of a DICOM series), by name; only some if any are named.
/// Files whose names begin with a dot are other programs' own. Cases that lack a file or have two, and names that have
/// none, are failures.
///
/// # Errors
/// If the folder cannot be read, or holds no case that was asked for.
pub fn find_cases(
    images: &Path,
    labels: &Path,
    only: &[String],
    channels: usize,
) -> Result<(Vec<CaseFiles>, Vec<CaseFailure>)> {
    let (mut cases, mut failures) = (Vec::new(), Vec::new());
    let cannot = || format!("cannot read the folder {}", labels.display());
    for entry in fs::read_dir(labels).with_context(cannot)? {
        let label = entry.with_context(cannot)?.path();
        let file = label.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let name = LABEL_ENDINGS.iter().find_map(|ending| file.strip_suffix(ending));
        let Some(name) = name.filter(|name| !name.starts_with('.')).map(str::to_owned) else { continue };
        if !only.is_empty() && !only.contains(&name) {
            continue;
        }
        if let Some(other) = cases.iter().find(|case: &&CaseFiles| case.name == name) {
            let error = anyhow!("has two files of labels: {} and {}", other.label.display(), label.display());
            cases.retain(|case| case.name != name);
            failures.push(CaseFailure { name, error });
            continue;
        }
        if failures.iter().any(|failure: &CaseFailure| failure.name == name) {
            continue;
        }
        match channels_of(images, &label, &name, channels) {
            Ok(channels) => cases.push(CaseFiles { name, channels, label }),
            Err(error) => failures.push(CaseFailure { name, error }),
        }
    }
    let known =
        |name: &String| cases.iter().map(|case| &case.name).chain(failures.iter().map(|f| &f.name)).any(|n| n == name);
    let unknown: Vec<String> = only.iter().filter(|name| !known(name)).cloned().collect();
    let found = cases.len() + failures.len();
    ensure!(found > 0, "no cases: {} holds no NAME.nii.gz that was asked for", labels.display());
    failures.extend(unknown.into_iter().map(|name| {
        let error = anyhow!("{} holds no {name}.nii.gz", labels.display());
        CaseFailure { name, error }
    }));
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    failures.sort_by(|a, b| a.name.cmp(&b.name));
    Ok((cases, failures))
}

/// A case's scan, one file a channel.
fn channels_of(images: &Path, label: &Path, name: &str, channels: usize) -> Result<Vec<PathBuf>> {
    ensure!(label.to_str().is_some(), "the name is not UTF-8, which results.csv could not hold; rename the files");
    let channel = |channel: usize| {
        let files = VOLUME_ENDINGS.map(|ending| images.join(format!("{name}_{channel:04}{ending}")));
        let folders = [images.join(format!("{name}_{channel:04}")), images.join(name)];
        // A folder that names no channel is that of the only one.
        let folder = |folder: &&PathBuf| folder.is_dir() && (channels == 1 || **folder != folders[1]);
        let found = files.iter().find(|file| file.is_file()).or_else(|| folders.iter().find(folder));
        found.cloned().with_context(|| format!("has labels but no image {}", files[0].display()))
    };
    (0..channels).map(channel).collect()
}

/// What is really in a case, on its scan's grid and with the task's numbers.
///
/// # Errors
/// As [`read_on_grid`], and for values that are no labels.
pub fn truth(case: &CaseFiles, task: &LabelSet) -> Result<Volume<Label>> {
    let scan = read_origin(&case.channels[0]).with_context(|| format!("the scan {}", case.channels[0].display()))?;
    let labels = read_on_grid("the labels", &case.label, &scan)?.named(task).and_then(LabelFile::all);
    labels.with_context(|| format!("the labels {}", case.label.display()))
}

/// What is to be said of cases whose scans are stored as none that the networks were trained on, each thing once.
pub fn orientation_warnings(manifest: &BundleManifest, cases: &[CaseFiles]) -> Vec<String> {
    let mut said: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for case in cases {
        // A scan that cannot be read is a failure later.
        let origin = case.channels.first().and_then(|scan| read_origin(scan).ok());
        if let Some(words) = origin.and_then(|origin| orientation_warning(manifest, origin.geometry())) {
            said.entry(words).or_default().push(&case.name);
        }
    }
    let line = |(words, names): (String, Vec<&str>)| {
        format!("in {} of {} cases ({}) {words}", names.len(), cases.len(), names.join(", "))
    };
    said.into_iter().map(line).collect()
}

/// The cases that were set aside when the bundle was trained.
///
/// # Errors
/// If the bundle's `split.json` cannot be read or sets none aside.
pub fn held_out(bundle: &Bundle) -> Result<Vec<String>> {
    #[derive(Deserialize)]
    struct Split {
        held_out: Vec<String>,
    }
    let path = bundle.folder.join("split.json");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let Split { held_out } =
        serde_json::from_str(&text).with_context(|| format!("{} lists no held_out cases", path.display()))?;
    ensure!(!held_out.is_empty(), "{} has set no cases aside", path.display());
    Ok(held_out)
}
