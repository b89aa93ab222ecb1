//! The authors' numbers (`vectors/i3deep_reference.json` beside the project), for tests. Their quirks are imitated in tests alone.

use std::path::PathBuf;

use serde_json::Value;

/// The vectors, or nothing, with a message, where the folder is absent.
pub(crate) fn vectors() -> Option<Value> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors/i3deep_reference.json");
    match std::fs::read_to_string(&path) {
        Ok(text) => Some(serde_json::from_str(&text).unwrap()),
        Err(_) => {
            eprintln!("skipped: ../shared/vectors/i3deep_reference.json is not there");
            None
        }
    }
}

/// All numbers of nested lists, in order.
pub(crate) fn floats(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(items) => items.iter().flat_map(floats).collect(),
        other => vec![other.as_f64().unwrap()],
    }
}

/// The authors' normalisation, which stretches whatever is there to 0 to 1.
pub(crate) fn min_max(values: &[f32]) -> Vec<f32> {
    let low = values.iter().copied().fold(f32::INFINITY, f32::min);
    let high = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    values.iter().map(|v| (v - low) / (high - low)).collect()
}

/// Fails where any pair differs by more than `tolerance`.
pub(crate) fn check_near(name: &str, got: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(got.len(), expected.len(), "{name}");
    for (at, (got, expected)) in got.iter().zip(expected).enumerate() {
        assert!((f64::from(*got) - expected).abs() <= tolerance, "{name} at {at}: {got}, expected {expected}");
    }
}
