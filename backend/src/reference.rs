//! The authors' numbers (`../shared/vectors/i3deep_reference.json`) and nnU-Net's, for tests. The authors' quirks are
//! imitated in tests alone.
//!
//! Tests that ask for them carry `#[cfg_attr(not(material), ignore = …)]`: they are ignored, and counted so, where
//! `build.rs` did not find the folder.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// The authors' vectors.
pub(crate) fn vectors() -> Value {
    read(&PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors/i3deep_reference.json"))
}

fn read(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap()
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

/// The index of nnU-Net's vectors (`../shared/vectors/nnunet/index.json`).
pub(crate) fn nnunet_index() -> Value {
    read(&nnunet_folder().join("index.json"))
}

fn nnunet_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors/nnunet")
}

/// A `.npy` file's shape and values, whatever number type it holds.
fn nnunet_npy(name: &str) -> (Vec<usize>, Vec<f64>) {
    let bytes = std::fs::read(nnunet_folder().join(name)).unwrap();
    let header_end = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = std::str::from_utf8(&bytes[10..header_end]).unwrap();
    assert!(header.contains("'fortran_order': False"), "{name}");
    let between = |start: &str, end: &str| header.split(start).nth(1).unwrap().split(end).next().unwrap().to_owned();
    let shape: Vec<usize> = between("'shape': (", ")").split(',').filter_map(|n| n.trim().parse().ok()).collect();
    let body = &bytes[header_end..];
    fn read<const N: usize>(body: &[u8], value: impl Fn([u8; N]) -> f64) -> Vec<f64> {
        body.chunks_exact(N).map(|chunk| value(chunk.try_into().unwrap())).collect()
    }
    let values = match between("'descr': '", "'").as_str() {
        "<f8" => read(body, f64::from_le_bytes),
        "<f4" => read(body, |b| f64::from(f32::from_le_bytes(b))),
        "<f2" => read(body, |b| half::f16::from_le_bytes(b).to_f64()),
        "<i2" => read(body, |b| f64::from(i16::from_le_bytes(b))),
        "<i8" => read(body, |b| i64::from_le_bytes(b) as f64),
        "|i1" => read(body, |[b]: [u8; 1]| f64::from(b as i8)),
        "|u1" | "|b1" => read(body, |[b]: [u8; 1]| f64::from(b)),
        other => panic!("{name}: {other}"),
    };
    (shape, values)
}

/// Values of a vector in f64.
pub(crate) fn nnunet_f64(name: &str) -> Vec<f64> {
    nnunet_npy(name).1
}

/// A vector as `[channels, z, y, x]`; a missing channel axis becomes one channel.
pub(crate) fn nnunet_array(name: &str) -> ndarray::Array4<f32> {
    let (shape, values) = nnunet_npy(name);
    let [c, z, y, x] = match shape[..] {
        [c, z, y, x] => [c, z, y, x],
        [z, y, x] => [1, z, y, x],
        [y, x] => [1, 1, y, x],
        _ => panic!("{name}: {shape:?}"),
    };
    ndarray::Array4::from_shape_vec((c, z, y, x), values.iter().map(|v| *v as f32).collect()).unwrap()
}

/// A vector with one channel as `[z, y, x]`.
pub(crate) fn nnunet_array3(name: &str) -> ndarray::Array3<f32> {
    nnunet_array(name).index_axis_move(ndarray::Axis(0), 0)
}
