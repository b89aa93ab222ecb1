//! Well-formed files that are odd: what is read of each is what nibabel 5.4.2 reads, or it is refused by name.
//! `models/tests/test_odd_niftis.py` writes the files, has nibabel read them, and sees that both are as they are kept.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use i3deep::scan_io::read_scan;
use serde::Deserialize;

/// How far a place in mm may be from nibabel's.
const TOLERANCE_MM: f64 = 1e-4;

/// What is expected of a file.
#[derive(Deserialize)]
#[serde(untagged)]
enum Expected {
    Refused {
        refused: String,
    },
    Read {
        shape: [usize; 3],
        /// A picture has two.
        axes: usize,
        /// Rows of world (mm) from voxel.
        affine: [[f64; 4]; 3],
        spacing_mm: [f64; 3],
        /// The first axis runs fastest.
        voxels: Vec<f32>,
    },
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/fixtures/odd_nifti")
}

/// How what is read differs from what is expected.
fn difference(file: &Path, expected: &Expected) -> Option<String> {
    let (scan, shape, axes, affine, spacing_mm, voxels) = match (read_scan(file), expected) {
        (Err(error), Expected::Refused { refused }) => {
            return (!error.to_string().contains(refused)).then(|| format!("'{error}' does not say '{refused}'"));
        }
        (Ok(_), Expected::Refused { .. }) => return Some("it is taken".to_owned()),
        (Err(error), Expected::Read { .. }) => return Some(error.to_string()),
        (Ok(scan), Expected::Read { shape, axes, affine, spacing_mm, voxels }) => {
            (scan, shape, *axes, affine, spacing_mm, voxels)
        }
    };
    let grid = scan.volume.geometry();
    if (grid.dims, scan.origin.is_flat()) != (*shape, axes == 2) {
        return Some(format!("{:?} voxels, flat: {}", grid.dims, scan.origin.is_flat()));
    }
    if scan.volume.voxels() != voxels {
        return Some(format!("{:?} instead of {voxels:?}", scan.volume.voxels()));
    }
    // What lies behind a picture is nobody's: nnU-Net gives it a thickness of its own.
    let places = (0..axes).chain([3]).flat_map(|column| (0..axes).map(move |row| (row, column)));
    let apart = places.map(|(row, column)| (grid.world_from_voxel[row][column] - affine[row][column]).abs());
    let sizes = (0..axes).map(|axis| (grid.spacing_mm[axis] - spacing_mm[axis]).abs());
    let same = apart.chain(sizes).all(|off_mm| off_mm <= TOLERANCE_MM);
    (!same).then(|| format!("{grid:?}, not {affine:?} and {spacing_mm:?}"))
}

#[test]
fn odd_files_are_read_as_nibabel_reads_them_or_refused_by_name() {
    let text = fs::read_to_string(folder().join("expected.json")).unwrap();
    let expected: BTreeMap<String, Expected> = serde_json::from_str(&text).unwrap();
    let refused = expected.values().filter(|expected| matches!(expected, Expected::Refused { .. })).count();
    println!("{} files, {refused} of them refused", expected.len());
    assert!(expected.len() > 80 && refused > 5, "{} files, {refused} refused", expected.len());
    let wrong: Vec<String> = expected
        .iter()
        .filter_map(|(name, expected)| Some(format!("{name}: {}", difference(&folder().join(name), expected)?)))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
