//! What nnU-Net wrote down about a trained network: `plans.json`, `dataset.json` and our `network.json`.

mod dataset;
mod normalization;
mod resampling;

use std::path::Path;

use serde_json::{Map, Value};

use super::architecture::Architecture;
use super::json::{parse, resolve};
use super::trained;
use dataset::{channel_names, file_ending, labels};
use normalization::{intensities, normalizations};
use resampling::resampling;

pub use super::error::{PlansError, TrainedError};
pub use super::json::read_json;
pub use super::network::{Choice, EngineKind, NetworkManifest};
pub use dataset::DatasetLabels;
pub use normalization::{IntensityProperties, Normalization};
pub use resampling::{Resampling, Separation};

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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_supported_is_named() {
        let scheme = json!({"normalization_schemes": ["MyNormalization"], "use_mask_for_norm": [true]});
        let scheme = normalizations(scheme.as_object().unwrap(), Path::new("plans.json")).unwrap_err().to_string();
        assert!(scheme.contains("'MyNormalization' is not supported"), "{scheme}");
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
}
