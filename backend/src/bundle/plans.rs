//! What nnU-Net wrote down about a trained network: `plans.json`, `dataset.json` and our `network.json`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use thiserror::Error;

use super::architecture::Architecture;
use super::checkpoint::CheckpointError;
use super::text::text_of;
use super::trained::{self, TrainedError};

/// Why a network folder cannot be used.
#[derive(Debug, Error)]
pub enum PlansError {
    /// A file is missing or unreadable.
    #[error("cannot read {file}: {source}", file = file.display())]
    Read {
        /// Which file.
        file: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{file} is not valid: {reason}", file = file.display())]
    Invalid {
        /// Which file.
        file: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A fold that was not exported.
    #[error("fold {fold} was not exported; the folder {folder} has {there}", folder = .folder.display())]
    NoSuchFold {
        /// The fold.
        fold: String,
        /// Where it was looked for.
        folder: PathBuf,
        /// The folds that were.
        there: String,
    },
    /// A checkpoint that was not exported.
    #[error("the network was exported from {exported}, not from {wanted}; export it again with --checkpoint {wanted}")]
    OtherCheckpoint {
        /// The one that was.
        exported: String,
        /// The one that is wanted.
        wanted: String,
    },
    /// A folder that is none of nnU-Net's.
    #[error(transparent)]
    Trained(#[from] TrainedError),
    /// Weights.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The plan asks for something that is not built.
    #[error("{what} '{name}' is not supported; supported: {supported}")]
    Unsupported {
        /// The kind of thing.
        what: &'static str,
        /// Its name.
        name: String,
        /// What could be used instead.
        supported: &'static str,
    },
}

/// `network.json`: what the export recorded.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct NetworkManifest {
    /// Version of this format.
    pub format: u32,
    /// What runs it.
    #[serde(default)]
    pub engine: EngineKind,
    /// libtorch it was exported with; empty for [`EngineKind::Native`], which needs no particular one.
    #[serde(default)]
    pub torch_version: String,
    /// nnU-Net configuration, such as `3d_fullres`.
    pub configuration: String,
    /// Trainer class, for the record.
    #[serde(default)]
    pub trainer: String,
    /// The checkpoint that was exported.
    #[serde(default = "final_checkpoint")]
    pub checkpoint: String,
    /// Fold names, such as `0` or `all`.
    pub folds: Vec<String>,
    /// Axes (of the network's `[z, y, x]`) that may be mirrored at prediction.
    pub mirror_axes: Option<Vec<usize>>,
    /// Input channels, guidance included.
    pub input_channels: usize,
    /// Output channels.
    pub heads: usize,
    /// Whether `train()` switches dropout on.
    #[serde(default)]
    pub dropout: bool,
    /// How far logits may be from the golden ones, where there are golden ones.
    #[serde(default)]
    pub golden_tolerance: f32,
    /// Whether this is nnU-Net's own folder, whose weights lie in `fold_K/` under the checkpoint's name.
    #[serde(skip)]
    pub trained: bool,
}

impl NetworkManifest {
    /// The file of a fold's weights within the network folder.
    pub fn weight_file(&self, fold: &str) -> String {
        match self.engine {
            EngineKind::TorchScript => format!("fold_{fold}.pt"),
            EngineKind::Native if self.trained => format!("fold_{fold}/{}", self.checkpoint),
            EngineKind::Native => format!("fold_{fold}.safetensors"),
        }
    }
}

/// What runs a network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineKind {
    /// A TorchScript program.
    #[default]
    TorchScript,
    /// nnU-Net's own weights in the U-Net that its plans describe.
    Native,
}

fn final_checkpoint() -> String {
    "checkpoint_final.pth".to_owned()
}

/// A way to normalise a channel's intensities, by nnU-Net's class names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Normalization {
    /// `ZScoreNormalization`.
    ZScore,
    /// `CTNormalization`.
    Ct,
    /// `NoNormalization`.
    None,
    /// `RescaleTo01Normalization`.
    Rescale,
    /// `RGBTo01Normalization`.
    Rgb,
}

/// Statistics of a channel's foreground over the training cases, for CT normalisation.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct IntensityProperties {
    /// Mean.
    pub mean: f64,
    /// Standard deviation.
    pub std: f64,
    /// 0.5th percentile.
    pub percentile_00_5: f64,
    /// 99.5th percentile.
    pub percentile_99_5: f64,
}

