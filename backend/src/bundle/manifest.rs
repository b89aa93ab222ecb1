//! Model bundles on disk: what the operator installed, checked before it runs. TorchScript is code, so every byte is
//! compared with its digest.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::scan_io::Intensities;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use shared::acquisition::Strategy;
use shared::geometry::is_orientation;
use shared::label::{LabelInfo, LabelSet};
use thiserror::Error;

use super::method::{Method, MethodError};
use super::plans::{EngineKind, Plan, PlansError, read_json};

/// libtorch that this program runs networks with; `models/` exports with the same.
pub const TORCH_VERSION: &str = "2.11.0";

/// Why a bundle cannot be used.
#[derive(Debug, Error)]
pub enum BundleError {
    /// There is no bundle there.
    #[error("there is no model bundle in {folder}: it has no bundle.json. Point --bundle at a folder made by \
             `i3deep-models bundle`", folder = .0.display())]
    Missing(PathBuf),
    /// A file of the bundle is absent.
    #[error("the bundle lacks {0}; copy the whole folder again")]
    FileMissing(String),
    /// A file of the bundle is not the one that was bundled.
    #[error("{0} differs from the file that was bundled (SHA-256); copy the whole folder again")]
    FileChanged(String),
    /// Other libtorch.
    #[error(
        "the bundle was exported with torch {bundle}, this program runs {TORCH_VERSION}; export it again with torch \
         {TORCH_VERSION}"
    )]
    TorchVersion {
        /// The bundle's.
        bundle: String,
    },
    /// A newer format.
    #[error("the bundle has format {0}, this program reads formats 1 and 2; update i3deep")]
    Format(u32),
    /// The parts contradict each other.
    #[error("the bundle contradicts itself: {0}")]
    Inconsistent(String),
    /// Plans or manifests.
    #[error(transparent)]
    Plans(#[from] PlansError),
    /// The system's words.
    #[error("cannot read {file}: {source}", file = file.display())]
    Io {
        /// Which file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Which channels the refinement network gets behind the image channels, beside the corrected foreground.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuidanceEncoding {
    /// One channel that marks corrected planes, whatever their labels.
    pub annotated: bool,
    /// The presegmentation as channels.
    pub presegmentation: PresegmentationChannels,
}

/// How the presegmentation reaches the refinement network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PresegmentationChannels {
    /// Not at all.
    None,
    /// One-hot of its foreground labels.
    Labels,
}

impl GuidanceEncoding {
    /// Guidance channels for a task with that many foreground labels.
    pub fn channels(self, foreground_labels: usize) -> usize {
        foreground_labels
            + usize::from(self.annotated)
            + if self.presegmentation == PresegmentationChannels::Labels { foreground_labels } else { 0 }
    }
}

/// What turns corrected slices into a better segmentation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Refinement {
    /// A network of its own, which sees the corrections as channels.
    #[default]
    Network,
    /// The presegmentation network, which learns from the corrections of a case.
    Adaptation,
}

/// How a task's slices are chosen unless the user says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AcquisitionDefaults {
    /// Strategy.
    pub strategy: Strategy,
    /// Budget, see [`shared::acquisition::AcquisitionParams`].
    pub budget: f64,
}

/// `bundle.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BundleManifest {
    /// Version of this format.
    pub format: u32,
    /// Name.
    pub name: String,
    /// Version of the bundle.
    pub version: String,
    /// What it segments.
    pub task: String,
    /// Foreground labels.
    pub labels: LabelSet,
    /// Channel names in order.
    pub channels: Vec<String>,
    /// What refines; a bundle of format 1 has a network.
    #[serde(default)]
    pub refinement: Refinement,
    /// Guidance of the refinement network.
    pub guidance: GuidanceEncoding,
    /// Within this distance of a corrected plane, in mm, labels pass over to the correction unless the user says
    /// otherwise. 0: not at all.
    #[serde(default)]
    pub blend_mm: f64,
    /// Seconds that the network which refines adapts to a case for, unless the user says otherwise; 0: not at all.
    /// Bundles that do not say adapt if they have no refinement network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adapt_seconds: Option<f64>,
    /// What PET series are turned into for the networks.
    #[serde(default)]
    pub pet: Intensities,
    /// How the scans that the networks were trained on were stored, such as RAS; empty where nobody knows.
    #[serde(default)]
    pub orientations: Vec<String>,
    /// Whether a scan that is stored otherwise is brought to the first of these for the networks.
    #[serde(default)]
    pub reorient: bool,
    /// Defaults of acquisition.
    pub acquisition: AcquisitionDefaults,
    /// How uncertainty is found unless the user says otherwise; bundles that do not say sample folds and mirrors, for
    /// entropy.
    #[serde(default)]
    pub uncertainty: Method,
    /// Licence of the weights.
    pub licence: String,
    /// What they were trained on.
    pub training_data: String,
    /// libtorch that TorchScript networks were exported with; empty where there are none.
    #[serde(default)]
    pub torch_version: String,
    /// SHA-256 in hex of every file but `bundle.json`, by path within the bundle.
    pub files: BTreeMap<String, String>,
}

