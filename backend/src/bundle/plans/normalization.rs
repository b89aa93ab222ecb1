//! How intensities are normalised.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::bundle::error::PlansError;
use crate::bundle::json::parse;

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

/// Each channel's, with whether statistics are taken inside the nonzero mask.
pub(super) fn normalizations(
    configuration: &Map<String, Value>,
    file: &Path,
) -> Result<Vec<(Normalization, bool)>, PlansError> {
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

/// Each channel's, as far as the plan has them.
pub(super) fn intensities(plans: &Value, configuration: &Map<String, Value>) -> Vec<Option<IntensityProperties>> {
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
            supported: "ZScoreNormalization, CTNormalization, NoNormalization, RescaleTo01Normalization, \
                        RGBTo01Normalization",
        }),
    }
}