/// How a volume is brought to another grid.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Resampling {
    /// `resample_data_or_seg_to_shape`: splines in f64.
    Spline {
        /// Spline order: 3 for images, 1 for logits and labels.
        order: u8,
        /// When an axis is resampled apart from the others.
        separation: Separation,
    },
    /// `resample_torch_fornnunet`: linear in f32.
    Torch {
        /// When an axis is resampled apart from the others.
        separation: Separation,
    },
    /// `no_resampling_hack`.
    None,
}

/// When an axis with thick slices is resampled by nearest neighbour.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Separation {
    /// `force_separate_z`: always, never, or (None) by the ratio of spacings.
    pub force: Option<bool>,
    /// The ratio of the largest to the smallest spacing beyond which an axis is kept apart; strictly greater.
    pub threshold: f64,
}

impl Default for Separation {
    fn default() -> Self {
        Self { force: None, threshold: 3.0 }
    }
}

/// Everything inference needs of a network's plan.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What the export recorded.
    pub manifest: NetworkManifest,
    /// Patch size along the network's axes: 3 entries, or 2 for 2D networks.
    pub patch_size: Vec<usize>,
    /// Target spacing in mm along the network's axes: as many entries as the patch.
    pub spacing_mm: Vec<f64>,
    /// Network axes from `[z, y, x]`.
    pub transpose_forward: [usize; 3],
    /// `[z, y, x]` from network axes.
    pub transpose_backward: [usize; 3],
    /// One per image channel, with whether statistics are taken inside the nonzero mask.
    pub normalization: Vec<(Normalization, bool)>,
    /// One per image channel.
    pub intensity: Vec<Option<IntensityProperties>>,
    /// For the image.
    pub resample_data: Resampling,
    /// For the previous stage's labels, in a cascade.
    pub resample_labels: Resampling,
    /// For the logits.
    pub resample_logits: Resampling,
    /// In a cascade, the configuration whose segmentation joins the image as one-hot channels.
    pub previous_stage: Option<String>,
    /// The labels.
    pub labels: DatasetLabels,
    /// Image channel names in order.
    pub channels: Vec<String>,
    /// File ending of cases, such as `.nii.gz`.
    pub file_ending: String,
    /// The network, where its engine builds it from the plan.
    pub architecture: Option<Architecture>,
}

/// The labels of `dataset.json`.
#[derive(Clone, Debug, PartialEq)]
pub struct DatasetLabels {
    /// Name and value(s), in ascending order of the first value; background and `ignore` excluded.
    pub foreground: Vec<(String, Vec<u16>)>,
    /// `regions_class_order`, if some label is a region.
    pub regions_class_order: Option<Vec<u16>>,
}

impl DatasetLabels {
    /// Output channels of a network for these labels: one per region, or one per label and background.
    pub fn heads(&self) -> usize {
        if self.regions_class_order.is_some() { self.foreground.len() } else { self.values().len() + 1 }
    }

    /// All foreground values, ascending: the channels that a cascade's previous stage becomes.
    pub fn values(&self) -> Vec<u16> {
        let mut values: Vec<u16> =
            self.foreground.iter().flat_map(|(_, values)| values).copied().filter(|v| *v != 0).collect();
        values.sort_unstable();
        values.dedup();
        values
    }
}

impl Plan {
    /// Reads a network folder's `network.json`, `plans.json` and `dataset.json`, or nnU-Net's own folder with all of
    /// its folds.
    ///
    /// # Errors
    /// [`PlansError`]; what is not supported is named before any work is done.
    pub fn read(folder: &Path) -> Result<Self, PlansError> {
        Self::choose(folder, &Choice::default())
    }

    /// As [`Plan::read`], with some of the folds and another checkpoint.
    ///
    /// # Errors
    /// [`PlansError`], also for folds and checkpoints that are not there.
    pub fn choose(folder: &Path, choice: &Choice) -> Result<Self, PlansError> {
        let exported = folder.join("network.json");
        let manifest = if exported.is_file() {
            choice.among(folder, read_json(&exported)?)?
        } else {
            trained::manifest(folder, choice)?
        };
        Self::complete(folder, manifest)
    }