/// A bundle whose parts fit each other. Weights are not loaded yet.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// Where it lies.
    pub folder: PathBuf,
    /// What it says of itself.
    pub manifest: BundleManifest,
    /// Plan of the presegmentation network.
    pub presegmentation: Plan,
    /// Plan of the refinement network; none where refinement is adaptation.
    pub refinement: Option<Plan>,
}

/// One of a bundle's two networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Segments without help.
    Presegmentation,
    /// Segments with corrected slices.
    Refinement,
}

impl Stage {
    /// Its folder's name.
    pub fn folder(self) -> &'static str {
        match self {
            Stage::Presegmentation => "presegmentation",
            Stage::Refinement => "refinement",
        }
    }
}

impl Bundle {
    /// Reads a bundle's manifest and plans and checks that they fit each other and this program; digests are left to
    /// [`Bundle::verify`].
    ///
    /// # Errors
    /// [`BundleError`].
    pub fn read(folder: &Path) -> Result<Self, BundleError> {
        let file = folder.join("bundle.json");
        if !file.is_file() {
            return Err(BundleError::Missing(folder.to_owned()));
        }
        let manifest: BundleManifest = read_json(&file)?;
        if !matches!(manifest.format, 1 | 2) {
            return Err(BundleError::Format(manifest.format));
        }
        let presegmentation = read_plan(folder, Stage::Presegmentation)?;
        let refinement = match manifest.refinement {
            Refinement::Network => Some(read_plan(folder, Stage::Refinement)?),
            Refinement::Adaptation => None,
        };
        for plan in [Some(&presegmentation), refinement.as_ref()].into_iter().flatten() {
            check_torch(&manifest, plan)?;
        }
        let bundle = Self { folder: folder.to_owned(), manifest, presegmentation, refinement };
        bundle.check_consistency().map_err(BundleError::Inconsistent)?;
        Ok(bundle)
    }

    /// Compares every file with its digest.
    ///
    /// # Errors
    /// [`BundleError::FileMissing`], [`BundleError::FileChanged`] or [`BundleError::Io`].
    pub fn verify(&self) -> Result<(), BundleError> {
        for (name, digest) in &self.manifest.files {
            let file = self.folder.join(name);
            if !file.is_file() {
                return Err(BundleError::FileMissing(name.clone()));
            }
            if sha256(&file).map_err(|source| BundleError::Io { file, source })? != *digest {
                return Err(BundleError::FileChanged(name.clone()));
            }
        }
        Ok(())
    }

    /// How uncertainty is found unless the user says otherwise: as the manifest says, or by entropy where the network
    /// has one sample only.
    pub fn uncertainty(&self) -> Method {
        self.manifest.uncertainty.or_entropy(&self.presegmentation)
    }

    /// The plan of the network that computes a stage; adaptation refines with the presegmentation's.
    pub fn plan(&self, stage: Stage) -> &Plan {
        match (stage, &self.refinement) {
            (Stage::Refinement, Some(plan)) => plan,
            _ => &self.presegmentation,
        }
    }

    /// The guidance that the network which refines gets; none for one that knows none.
    pub fn encoding(&self) -> Option<GuidanceEncoding> {
        self.refinement.is_some().then_some(self.manifest.guidance)
    }

    /// The folder of the network that computes a stage.
    pub fn network_folder(&self, stage: Stage) -> PathBuf {
        self.folder.join(if self.refinement.is_some() { stage } else { Stage::Presegmentation }.folder())
    }

    /// The weight files of the network that computes a stage, by fold.
    pub fn weights(&self, stage: Stage) -> Vec<PathBuf> {
        weights(&self.network_folder(stage), self.plan(stage))
    }

