//! Labelled cases in files, and which of them are asked for.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde::Deserialize;

use crate::bundle::Bundle;
use crate::tasks::CaseFailure;

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

/// The cases of a folder of labels (`NAME.nii.gz`) with their scans (`NAME_0000.nii.gz`, one file a channel), by name;
/// only some if any are named. Files whose names begin with a dot are other programs' own. Cases that lack a file, and
/// names that have none, are failures.
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
        let Some(name) = file.strip_suffix(".nii.gz").filter(|name| !name.starts_with('.')).map(str::to_owned) else {
            continue;
        };
        if !only.is_empty() && !only.contains(&name) {
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
    let scan: Vec<PathBuf> = (0..channels).map(|channel| images.join(format!("{name}_{channel:04}.nii.gz"))).collect();
    if let Some(missing) = scan.iter().find(|path| !path.is_file()) {
        bail!("has labels but no image {}", missing.display());
    }
    Ok(scan)
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