    /// A network's plan from its manifest and nnU-Net's two files.
    fn complete(folder: &Path, manifest: NetworkManifest) -> Result<Self, PlansError> {
        let (plans_file, dataset_file) = (folder.join("plans.json"), folder.join("dataset.json"));
        let plans: Value = read_json(&plans_file)?;
        let dataset: Value = read_json(&dataset_file)?;
        check_classes(&plans)?;
        let invalid = |reason: String| PlansError::Invalid { file: plans_file.clone(), reason };
        let configuration = resolve(&plans["configurations"], &manifest.configuration, 0).map_err(invalid)?;
        check_preprocessor(&configuration)?;
        let field = |name: &str| configuration.get(name).cloned().unwrap_or(Value::Null);
        let labels = labels(&dataset).map_err(|reason| PlansError::Invalid { file: dataset_file.clone(), reason })?;
        let architecture = match manifest.engine {
            EngineKind::Native => Some(Architecture::parse(&configuration).map_err(invalid)?),
            EngineKind::TorchScript => None,
        };
        let plan = Self {
            patch_size: parse(field("patch_size")).map_err(invalid)?,
            spacing_mm: parse(field("spacing")).map_err(invalid)?,
            transpose_forward: parse(plans["transpose_forward"].clone()).map_err(invalid)?,
            transpose_backward: parse(plans["transpose_backward"].clone()).map_err(invalid)?,
            normalization: normalizations(&configuration, &plans_file)?,
            intensity: intensities(&plans, &configuration),
            resample_data: resampling(&configuration, "resampling_fn_data", 3)?,
            resample_labels: resampling(&configuration, "resampling_fn_seg", 1)?,
            resample_logits: resampling(&configuration, "resampling_fn_probabilities", 1)?,
            previous_stage: field("previous_stage").as_str().map(str::to_owned),
            labels,
            channels: channel_names(&dataset),
            file_ending: file_ending(&dataset)?,
            architecture,
            manifest,
        };
        plan.check().map_err(invalid)?;
        Ok(plan)
    }

    /// What cannot be true of a plan and its network at once.
    fn check(&self) -> Result<(), String> {
        let [a, b, c] = self.transpose_forward;
        let backward = |axis: usize| self.transpose_forward.get(self.transpose_backward[axis]) == Some(&axis);
        if ![0, 1, 2].iter().all(|axis| [a, b, c].contains(axis)) || !(0..3).all(backward) {
            return Err(format!(
                "transpose_backward {:?} does not undo transpose_forward {:?}",
                self.transpose_backward,
                [a, b, c]
            ));
        }
        if !matches!(self.patch_size.len(), 2 | 3) || self.patch_size.contains(&0) {
            return Err(format!("patch_size {:?} has not 2 or 3 sizes", self.patch_size));
        }
        if self.spacing_mm.len() != self.patch_size.len()
            || self.spacing_mm.iter().any(|mm| !(*mm > 0.0 && mm.is_finite()))
        {
            return Err(format!("spacing {:?} does not fit patch_size {:?}", self.spacing_mm, self.patch_size));
        }
        if let Some(axes) = &self.manifest.mirror_axes
            && axes.iter().any(|axis| *axis >= self.patch_size.len())
        {
            return Err(format!("mirror axes {axes:?} are more than the network has"));
        }
        if let Some(architecture) = &self.architecture {
            let divisor = architecture.divisor();
            let divides = |(size, divisor): (&usize, &usize)| size % divisor == 0;
            if divisor.len() != self.patch_size.len() || !self.patch_size.iter().zip(&divisor).all(divides) {
                return Err(format!(
                    "patch_size {:?} is no multiple of the network's strides, {divisor:?}",
                    self.patch_size
                ));
            }
        }
        let heads = self.labels.heads();
        if self.manifest.heads != heads {
            return Err(format!("the network has {} heads, dataset.json calls for {heads}", self.manifest.heads));
        }
        Ok(())
    }

    /// Axes of `[z, y, x]` patches that may be mirrored. A 2D network's axis 0 is y.
    pub fn mirror_axes(&self) -> Option<Vec<usize>> {
        let first = 3 - self.patch_size.len().min(3);
        self.manifest.mirror_axes.as_ref().map(|axes| axes.iter().map(|axis| axis + first).collect())
    }

    /// How many ways a patch can be mirrored, the unmirrored one included.
    pub fn mirrors(&self) -> usize {
        1 << self.manifest.mirror_axes.as_ref().map_or(0, |axes| axes.len().min(3))
    }