    /// The networks that there are.
    pub fn stages(&self) -> &'static [Stage] {
        if self.refinement.is_some() { &[Stage::Presegmentation, Stage::Refinement] } else { &[Stage::Presegmentation] }
    }

    fn check_consistency(&self) -> Result<(), String> {
        let labels = self.manifest.labels.0.len();
        let channels = self.manifest.channels.len();
        if let Err(error @ MethodError::NoDropout(_)) = self.manifest.uncertainty.check(&self.presegmentation) {
            return Err(format!("its uncertainty {error}"));
        }
        if !(self.manifest.blend_mm.is_finite() && self.manifest.blend_mm >= 0.0) {
            return Err(format!("its blend_mm, {}, is not a distance", self.manifest.blend_mm));
        }
        if let Some(seconds) = self.manifest.adapt_seconds.filter(|seconds| !(seconds.is_finite() && *seconds >= 0.0)) {
            return Err(format!("its adapt_seconds, {seconds}, is not a duration"));
        }
        if let Some(wrong) = self.manifest.orientations.iter().find(|letters| !is_orientation(letters)) {
            return Err(format!("its orientations name {wrong:?}, which is none such as RAS or LPS"));
        }
        if self.manifest.reorient && self.manifest.orientations.is_empty() {
            return Err("it is to reorient scans, and does not say to which orientation".to_owned());
        }
        let coded = |label: &&LabelInfo| label.code.as_ref().is_some_and(|code| !code.is_valid());
        if let Some(label) = self.manifest.labels.0.iter().find(coded) {
            return Err(format!(
                "the code of its label {:?} is none that DICOM holds: scheme and value of 1 to 16 letters, a meaning \
                 of 1 to 64",
                label.name
            ));
        }
        for &stage in self.stages() {
            let plan = self.plan(stage);
            let extra = if stage == Stage::Refinement { self.manifest.guidance.channels(labels) } else { 0 };
            let name = stage.folder();
            if plan.labels.regions_class_order.is_some() {
                return Err(format!(
                    "the {name} network predicts overlapping regions; the workbench needs one label per voxel"
                ));
            }
            if let Some(previous) = &plan.previous_stage {
                return Err(format!(
                    "the {name} network is the second stage of a cascade after {previous}; the workbench needs \
                     single-stage networks"
                ));
            }
            if plan.manifest.heads != labels + 1 {
                return Err(format!(
                    "the {name} network has {} heads for {labels} labels and background",
                    plan.manifest.heads
                ));
            }
            if plan.manifest.input_channels != channels + extra {
                return Err(format!(
                    "the {name} network takes {} channels, {channels} image and {extra} guidance channels are given",
                    plan.manifest.input_channels
                ));
            }
            if plan.normalization.len() != channels {
                return Err(format!("the {name} plan normalises {} channels of {channels}", plan.normalization.len()));
            }
            for file in self.weights(stage) {
                let listed = file
                    .strip_prefix(&self.folder)
                    .is_ok_and(|name| self.manifest.files.contains_key(&*name.to_string_lossy()));
                if !listed {
                    return Err(format!("{} is not among the files with a digest", file.display()));
                }
            }
        }
        Ok(())
    }
}

/// The weight files of a network folder, by fold.
pub fn weights(folder: &Path, plan: &Plan) -> Vec<PathBuf> {
    plan.manifest.folds.iter().map(|fold| folder.join(plan.manifest.weight_file(fold))).collect()
}

/// TorchScript runs with the libtorch that wrote it; weights that are built into a network here need no particular one.
fn check_torch(manifest: &BundleManifest, plan: &Plan) -> Result<(), BundleError> {
    if plan.manifest.engine == EngineKind::Native {
        return Ok(());
    }
    match [&manifest.torch_version, &plan.manifest.torch_version].into_iter().find(|version| *version != TORCH_VERSION)
    {
        Some(version) => Err(BundleError::TorchVersion { bundle: version.clone() }),
        None => Ok(()),
    }
}

fn read_plan(folder: &Path, stage: Stage) -> Result<Plan, BundleError> {
    let network = folder.join(stage.folder());
    if !network.join("network.json").is_file() {
        return Err(BundleError::FileMissing(format!("{}/network.json", stage.folder())));
    }
    Ok(Plan::read(&network)?)
}

pub(super) fn sha256(file: &Path) -> std::io::Result<String> {
    let mut hash = Sha256::new();
    let mut reader = File::open(file)?;
    let mut buffer = vec![0; 1 << 16];
    loop {
        match reader.read(&mut buffer)? {
            0 => break,
            n => hash.update(&buffer[..n]),
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
