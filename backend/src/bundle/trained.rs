//! The folder that nnU-Net wrote: `TRAINER__PLANS__CONFIGURATION` with its folds, read as it lies.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::architecture::Architecture;
use super::checkpoint::Checkpoint;
use super::error::{PlansError, TrainedError};
use super::json::{read_json, resolve};
use super::network::{Choice, EngineKind, NetworkManifest};

/// The checkpoint at the end of training, which nnU-Net predicts with unless told otherwise.
pub const FINAL_CHECKPOINT: &str = "checkpoint_final.pth";

/// What `network.json` would say of a trained folder: read from its first fold's checkpoint, as nnU-Net does.
///
/// # Errors
/// [`PlansError`].
pub(super) fn manifest(folder: &Path, choice: &Choice) -> Result<NetworkManifest, PlansError> {
    let plans_file = folder.join("plans.json");
    if !plans_file.is_file() {
        return Err(no_plans(folder).into());
    }
    let name = choice.checkpoint.clone().unwrap_or_else(|| FINAL_CHECKPOINT.to_owned());
    let folds = folds(folder, &name, &choice.folds)?;
    let checkpoint = Checkpoint::open(&folder.join(format!("fold_{}", folds[0])).join(&name))?;
    let header = checkpoint.header.clone();
    let plans: Value = read_json(&plans_file)?;
    let invalid = |reason| PlansError::Invalid { file: plans_file.clone(), reason };
    let configuration = resolve(&plans["configurations"], &header.configuration, 0).map_err(invalid)?;
    let architecture = Architecture::parse(&configuration).map_err(invalid)?;
    let channels = checkpoint.shape(&format!("{}.weight", architecture.first()))?.get(1).copied().unwrap_or(0);
    let heads = checkpoint.shape(&format!("{}.weight", architecture.head()))?.first().copied().unwrap_or(0);
    Ok(NetworkManifest {
        format: 1,
        engine: EngineKind::Native,
        torch_version: String::new(),
        configuration: header.configuration,
        trainer: header.trainer,
        checkpoint: name,
        folds,
        mirror_axes: header.mirror_axes,
        input_channels: channels,
        heads,
        dropout: architecture.dropout.is_some(),
        golden_tolerance: 0.0,
        trained: true,
    })
}

fn no_plans(folder: &Path) -> TrainedError {
    if ["plans.pkl", "postprocessing.json.pkl"].iter().any(|name| folder.join(name).is_file())
        || holds_version_1(folder)
    {
        return TrainedError::Version1(folder.to_owned());
    }
    let networks: Vec<String> =
        subfolders(folder).into_iter().filter(|name| folder.join(name).join("plans.json").is_file()).collect();
    if networks.is_empty() {
        return TrainedError::NoNetwork(folder.to_owned());
    }
    TrainedError::Dataset { folder: folder.to_owned(), networks: networks.join(", ") }
}

fn holds_version_1(folder: &Path) -> bool {
    subfolders(folder).iter().any(|fold| folder.join(fold).join("model_final_checkpoint.model").is_file())
}

/// Names of the folders within a folder, sorted.
pub(super) fn subfolders(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().filter(|entry| entry.path().is_dir());
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// The folds that are wanted; without a wish all that hold the checkpoint but `all`, as nnU-Net counts them, or `all`
/// where it is alone.
fn folds(folder: &Path, checkpoint: &str, wanted: &[String]) -> Result<Vec<String>, TrainedError> {
    let holds = |name: &str, checkpoint: &str| folder.join(name).join(checkpoint).is_file();
    let names = subfolders(folder);
    let of = |checkpoint: &str| -> Vec<String> {
        let there = names.iter().filter(|name| holds(name, checkpoint));
        there.filter_map(|name| name.strip_prefix("fold_").map(str::to_owned)).collect()
    };
    let there = of(checkpoint);
    let missing = |fold: &str| {
        let best = of("checkpoint_best.pth");
        let there = match (there.is_empty(), best.is_empty() || checkpoint == "checkpoint_best.pth") {
            (false, _) => format!("folds {} have one", there.join(", ")),
            (true, false) => format!(
                "folds {} have checkpoint_best.pth: is training still running? -chk checkpoint_best.pth takes that",
                best.join(", ")
            ),
            (true, true) => "no fold has been trained there".to_owned(),
        };
        TrainedError::NoFold {
            folder: folder.to_owned(),
            checkpoint: checkpoint.to_owned(),
            fold: fold.to_owned(),
            there,
        }
    };
    if let Some(fold) = wanted.iter().find(|fold| !there.contains(fold)) {
        return Err(missing(fold));
    }
    if !wanted.is_empty() {
        return Ok(wanted.to_vec());
    }
    let numbered: Vec<String> = there.iter().filter(|fold| *fold != "all").cloned().collect();
    match (numbered.is_empty(), there.is_empty()) {
        (false, _) => Ok(numbered),
        (true, false) => Ok(there),
        (true, true) => Err(missing("any")),
    }
}