    /// Whether the network sees slices rather than volumes.
    pub fn two_dimensional(&self) -> bool {
        self.patch_size.len() == 2
    }

    /// The patch with three axes; a 2D network's first is 1.
    pub fn patch(&self) -> [usize; 3] {
        match self.patch_size[..] {
            [z, y, x] => [z, y, x],
            [y, x] => [1, y, x],
            _ => [1, 1, 1],
        }
    }

    /// Target spacing for a scan whose spacing along the network's axes is given: 2D networks leave the first axis
    /// alone.
    pub fn target_spacing_mm(&self, original_mm: [f64; 3]) -> [f64; 3] {
        match self.spacing_mm[..] {
            [z, y, x] => [z, y, x],
            [y, x] => [original_mm[0], y, x],
            _ => original_mm,
        }
    }
}

#[cfg(test)]
impl Plan {
    /// A 3D network with one image channel, background and two labels, for tests.
    pub(crate) fn for_tests(spacing_mm: [f64; 3]) -> Self {
        let manifest = serde_json::json!({
            "format": 1, "torch_version": "", "configuration": "3d_fullres", "folds": ["0"], "mirror_axes": [0, 1, 2],
            "input_channels": 1, "heads": 3, "golden_tolerance": 1e-4
        });
        let spline = |order| Resampling::Spline { order, separation: Separation::default() };
        Self {
            manifest: serde_json::from_value(manifest).unwrap(),
            patch_size: vec![4, 4, 4],
            spacing_mm: spacing_mm.to_vec(),
            transpose_forward: [0, 1, 2],
            transpose_backward: [0, 1, 2],
            normalization: vec![(Normalization::ZScore, false)],
            intensity: vec![None],
            resample_data: spline(3),
            resample_labels: spline(1),
            resample_logits: spline(1),
            previous_stage: None,
            labels: DatasetLabels {
                foreground: vec![("a".into(), vec![1]), ("b".into(), vec![2])],
                regions_class_order: None,
            },
            channels: vec!["image".into()],
            file_ending: ".nii.gz".into(),
            architecture: None,
        }
    }
}

/// Which of a network's folds and checkpoints are wanted.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// Folds by name; all that are there, if empty.
    pub folds: Vec<String>,
    /// The checkpoint's file name; `checkpoint_final.pth` where nothing is said.
    pub checkpoint: Option<String>,
}

impl Choice {
    /// An exported network with the folds that are wanted.
    fn among(&self, folder: &Path, mut manifest: NetworkManifest) -> Result<NetworkManifest, PlansError> {
        if let Some(wanted) = self.checkpoint.as_ref().filter(|wanted| **wanted != manifest.checkpoint) {
            return Err(PlansError::OtherCheckpoint { exported: manifest.checkpoint, wanted: wanted.clone() });
        }
        if let Some(missing) = self.folds.iter().find(|fold| !manifest.folds.contains(fold)) {
            let (folder, there) = (folder.to_owned(), manifest.folds.join(", "));
            return Err(PlansError::NoSuchFold { fold: missing.clone(), folder, there });
        }
        if !self.folds.is_empty() {
            manifest.folds = self.folds.clone();
        }
        Ok(manifest)
    }
}

/// Reads a JSON file.
///
/// # Errors
/// [`PlansError::Read`] or [`PlansError::Invalid`].
pub fn read_json<T: DeserializeOwned>(file: &Path) -> Result<T, PlansError> {
    let bytes = std::fs::read(file).map_err(|source| PlansError::Read { file: file.to_owned(), source })?;
    let invalid = |reason: String| PlansError::Invalid { file: file.to_owned(), reason };
    let text = text_of(&bytes).ok_or_else(|| invalid("it is no text in UTF-8".to_owned()))?;
    serde_json::from_str(&text).map_err(|error| invalid(error.to_string()))
}

fn parse<T: DeserializeOwned>(value: Value) -> Result<T, String> {
    serde_json::from_value(value).map_err(|error| error.to_string())
}

/// A configuration with what it inherits; the child wins.
pub(super) fn resolve(configurations: &Value, name: &str, depth: usize) -> Result<Map<String, Value>, String> {
    let own = configurations
        .get(name)
        .and_then(Value::as_object)
        .ok_or_else(|| format!("there is no configuration '{name}'"))?;
    let Some(parent) = own.get("inherits_from").and_then(Value::as_str) else {
        return Ok(own.clone());
    };
    if depth > 16 {
        return Err(format!("configuration '{name}' inherits from itself"));
    }
    let mut merged = resolve(configurations, parent, depth + 1)?;
    merged.extend(own.clone());
    Ok(merged)
}

