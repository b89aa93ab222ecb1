//! What `dataset.json` says: labels, channels and the form of the files.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::bundle::error::PlansError;
use crate::bundle::json::parse;

/// Segmentations are written with a byte a voxel; nnU-Net goes over to two bytes from 255.
const MAX_LABEL: u16 = 254;

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

/// As nnU-Net's `LabelManager` reads them.
pub(super) fn labels(dataset: &Value) -> Result<DatasetLabels, String> {
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

/// Names of the channels, in order.
pub(super) fn channel_names(dataset: &Value) -> Vec<String> {
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

/// The ending of cases' files.
pub(super) fn file_ending(dataset: &Value) -> Result<String, PlansError> {
    let ending = dataset["file_ending"].as_str().unwrap_or(".nii.gz");
    if matches!(ending, ".nii.gz" | ".nii" | ".nrrd" | ".mha") {
        return Ok(ending.to_owned());
    }
    let supported = ".nii.gz, .nii, .nrrd, .mha";
    Err(PlansError::Unsupported { what: "the file ending", name: ending.to_owned(), supported })
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;

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
    fn heads_are_regions_or_labels_with_background() {
        fn check(labels_json: Value, order: Value, heads: usize, values: &[u16]) {
            let got = labels(&json!({"labels": labels_json, "regions_class_order": order})).unwrap();
            assert_eq!((got.heads(), got.values()), (heads, values.to_vec()));
        }
        check(json!({"background": 0, "a": 1, "b": 2, "ignore": 3}), Value::Null, 3, &[1, 2]);
        check(json!({"background": 0, "whole": [1, 2, 3], "core": [2, 3], "rim": 3}), json!([1, 2, 3]), 3, &[1, 2, 3]);
    }
}
