//! The whole way round: series → case → correction → refinement → SEG → PACS → read back, voxel by voxel; in every
//! orientation, in every transfer syntax, and for real series.

use std::path::{Path, PathBuf};
use std::process::Command;

use i3deep::scan_io::{LabelFile, read_origin};
use serde_json::{Value, json};
use shared::correction::{CorrectedSlice, Runs, SliceState};
use shared::geometry::{Axis, Plane};
use shared::volume::Volume;

use crate::exports::zipped;
use crate::orthanc::Orthanc;
use crate::scans::Nifti;
use crate::series::Series;
use crate::server::{Server, models};

/// Where columns and rows run to (LPS).
const ORIENTATIONS: [(&str, [[f64; 3]; 2]); 4] = [
    ("axial", [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]),
    ("sagittal", [[0.0, 1.0, 0.0], [0.0, 0.0, -1.0]]),
    ("coronal", [[1.0, 0.0, 0.0], [0.0, 0.0, -1.0]]),
    ("oblique", [[0.936_293_363_6, 0.289_629_477_6, -0.198_669_330_8], [-0.312_991_785_6, 0.944_376_8, -0.098_333_6]]),
];

/// Every transfer syntax that is read, as `packed/pack.py` calls them.
const SYNTAXES: [&str; 16] = [
    "plain",
    "implicit",
    "big-endian",
    "deflated",
    "rle",
    "jpeg",
    "jpeg-extended",
    "jpeg-lossless",
    "jpeg-lossless-1",
    "jpegls",
    "jpegls-near",
    "j2k",
    "j2k-lossy",
    "htj2k",
    "htj2k-rpcl",
    "htj2k-lossy",
];

/// A generated scan as a series, in a folder of its own.
fn generated(folder: &Path, along: [[f64; 3]; 2]) -> PathBuf {
    let scan = Nifti::generated();
    // At right angles to the last digit.
    let dot: f64 = along[0].iter().zip(along[1]).map(|(a, b)| a * b).sum();
    let rows: [f64; 3] = std::array::from_fn(|axis| along[1][axis] - dot * along[0][axis]);
    let unit = |v: [f64; 3]| v.map(|x| x / v.iter().map(|x| x * x).sum::<f64>().sqrt());
    let series =
        Series { spacing: [1.0, 1.0, 1.5], along: [unit(along[0]), unit(rows)], ..Series::tilted([32, 32, 24], 0.0) };
    let at = folder.join("series");
    let _ = std::fs::remove_dir_all(&at);
    series.write(&at, |[x, y, z]| scan.voxels[x + 32 * (y + 32 * z)] as i16);
    at
}