/// The classes that a plan may name beside its configurations.
fn check_classes(plans: &Value) -> Result<(), PlansError> {
    let named = |key: &str| plans.get(key).and_then(Value::as_str);
    if let Some(name) = named("image_reader_writer").filter(|name| !matches!(*name, "SimpleITKIO" | "NibabelIO")) {
        let supported = "SimpleITKIO, NibabelIO";
        return Err(PlansError::Unsupported { what: "the image reader", name: name.to_owned(), supported });
    }
    match named("label_manager").filter(|name| *name != "LabelManager") {
        Some(name) => {
            Err(PlansError::Unsupported { what: "the label manager", name: name.to_owned(), supported: "LabelManager" })
        }
        None => Ok(()),
    }
}

fn check_preprocessor(configuration: &Map<String, Value>) -> Result<(), PlansError> {
    match configuration.get("preprocessor_name").and_then(Value::as_str).filter(|name| *name != "DefaultPreprocessor") {
        Some(name) => Err(PlansError::Unsupported {
            what: "the preprocessor",
            name: name.to_owned(),
            supported: "DefaultPreprocessor",
        }),
        None => Ok(()),
    }
}

fn file_ending(dataset: &Value) -> Result<String, PlansError> {
    let ending = dataset["file_ending"].as_str().unwrap_or(".nii.gz");
    if matches!(ending, ".nii.gz" | ".nii") {
        return Ok(ending.to_owned());
    }
    Err(PlansError::Unsupported { what: "the file ending", name: ending.to_owned(), supported: ".nii.gz, .nii" })
}

fn normalizations(configuration: &Map<String, Value>, file: &Path) -> Result<Vec<(Normalization, bool)>, PlansError> {
    let invalid = |reason: String| PlansError::Invalid { file: file.to_owned(), reason };
    let field = |name: &str| configuration.get(name).cloned().unwrap_or(Value::Null);
    let schemes: Vec<String> = parse(field("normalization_schemes")).map_err(invalid)?;
    let masks: Vec<bool> = parse(field("use_mask_for_norm")).map_err(invalid)?;
    if masks.len() != schemes.len() {
        return Err(invalid(format!(
            "it has {} normalization_schemes and {} use_mask_for_norm",
            schemes.len(),
            masks.len()
        )));
    }
    schemes.iter().zip(masks).map(|(name, mask)| Ok((normalization(name)?, mask))).collect()
}

fn intensities(plans: &Value, configuration: &Map<String, Value>) -> Vec<Option<IntensityProperties>> {
    let channels = configuration.get("normalization_schemes").and_then(Value::as_array).map_or(0, Vec::len);
    let keys = ["foreground_intensity_properties_per_channel", "foreground_intensity_properties_by_modality"];
    let properties = keys.iter().find_map(|key| plans.get(*key));
    (0..channels)
        .map(|channel| {
            properties.and_then(|p| p.get(channel.to_string())).and_then(|p| serde_json::from_value(p.clone()).ok())
        })
        .collect()
}

fn normalization(name: &str) -> Result<Normalization, PlansError> {
    match name {
        "ZScoreNormalization" => Ok(Normalization::ZScore),
        "CTNormalization" => Ok(Normalization::Ct),
        "NoNormalization" => Ok(Normalization::None),
        "RescaleTo01Normalization" => Ok(Normalization::Rescale),
        "RGBTo01Normalization" => Ok(Normalization::Rgb),
        other => Err(PlansError::Unsupported {
            what: "the normalisation",
            name: other.to_owned(),
            supported: "ZScoreNormalization, CTNormalization, NoNormalization, RescaleTo01Normalization, RGBTo01Normalization",
        }),
    }
}

fn resampling(configuration: &Map<String, Value>, key: &str, default_order: u64) -> Result<Resampling, PlansError> {
    let kwargs = configuration.get(&format!("{key}_kwargs")).and_then(Value::as_object);
    match configuration.get(key).and_then(Value::as_str).unwrap_or("resample_data_or_seg_to_shape") {
        "resample_data_or_seg_to_shape" => spline(key, kwargs, default_order),
        "resample_torch_fornnunet" => torch(kwargs),
        "no_resampling_hack" => Ok(Resampling::None),
        other => Err(PlansError::Unsupported {
            what: "the resampling function",
            name: other.to_owned(),
            supported: "resample_data_or_seg_to_shape, resample_torch_fornnunet, no_resampling_hack",
        }),
    }
}

