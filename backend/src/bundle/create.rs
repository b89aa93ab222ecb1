//! A bundle from nnU-Net's trained folders: weights as safetensors, what nnU-Net wrote beside them, and what a server
//! must know.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use shared::acquisition::Strategy;
use shared::label::{LabelCode, LabelInfo, LabelSet};
use thiserror::Error;

use super::checkpoint::{CheckpointError, read_weights, write_safetensors};
use super::manifest::{
    AcquisitionDefaults, BundleManifest, GuidanceEncoding, PresegmentationChannels, Refinement, Stage, sha256,
};
use super::method::Method;
use super::plans::{Choice, EngineKind, Plan, PlansError, read_json};
use super::{Bundle, BundleError};
use crate::scan_io::Intensities;

/// Okabe and Ito's colours, which differ for every kind of colour vision and stand out on grey.
const COLOURS: [&str; 7] = ["#E69F00", "#56B4E9", "#009E73", "#F0E442", "#D55E00", "#CC79A7", "#0072B2"];

/// Share of the axial planes that an expert is asked to correct unless the user says otherwise.
const BUDGET: f64 = 0.2;

/// Why no bundle was made; nothing is left of it.
#[derive(Debug, Error)]
pub enum CreateError {
    /// There is something already.
    #[error("{0} exists already; choose another folder with -o, or move it away")]
    Exists(PathBuf),
    /// A network that a bundle cannot take.
    #[error("the {stage} network in {folder} {reason}", folder = .folder.display())]
    Network {
        /// Which of the two.
        stage: &'static str,
        /// Where it lies.
        folder: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Its plans.
    #[error(transparent)]
    Plans(#[from] PlansError),
    /// Its weights.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The bundle that was made contradicts itself.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The system's words.
    #[error("cannot write {file}: {source}", file = .file.display())]
    Write {
        /// Which file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// What a bundle is made of.
#[derive(Clone, Debug)]
pub struct Parts {
    /// nnU-Net's trained folder, or an exported native one.
    pub presegmentation: PathBuf,
    /// The same for the refinement; without, the bundle refines by adaptation.
    pub refinement: Option<PathBuf>,
    /// Folds and checkpoint of both.
    pub choice: Choice,
    /// Name.
    pub name: String,
    /// Version of the bundle.
    pub version: String,
    /// What it segments; the dataset's name if absent.
    pub task: Option<String>,
    /// Licence of the weights.
    pub licence: String,
    /// What they were trained on; the dataset's name if absent.
    pub training_data: Option<String>,
    /// See [`BundleManifest::blend_mm`].
    pub blend_mm: f64,
    /// What labels are in coded words, by their names; DICOM SEGs say so.
    pub codes: BTreeMap<String, LabelCode>,
    /// See [`BundleManifest::pet`].
    pub pet: Intensities,
}

/// Makes a bundle in `out`, which must not exist, and reads it back.
///
/// # Errors
/// [`CreateError`]; nothing stays behind.
pub fn create(parts: &Parts, out: &Path) -> Result<Bundle, CreateError> {
    whole(out, |folder| make(parts, folder))
}

/// A folder that is there when all of it is.
pub(super) fn whole(
    out: &Path,
    make: impl FnOnce(&Path) -> Result<Bundle, CreateError>,
) -> Result<Bundle, CreateError> {
    if out.exists() {
        return Err(CreateError::Exists(out.to_owned()));
    }
    let name = out.file_name().unwrap_or_default().to_string_lossy();
    let unfinished = out.with_file_name(format!(".{name}.unfinished-{}", std::process::id()));
    let made = make(&unfinished).and_then(|_| {
        fs::rename(&unfinished, out).map_err(|source| CreateError::Write { file: out.to_owned(), source })?;
        Ok(Bundle::read(out)?)
    });
    if made.is_err() {
        // Whatever cannot be removed is hidden from the catalogue by its lack of a bundle.json, or by its name.
        let _ = fs::remove_dir_all(&unfinished);
    }
    made
}

fn make(parts: &Parts, folder: &Path) -> Result<Bundle, CreateError> {
    let presegmentation = read_plan(Stage::Presegmentation, &parts.presegmentation, &parts.choice)?;
    let labels = label_set(&presegmentation, &parts.presegmentation, &parts.codes)?;
    let refinement = match &parts.refinement {
        Some(folder) => Some((folder, read_plan(Stage::Refinement, folder, &parts.choice)?)),
        None => None,
    };
    let guidance = match &refinement {
        Some((folder, plan)) => encoding(plan, presegmentation.normalization.len(), labels.0.len(), folder)?,
        None => GuidanceEncoding { annotated: true, presegmentation: PresegmentationChannels::None },
    };
    let dataset = dataset_name(&parts.presegmentation)?;
    write_network(&parts.presegmentation, &presegmentation, &folder.join(Stage::Presegmentation.folder()))?;
    if let Some((from, plan)) = &refinement {
        write_network(from, plan, &folder.join(Stage::Refinement.folder()))?;
    }
    let manifest = BundleManifest {
        format: 2,
        name: parts.name.clone(),
        version: parts.version.clone(),
        task: parts.task.clone().unwrap_or_else(|| dataset.clone()),
        labels,
        channels: presegmentation.channels.clone(),
        refinement: if refinement.is_some() { Refinement::Network } else { Refinement::Adaptation },
        guidance,
        adapt_seconds: None,
        blend_mm: parts.blend_mm,
        pet: parts.pet,
        orientations: Vec::new(),
        reorient: false,
        acquisition: AcquisitionDefaults { strategy: Strategy::Greedy, budget: BUDGET },
        uncertainty: Method::default(),
        licence: parts.licence.clone(),
        training_data: parts.training_data.clone().unwrap_or(dataset),
        torch_version: String::new(),
        files: digests(folder)?,
    };
    write_json(&folder.join("bundle.json"), &json!(manifest))?;
    Ok(Bundle::read(folder)?)
}

fn read_plan(stage: Stage, folder: &Path, choice: &Choice) -> Result<Plan, CreateError> {
    let plan = Plan::choose(folder, choice)?;
    let refused = |reason: String| CreateError::Network { stage: stage.folder(), folder: folder.to_owned(), reason };
    if plan.manifest.engine != EngineKind::Native {
        return Err(refused(
            "is a TorchScript program; give the folder that nnU-Net trained, from which it was exported".to_owned(),
        ));
    }
    if let Some(previous) = &plan.previous_stage {
        return Err(refused(format!(
            "is the second stage of a cascade after {previous}; give a single-stage one, such as 3d_fullres"
        )));
    }
    if plan.labels.regions_class_order.is_some() {
        return Err(refused(
            "predicts overlapping regions; the workbench needs one label per voxel. `i3deep predict -m` runs it"
                .to_owned(),
        ));
    }
    if stage == Stage::Presegmentation && plan.manifest.input_channels != plan.normalization.len() {
        let (takes, planned) = (plan.manifest.input_channels, plan.normalization.len());
        return Err(refused(format!("takes {takes} channels, its plan {planned}: is it a refinement network?")));
    }
    Ok(plan)
}

fn label_set(plan: &Plan, folder: &Path, codes: &BTreeMap<String, LabelCode>) -> Result<LabelSet, CreateError> {
    let refused = |reason: String| CreateError::Network { stage: "presegmentation", folder: folder.to_owned(), reason };
    let label = |(at, (name, values)): (usize, &(String, Vec<u16>))| {
        let value =
            values.first().and_then(|value| u8::try_from(*value).ok()).filter(|value| usize::from(*value) == at + 1);
        let value = value.ok_or_else(|| {
            refused(format!("has the label {name} = {values:?}; labels must be numbered 1, 2, 3 and so on"))
        })?;
        let colour = COLOURS[at % COLOURS.len()].to_owned();
        Ok(LabelInfo { value, name: name.clone(), colour, code: codes.get(name).cloned() })
    };
    let is_known = |name: &&String| plan.labels.foreground.iter().any(|(known, _)| known == *name);
    if let Some(unknown) = codes.keys().find(|name| !is_known(name)) {
        return Err(refused(format!("has no label {unknown:?}, of which a code is given")));
    }
    plan.labels.foreground.iter().enumerate().map(label).collect::<Result<_, _>>().map(LabelSet)
}

/// What the channels behind the image's mean, by their number. With one label `annotated` and `presegmentation` have as
/// many; the first is nnU-Net refinement's usual one.
fn encoding(plan: &Plan, channels: usize, labels: usize, folder: &Path) -> Result<GuidanceEncoding, CreateError> {
    let got = plan.manifest.input_channels;
    let candidates = [
        (true, PresegmentationChannels::None),
        (false, PresegmentationChannels::None),
        (true, PresegmentationChannels::Labels),
        (false, PresegmentationChannels::Labels),
    ];
    let encodings = candidates.map(|(annotated, presegmentation)| GuidanceEncoding { annotated, presegmentation });
    encodings.into_iter().find(|encoding| channels + encoding.channels(labels) == got).ok_or_else(|| {
        let fitting = encodings.map(|encoding| (channels + encoding.channels(labels)).to_string()).join(", ");
        let reason = format!(
            "takes {got} channels; beside {channels} of the image and {labels} label(s) of corrections it could take \
             {fitting}"
        );
        CreateError::Network { stage: "refinement", folder: folder.to_owned(), reason }
    })
}

/// A network folder: nnU-Net's two files, the weights of every fold, and what a checkpoint says beside them.
fn write_network(from: &Path, plan: &Plan, to: &Path) -> Result<(), CreateError> {
    let failed = |file: &Path| {
        let file = file.to_owned();
        |source| CreateError::Write { file, source }
    };
    fs::create_dir_all(to).map_err(failed(to))?;
    for name in ["plans.json", "dataset.json"] {
        let file = to.join(name);
        fs::copy(from.join(name), &file).map_err(failed(&file))?;
    }
    let mut manifest = plan.manifest.clone();
    manifest.trained = false;
    if let Some(architecture) = &plan.architecture {
        for fold in &plan.manifest.folds {
            let weights = read_weights(
                &from.join(plan.manifest.weight_file(fold)),
                architecture,
                manifest.input_channels,
                manifest.heads,
            )?;
            let file = to.join(manifest.weight_file(fold));
            write_safetensors(&file, &weights).map_err(failed(&file))?;
        }
    }
    write_json(&to.join("network.json"), &json!(manifest))
}

pub(super) fn write_json(file: &Path, content: &Value) -> Result<(), CreateError> {
    fs::write(file, format!("{content:#}\n")).map_err(|source| CreateError::Write { file: file.to_owned(), source })
}

fn dataset_name(folder: &Path) -> Result<String, CreateError> {
    let plans: Value = read_json(&folder.join("plans.json"))?;
    Ok(plans["dataset_name"].as_str().unwrap_or("an nnU-Net dataset").to_owned())
}

/// Digests of all files of the networks, by path within the bundle.
fn digests(folder: &Path) -> Result<BTreeMap<String, String>, CreateError> {
    let mut files = BTreeMap::new();
    for stage in super::trained::subfolders(folder) {
        let entries = fs::read_dir(folder.join(&stage))
            .map_err(|source| CreateError::Write { file: folder.join(&stage), source })?;
        for file in entries.flatten().map(|entry| entry.path()) {
            let name = format!("{stage}/{}", file.file_name().unwrap_or_default().to_string_lossy());
            let digest = sha256(&file).map_err(|source| CreateError::Write { file, source })?;
            files.insert(name, digest);
        }
    }
    Ok(files)
}
