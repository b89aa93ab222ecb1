//! Labelled cases in files, and which of them are asked for.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::bundle::Bundle;

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
/// only some if any are named.
///
/// # Errors
/// If the folder cannot be read, a scan is missing or nothing is left.
pub fn find_cases(images: &Path, labels: &Path, only: &[String], channels: usize) -> Result<Vec<CaseFiles>> {
    let mut cases = Vec::new();
    for entry in fs::read_dir(labels).with_context(|| format!("cannot read the folder {}", labels.display()))? {
        let label = entry?.path();
        let Some(name) =
            label.file_name().and_then(|n| n.to_str()).and_then(|n| n.strip_suffix(".nii.gz")).map(str::to_owned)
        else {
            continue;
        };
        if !only.is_empty() && !only.contains(&name) {
            continue;
        }
        let scan: Vec<PathBuf> =
            (0..channels).map(|channel| images.join(format!("{name}_{channel:04}.nii.gz"))).collect();
        if let Some(missing) = scan.iter().find(|path| !path.is_file()) {
            bail!("{name} has labels but no image {}", missing.display());
        }
        cases.push(CaseFiles { name, channels: scan, label });
    }
    ensure!(!cases.is_empty(), "no cases: {} holds no NAME.nii.gz that was asked for", labels.display());
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(cases)
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