fn spline(key: &str, kwargs: Option<&Map<String, Value>>, default_order: u64) -> Result<Resampling, PlansError> {
    let number = |name: &str, default| kwargs.and_then(|k| k.get(name)).and_then(Value::as_u64).unwrap_or(default);
    let (order, order_z) = (number("order", default_order), number("order_z", 0));
    let known = if key == "resampling_fn_seg" { matches!(order, 0 | 1) } else { matches!(order, 0 | 1 | 3) };
    if order_z != 0 || !known {
        return Err(PlansError::Unsupported {
            what: "the resampling order",
            name: format!("{order}, along z {order_z}"),
            supported: "0, 1 and, but for labels, 3, with 0 along z",
        });
    }
    // nnU-Net's function defaults to False where the keyword is left out; null means by the ratio of spacings.
    Ok(Resampling::Spline { order: order as u8, separation: separation(kwargs, Some(false)) })
}

fn torch(kwargs: Option<&Map<String, Value>>) -> Result<Resampling, PlansError> {
    for (option, only) in [("mode", Value::from("linear")), ("aniso_axis_mode", Value::from("nearest-exact"))]
        .into_iter()
        .chain([("memefficient_seg_resampling", Value::from(false))])
    {
        if let Some(other) = kwargs.and_then(|k| k.get(option)).filter(|value| **value != only) {
            return Err(PlansError::Unsupported {
                what: "the resampling mode",
                name: format!("{option} = {other}"),
                supported: "mode linear, aniso_axis_mode nearest-exact, memefficient_seg_resampling false",
            });
        }
    }
    Ok(Resampling::Torch { separation: separation(kwargs, None) })
}

fn separation(kwargs: Option<&Map<String, Value>>, left_out: Option<bool>) -> Separation {
    let Some(kwargs) = kwargs else { return Separation::default() };
    Separation {
        force: kwargs.get("force_separate_z").map_or(left_out, Value::as_bool),
        threshold: kwargs
            .get("separate_z_anisotropy_threshold")
            .and_then(Value::as_f64)
            .unwrap_or(Separation::default().threshold),
    }
}

fn channel_names(dataset: &Value) -> Vec<String> {
    let names = dataset.get("channel_names").or_else(|| dataset.get("modality")).and_then(Value::as_object);
    let by_number: BTreeMap<usize, String> = names
        .into_iter()
        .flatten()
        .filter_map(|(key, name)| {
            Some((key.parse().ok()?, name.as_str().map_or_else(|| name.to_string(), str::to_owned)))
        })
        .collect();
    by_number.into_values().collect()
}

/// As nnU-Net's `LabelManager` reads them.
fn labels(dataset: &Value) -> Result<DatasetLabels, String> {
    let entries = dataset["labels"].as_object().ok_or("it has no labels")?;
    if entries.get("background").and_then(Value::as_u64) != Some(0) {
        return Err("its labels lack background = 0".to_owned());
    }
    let mut foreground = Vec::new();
    let mut regions = false;
    for (name, value) in entries.iter().filter(|(name, _)| *name != "ignore") {
        let values: Vec<u16> = if value.is_array() { parse(value.clone())? } else { vec![parse(value.clone())?] };
        regions |= values.len() > 1;
        if values.iter().any(|value| *value != 0) {
            foreground.push((name.clone(), values));
        }
    }
    if let Some((name, _)) = foreground.iter().find(|(_, values)| values.iter().any(|value| *value > MAX_LABEL)) {
        return Err(format!("label '{name}' is beyond {MAX_LABEL}, the largest that this program writes"));
    }
    let regions_class_order: Option<Vec<u16>> =
        if regions { Some(parse(dataset["regions_class_order"].clone())?) } else { None };
    if let Some(order) = &regions_class_order
        && (order.len() != foreground.len() || order.iter().any(|value| *value > MAX_LABEL))
    {
        return Err(format!("regions_class_order {order:?} does not fit its {} regions", foreground.len()));
    }
    if !regions {
        foreground.sort_by_key(|(_, values)| values[0]);
    }
    Ok(DatasetLabels { foreground, regions_class_order })
}