/// Packs every file of a folder in a transfer syntax, as other programs do.
fn packed(folder: &Path, syntax: &str) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/packed/pack.py");
    let mut python = Command::new(std::env::var_os("I3DEEP_PEERS").unwrap());
    let output = python.arg(script).arg(folder).arg(syntax).output().unwrap();
    assert!(output.status.success(), "{syntax}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Goes round with a series; `what` it is, for messages.
#[track_caller]
fn goes_round(server: &Server, orthanc: &Orthanc, series: &Path, bundle: &str, what: &str) {
    let origin = read_origin(series).unwrap();
    let answer = server.upload(bundle, &[&zipped(series)]);
    assert_eq!(answer.status, 201, "{what}: {}", String::from_utf8_lossy(&answer.body));
    let id = answer.json::<Value>()["id"].as_str().unwrap().to_owned();
    server.wait(&id, "done");
    let plane = Plane { axis: Axis::Axial, index: origin.geometry().dims[2] / 2 };
    let empty = Volume::filled(origin.geometry().clone(), 0_u8);
    let count = empty.read_plane(plane).unwrap().len() as u32;
    // Another label in each third, so that a plane that was turned would be seen.
    let runs = Runs(vec![(2, count / 3), (0, count / 5), (1, count - count / 3 - count / 5)]);
    let painted = CorrectedSlice { plane, state: SliceState::Done, runs, revision: 0 };
    let address = format!("/api/cases/{id}/corrections/axial/{}", plane.index);
    assert_eq!(server.put(&address, &painted).status, 200, "{what}");
    assert_eq!(server.request("POST", &format!("/api/cases/{id}/refine"), &[]).status, 202);
    server.wait(&id, "done");
    let refined = server.get(&format!("/api/cases/{id}/segmentations/refinement-1")).body;
    let refined = Volume::new(origin.geometry().clone(), refined).unwrap();
    let expected: Vec<u8> = painted.runs.0.iter().flat_map(|(label, n)| vec![*label; *n as usize]).collect();
    assert_eq!(refined.read_plane(plane).unwrap(), expected, "{what}: what was painted is not where it was painted");
    for format in ["seg", "seg-binary"] {
        let answer = server.post(&format!("/api/cases/{id}/send"), &json!({ "source": "clinic", "format": format }));
        assert_eq!(answer.status, 200, "{what}: {}", String::from_utf8_lossy(&answer.body));
        let file = series.with_extension("back");
        std::fs::write(&file, orthanc.file(answer.json::<Value>()["instance"].as_str().unwrap())).unwrap();
        let back = LabelFile::read(&file).unwrap().on(&origin).unwrap_or_else(|error| panic!("{what} {error}"));
        assert_eq!(back.all().unwrap().voxels(), refined.voxels(), "{what} {format}");
        read_by_highdicom(&file, series, &refined, what);
    }
    assert_eq!(server.request("DELETE", &format!("/api/cases/{id}"), &[]).status, 204);
}

/// The same by another program, where one is named; the labels go to it as they are, x fastest.
fn read_by_highdicom(seg: &Path, series: &Path, labels: &Volume<u8>, what: &str) {
    let Some(python) = std::env::var_os("I3DEEP_PEERS") else { return };
    let raw = series.with_extension("raw");
    std::fs::write(&raw, labels.voxels()).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/packed/back.py");
    let output = Command::new(python).arg(script).args([seg, series, &raw]).output().unwrap();
    assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
}

fn with_orthanc(orthanc: &Orthanc) -> Server {
    Server::start_with(&models(), &["--pacs", orthanc.sources(&json!({})).to_str().unwrap()])
}

#[test]
#[cfg_attr(
    not(all(orthanc, packers)),
    ignore = "Orthanc, or I3DEEP_PEERS with highdicom and what packs pixels, is missing"
)]
fn every_orientation_and_transfer_syntax_goes_round() {
    let orthanc = Orthanc::start();
    let server = with_orthanc(&orthanc);
    let folder = tempfile::tempdir().unwrap();
    for (number, syntax) in SYNTAXES.into_iter().enumerate() {
        let (orientation, along) = ORIENTATIONS[number % ORIENTATIONS.len()];
        let series = generated(folder.path(), along);
        packed(&series, syntax);
        goes_round(&server, &orthanc, &series, "phantom", &format!("{orientation} {syntax}"));
    }
}

/// Goes round with a series of `../shared`.
fn real_series_goes_round(name: &str, bundle: &str) {
    let orthanc = Orthanc::start();
    let server = with_orthanc(&orthanc);
    let data = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/dicom");
    let folder = tempfile::tempdir().unwrap();
    let series = folder.path().join("series");
    std::fs::create_dir(&series).unwrap();
    for file in std::fs::read_dir(data.join(name)).unwrap().flatten() {
        std::fs::copy(file.path(), series.join(file.file_name())).unwrap();
    }
    goes_round(&server, &orthanc, &series, bundle, name);
}

#[test]
#[cfg_attr(
    not(all(material, orthanc, packers)),
    ignore = "../shared, Orthanc, or I3DEEP_PEERS with highdicom is missing"
)]
fn real_series_go_round() {
    for name in ["Study1/13_HCropVolume", "Study2/14_HCropVolume", "Study3/11_HCropVolume"] {
        real_series_goes_round(&format!("hippocrop/{name}"), "hippocampus");
    }
}

/// 512 × 512 × 22, and 274 × 384 × 384: oblique both. What the networks make of them does not matter here.
#[test]
#[ignore = "minutes: I3DEEP_JOB_LIMIT_S=3600 cargo test --workspace --test http -- --ignored large_real_series"]
fn large_real_series_go_round() {
    for name in ["hippocrop/Study1/12-T1post-05670", "mr_head_384/dicoms"] {
        real_series_goes_round(name, "phantom");
    }
}
