//! The next version of a bundle: other weights in the same networks.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::create::{CreateError, whole, write_json};
use super::manifest::sha256;
use super::plans::EngineKind;
use super::{Bundle, BundleManifest, Stage};

/// Which case trained what.
const SPLIT_FILE: &str = "split.json";

/// What is new in a bundle.
#[derive(Clone, Debug)]
pub struct Revision {
    /// Its version.
    pub version: String,
    /// What it was trained on by now.
    pub training_data: String,
    /// Safetensors by fold, in the plan's order, of the networks that have learned.
    pub weights: Vec<(Stage, Vec<Vec<u8>>)>,
}

/// Whether a network's weights can be written anew.
///
/// # Errors
/// [`CreateError::Network`] with the reason.
pub fn check_revisable(bundle: &Bundle, stage: Stage) -> Result<(), CreateError> {
    if bundle.plan(stage).manifest.engine == EngineKind::Native {
        return Ok(());
    }
    Err(CreateError::Network {
        stage: stage.folder(),
        folder: bundle.network_folder(stage),
        reason: "is a TorchScript program, whose weights are not written anew; make a bundle of the folder that \
                 nnU-Net trained (`i3deep bundle create`)"
            .to_owned(),
    })
}

/// Writes a bundle's next version to `out`, which must not exist, and reads it back. What is compared with logits of
/// the old weights is left out.
///
/// # Errors
/// [`CreateError`]; nothing stays behind.
pub fn revise(bundle: &Bundle, revision: &Revision, out: &Path) -> Result<Bundle, CreateError> {
    revision.weights.iter().try_for_each(|(stage, _)| check_revisable(bundle, *stage))?;
    whole(out, |folder| {
        let weights = new_files(bundle, revision);
        let learned: Vec<String> =
            revision.weights.iter().map(|(stage, _)| format!("{}/golden/", stage.folder())).collect();
        let mut files = BTreeMap::new();
        for name in bundle.manifest.files.keys().filter(|name| !learned.iter().any(|golden| name.starts_with(golden))) {
            let file = put(bundle, name, weights.get(name).copied(), folder)?;
            let digest = sha256(&file).map_err(|source| CreateError::Write { file, source })?;
            files.insert(name.clone(), digest);
        }
        // How the cases were split is no part of what runs, and has no digest.
        if bundle.folder.join(SPLIT_FILE).is_file() {
            put(bundle, SPLIT_FILE, None, folder)?;
        }
        let manifest = BundleManifest {
            format: 2,
            version: revision.version.clone(),
            training_data: revision.training_data.clone(),
            files,
            ..bundle.manifest.clone()
        };
        write_json(&folder.join("bundle.json"), &json!(manifest))?;
        Ok(Bundle::read(folder)?)
    })
}

/// Weights by their path within the bundle.
fn new_files<'a>(bundle: &Bundle, revision: &'a Revision) -> BTreeMap<String, &'a [u8]> {
    let of_stage = |(stage, folds): &'a (Stage, Vec<Vec<u8>>)| {
        let manifest = &bundle.plan(*stage).manifest;
        let name = |fold: &String| format!("{}/{}", stage.folder(), manifest.weight_file(fold));
        manifest.folds.iter().map(name).zip(folds.iter().map(Vec::as_slice)).collect::<Vec<_>>()
    };
    revision.weights.iter().flat_map(of_stage).collect()
}

/// A file of the new version: its new bytes, or those of the old one.
fn put(bundle: &Bundle, name: &str, bytes: Option<&[u8]>, folder: &Path) -> Result<PathBuf, CreateError> {
    let to = folder.join(name);
    let failed = |source| CreateError::Write { file: to.clone(), source };
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    match bytes {
        Some(bytes) => fs::write(&to, bytes).map_err(failed)?,
        None => fs::copy(bundle.folder.join(name), &to).map(|_| ()).map_err(failed)?,
    }
    Ok(to)
}