/// Segmentations are written with a byte a voxel; nnU-Net goes over to two bytes from 255.
const MAX_LABEL: u16 = 254;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn configurations_inherit_and_the_child_wins() {
        let all = json!({"a": {"x": 1, "y": 2}, "b": {"inherits_from": "a", "y": 3}, "c": {"inherits_from": "c"}});
        let resolved = resolve(&all, "b", 0).unwrap();
        assert_eq!((resolved["x"].clone(), resolved["y"].clone()), (json!(1), json!(3)));
        assert!(resolve(&all, "c", 0).unwrap_err().contains("inherits from itself"));
        assert!(resolve(&all, "d", 0).unwrap_err().contains("no configuration 'd'"));
    }

    #[test]
    fn labels_leave_out_background_and_ignore() {
        fn check(labels_json: Value, expected: &[(&str, &[u16])]) {
            let got = labels(&json!({"labels": labels_json, "regions_class_order": [1, 2]})).unwrap().foreground;
            let expected: Vec<_> = expected.iter().map(|(n, v)| ((*n).to_owned(), v.to_vec())).collect();
            assert_eq!(got, expected);
        }
        check(json!({"background": 0, "b": 2, "a": 1, "ignore": 3}), &[("a", &[1]), ("b", &[2])]);
        check(json!({"background": 0, "whole": [1, 2], "core": 2}), &[("core", &[2]), ("whole", &[1, 2])]);
    }

    #[test]
    fn what_is_not_supported_is_named() {
        assert!(
            normalization("MyNormalization").unwrap_err().to_string().contains("'MyNormalization' is not supported")
        );
        let odd = json!({"resampling_fn_data": "my_resampling"});
        assert!(
            resampling(odd.as_object().unwrap(), "resampling_fn_data", 3)
                .unwrap_err()
                .to_string()
                .contains("my_resampling")
        );
        let readers = check_classes(&json!({"image_reader_writer": "Tiff3DIO"})).unwrap_err().to_string();
        assert!(readers.contains("the image reader 'Tiff3DIO' is not supported"), "{readers}");
        assert!(file_ending(&json!({"file_ending": ".png"})).unwrap_err().to_string().contains("'.png'"));
        let modes = json!({"f": "resample_torch_fornnunet", "f_kwargs": {"mode": "nearest"}});
        assert!(resampling(modes.as_object().unwrap(), "f", 1).unwrap_err().to_string().contains("mode = \"nearest\""));
    }

    #[test]
    fn labels_that_no_byte_holds_are_named() {
        fn check(largest: u16, expected: Result<usize, &str>) {
            let entries: Map<String, Value> =
                (0..=largest).map(|n| (if n == 0 { "background".into() } else { format!("l{n}") }, json!(n))).collect();
            let got = labels(&json!({"labels": entries})).map(|labels| labels.heads());
            assert_eq!(got.as_ref().map_err(String::as_str), expected.as_ref().map_err(|words| *words));
        }
        check(254, Ok(255));
        check(255, Err("label 'l255' is beyond 254, the largest that this program writes"));
    }

    #[test]
    fn a_keyword_left_out_is_not_a_null() {
        fn check(kwargs: Value, expected: Option<bool>) {
            let configuration = json!({"f": "resample_data_or_seg_to_shape", "f_kwargs": kwargs});
            let Resampling::Spline { separation, .. } = resampling(configuration.as_object().unwrap(), "f", 1).unwrap()
            else {
                panic!()
            };
            assert_eq!(separation.force, expected);
        }
        check(json!({"order": 1}), Some(false));
        check(json!({"order": 1, "force_separate_z": null}), None);
        check(json!({"order": 1, "force_separate_z": true}), Some(true));
    }

    #[test]
    fn heads_are_regions_or_labels_with_background() {
        fn check(labels_json: Value, order: Value, heads: usize, values: &[u16]) {
            let got = labels(&json!({"labels": labels_json, "regions_class_order": order})).unwrap();
            assert_eq!((got.heads(), got.values()), (heads, values.to_vec()));
        }
        check(json!({"background": 0, "a": 1, "b": 2, "ignore": 3}), Value::Null, 3, &[1, 2]);
        check(json!({"background": 0, "whole": [1, 2, 3], "core": [2, 3], "rim": 3}), json!([1, 2, 3]), 3, &[1, 2, 3]);
    }
}
