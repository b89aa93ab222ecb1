//! What nnU-Net wrote down about a trained network: `plans.json`, `dataset.json` and our `network.json`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use thiserror::Error;

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
#[derive(Clone, Debug, Deserialize)]
pub struct NetworkManifest {
    /// Version of this format.
    pub format: u32,
    /// libtorch it was exported with.
    pub torch_version: String,
    /// nnU-Net configuration, such as `3d_fullres`.
    pub configuration: String,
    /// Trainer class, for the record.
    #[serde(default)]
    pub trainer: String,
    /// Fold names; fold `K` is `fold_K.pt`.
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
    /// How far logits may be from the golden ones.
    pub golden_tolerance: f32,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resampling {
    /// `resample_data_or_seg_to_shape`: splines in f64.
    Default {
        /// `force_separate_z`.
        separate_z: Option<bool>,
        /// Spline order: 3 for images, 1 for logits.
        order: u8,
    },
    /// `no_resampling_data_or_seg_to_shape` and its aliases.
    None,
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
    /// For the logits.
    pub resample_logits: Resampling,
    /// The labels.
    pub labels: DatasetLabels,
    /// Image channel names in order.
    pub channels: Vec<String>,
    /// File ending of cases, such as `.nii.gz`.
    pub file_ending: String,
}

/// The labels of `dataset.json`.
#[derive(Clone, Debug, PartialEq)]
pub struct DatasetLabels {
    /// Name and value(s), in ascending order of the first value; background and `ignore` excluded.
    pub foreground: Vec<(String, Vec<u16>)>,
    /// `regions_class_order`, if some label is a region.
    pub regions_class_order: Option<Vec<u16>>,
}

impl Plan {
    /// Reads a network folder's `network.json`, `plans.json` and `dataset.json`.
    ///
    /// # Errors
    /// [`PlansError`]; what is not supported is named before any work is done.
    pub fn read(folder: &Path) -> Result<Self, PlansError> {
        let manifest: NetworkManifest = read_json(&folder.join("network.json"))?;
        let plans_file = folder.join("plans.json");
        let plans: Value = read_json(&plans_file)?;
        let dataset: Value = read_json(&folder.join("dataset.json"))?;
        let invalid = |reason: String| PlansError::Invalid { file: plans_file.clone(), reason };
        let configuration = resolve(&plans["configurations"], &manifest.configuration, 0).map_err(invalid)?;
        if let Some(stage) = configuration.get("previous_stage").filter(|v| !v.is_null()) {
            return Err(PlansError::Unsupported {
                what: "a cascade after",
                name: stage.to_string(),
                supported: "single-stage configurations",
            });
        }
        let channels = channel_names(&dataset);
        let field = |name: &str| configuration.get(name).cloned().unwrap_or(Value::Null);
        let schemes: Vec<String> = parse(field("normalization_schemes")).map_err(invalid)?;
        let masks: Vec<bool> = parse(field("use_mask_for_norm")).map_err(invalid)?;
        let normalization =
            schemes.iter().zip(masks).map(|(name, mask)| Ok((normalization(name)?, mask))).collect::<Result<_, PlansError>>()?;
        let properties =
            plans.get("foreground_intensity_properties_per_channel").or_else(|| plans.get("foreground_intensity_properties_by_modality"));
        let intensity = (0..schemes.len())
            .map(|channel| properties.and_then(|p| p.get(channel.to_string())).and_then(|p| serde_json::from_value(p.clone()).ok()))
            .collect();
        Ok(Self {
            patch_size: parse(field("patch_size")).map_err(invalid)?,
            spacing_mm: parse(field("spacing")).map_err(invalid)?,
            transpose_forward: parse(plans["transpose_forward"].clone()).map_err(invalid)?,
            transpose_backward: parse(plans["transpose_backward"].clone()).map_err(invalid)?,
            normalization,
            intensity,
            resample_data: resampling(&configuration, "resampling_fn_data", 3)?,
            resample_logits: resampling(&configuration, "resampling_fn_probabilities", 1)?,
            labels: labels(&dataset).map_err(|reason| PlansError::Invalid { file: folder.join("dataset.json"), reason })?,
            channels,
            file_ending: dataset["file_ending"].as_str().unwrap_or(".nii.gz").to_owned(),
            manifest,
        })
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

    /// Target spacing for a scan whose spacing along the network's axes is given: 2D networks leave the first axis alone.
    pub fn target_spacing_mm(&self, original_mm: [f64; 3]) -> [f64; 3] {
        match self.spacing_mm[..] {
            [z, y, x] => [z, y, x],
            [y, x] => [original_mm[0], y, x],
            _ => original_mm,
        }
    }
}

/// Reads a JSON file.
///
/// # Errors
/// [`PlansError::Read`] or [`PlansError::Invalid`].
pub fn read_json<T: DeserializeOwned>(file: &Path) -> Result<T, PlansError> {
    let text = std::fs::read(file).map_err(|source| PlansError::Read { file: file.to_owned(), source })?;
    serde_json::from_slice(&text).map_err(|error| PlansError::Invalid { file: file.to_owned(), reason: error.to_string() })
}

fn parse<T: DeserializeOwned>(value: Value) -> Result<T, String> {
    serde_json::from_value(value).map_err(|error| error.to_string())
}

/// A configuration with what it inherits; the child wins.
fn resolve(configurations: &Value, name: &str, depth: usize) -> Result<Map<String, Value>, String> {
    let own = configurations.get(name).and_then(Value::as_object).ok_or_else(|| format!("there is no configuration '{name}'"))?;
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
    let kwargs = configuration.get(&format!("{key}_kwargs"));
    let order = kwargs.and_then(|k| k.get("order")).and_then(Value::as_u64).unwrap_or(default_order);
    let unsupported =
        |what, name| PlansError::Unsupported { what, name, supported: "resample_data_or_seg_to_shape with order 0, 1 or 3 and order_z 0" };
    match configuration.get(key).and_then(Value::as_str).unwrap_or("resample_data_or_seg_to_shape") {
        "resample_data_or_seg_to_shape" => {}
        "no_resampling_data_or_seg_to_shape" | "no_resampling_hack" => return Ok(Resampling::None),
        other => return Err(unsupported("the resampling function", other.to_owned())),
    }
    let order_z = kwargs.and_then(|k| k.get("order_z")).and_then(Value::as_u64).unwrap_or(0);
    if order_z != 0 || !matches!(order, 0 | 1 | 3) {
        return Err(unsupported("the resampling order", format!("{order}, along z {order_z}")));
    }
    Ok(Resampling::Default { separate_z: kwargs.and_then(|k| k.get("force_separate_z")).and_then(Value::as_bool), order: order as u8 })
}

fn channel_names(dataset: &Value) -> Vec<String> {
    let names = dataset.get("channel_names").or_else(|| dataset.get("modality")).and_then(Value::as_object);
    let by_number: BTreeMap<usize, String> = names
        .into_iter()
        .flatten()
        .filter_map(|(key, name)| Some((key.parse().ok()?, name.as_str().map_or_else(|| name.to_string(), str::to_owned))))
        .collect();
    by_number.into_values().collect()
}

fn labels(dataset: &Value) -> Result<DatasetLabels, String> {
    let entries = dataset["labels"].as_object().ok_or("it has no labels")?;
    let mut foreground = Vec::new();
    let mut regions = false;
    for (name, value) in entries {
        let values: Vec<u16> = if value.is_array() { parse(value.clone())? } else { vec![parse(value.clone())?] };
        regions |= values.len() > 1;
        if name != "ignore" && values != [0] {
            foreground.push((name.clone(), values));
        }
    }
    let regions_class_order = if regions { Some(parse(dataset["regions_class_order"].clone())?) } else { None };
    if !regions {
        foreground.sort_by_key(|(_, values)| values[0]);
    }
    Ok(DatasetLabels { foreground, regions_class_order })
}

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
        assert!(normalization("MyNormalization").unwrap_err().to_string().contains("'MyNormalization' is not supported"));
        let odd = json!({"resampling_fn_data": "my_resampling"});
        assert!(resampling(odd.as_object().unwrap(), "resampling_fn_data", 3).unwrap_err().to_string().contains("my_resampling"));
    }
}
