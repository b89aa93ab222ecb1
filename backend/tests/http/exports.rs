//! A DICOM series comes in, and its segmentation goes out as other programs want it.

use std::io::Write;

use i3deep::scan_io::{LabelFile, read_origin, read_scan};
use serde_json::{Value, json};
use shared::correction::{CorrectedSlice, Runs, SliceState};
use shared::geometry::{Axis, Plane};

use crate::scans::Nifti;
use crate::series::{CANARIES, Series};
use crate::server::{BUNDLE, Server};

/// A generated scan as a series, in a folder; and a zip archive of it.
pub(crate) fn series(folder: &std::path::Path) -> Vec<u8> {
    let scan = Nifti::generated();
    let [nx, ny, _] = [32, 32, 24];
    let series = Series { spacing: [1.0, 1.0, 1.5], ..Series::tilted([32, 32, 24], 0.0) };
    series.write(&folder.join("series"), |[x, y, z]| scan.voxels[x + nx * (y + ny * z)] as i16);
    zipped(&folder.join("series"))
}

/// A zip archive of a folder's files.
pub(crate) fn zipped(folder: &std::path::Path) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for file in std::fs::read_dir(folder).unwrap().flatten() {
        let name = file.file_name().into_string().unwrap();
        zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(&std::fs::read(file.path()).unwrap()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

pub(crate) fn uploaded(server: &Server, zip: &[u8]) -> String {
    let answer = server.upload(BUNDLE, &[zip]);
    assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
    let id = answer.json::<Value>()["id"].as_str().unwrap().to_owned();
    server.wait(&id, "done");
    id
}

#[test]
fn a_series_comes_back_as_a_dicom_seg_and_for_slicer() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let id = uploaded(&server, &series(folder.path()));
    let scan = read_origin(&folder.path().join("series")).unwrap();
    let case: Value = server.get(&format!("/api/cases/{id}")).json();
    assert_eq!(case["has_series"], true);
    let labels = server.get(&format!("/api/cases/{id}/segmentations/presegmentation")).body;
    let read = |body: &[u8]| {
        let file = folder.path().join("file");
        std::fs::write(&file, body).unwrap();
        LabelFile::read(&file).unwrap().on(&scan).unwrap().all().unwrap()
    };
    for (format, ending) in [("seg", ".dcm"), ("seg-binary", ".dcm"), ("nrrd", ".seg.nrrd")] {
        let answer = server.get(&format!("/api/cases/{id}/segmentations/presegmentation/export/{format}"));
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        assert!(answer.header("content-disposition").contains(ending));
        assert_eq!(read(&answer.body).voxels(), labels, "{format}");
    }
    // What the expert saved is in it, and named.
    let plane = Plane { axis: Axis::Axial, index: 3 };
    let painted = CorrectedSlice { plane, state: SliceState::Done, runs: Runs(vec![(2, 1024)]), revision: 0 };
    assert_eq!(server.put(&format!("/api/cases/{id}/corrections/axial/3"), &painted).status, 200);
    let answer = server.get(&format!("/api/cases/{id}/corrected/export/seg"));
    assert!(read(&answer.body).read_plane(plane).unwrap().iter().all(|label| *label == 2));
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(text.contains("Corrected by an expert, counted from 0 in the volume: axial 3"));
    for canary in CANARIES {
        assert!(text.contains(canary), "a PACS would not know whose it is: {canary}");
        let elsewhere = [
            server.log(),
            case.to_string(),
            server.get("/api/cases").json::<Value>().to_string(),
            String::from_utf8_lossy(&server.get(&format!("/api/cases/{id}/corrected/export/nrrd")).body).into_owned(),
            String::from_utf8_lossy(&server.get(&format!("/api/cases/{id}/corrected/nifti")).body).into_owned(),
        ];
        assert!(elsewhere.iter().all(|text| !text.contains(canary)), "{canary}");
    }
    server.get(&format!("/api/cases/{id}/corrected/export/tiff")).refusal(404);
}

#[test]
fn what_is_kept_of_a_series_is_the_operators_choice() {
    let folder = tempfile::tempdir().unwrap();
    let zip = series(folder.path());
    for (kept, known) in [("identifiers", true), ("nothing", false)] {
        let server = Server::start_with(&crate::server::models(), &["--keep-of-dicom", kept]);
        let id = uploaded(&server, &zip);
        let answer = server.get(&format!("/api/cases/{id}/corrected/export/seg"));
        if known {
            assert!(String::from_utf8_lossy(&answer.body).contains(&Series::instance(3)));
        } else {
            let (code, words) = answer.refusal(409);
            assert!(code == "not_a_series" && words.contains("--keep-of-dicom"), "{words}");
        }
        // Not in an answer, and not on the disk.
        let database: Vec<u8> = std::fs::read_dir(server.data())
            .unwrap()
            .flatten()
            .filter(|file| file.path().is_file())
            .flat_map(|file| std::fs::read(file.path()).unwrap())
            .collect();
        for canary in CANARIES {
            assert!(!String::from_utf8_lossy(&answer.body).contains(canary));
            let found = database.windows(canary.len()).any(|window| window == canary.as_bytes());
            assert!(!found, "{kept}: {canary}");
        }
    }
}

#[test]
fn a_case_that_is_no_series_has_no_dicom_seg() {
    let server = Server::start();
    let id = server.presegmented();
    let case: Value = server.get(&format!("/api/cases/{id}")).json();
    assert_eq!(case["has_series"], json!(false));
    let (code, words) = server.get(&format!("/api/cases/{id}/corrected/export/seg")).refusal(409);
    assert!(code == "not_a_series" && words.contains("Download NIfTI or NRRD"), "{words}");
    assert_eq!(server.get(&format!("/api/cases/{id}/corrected/export/nrrd")).status, 200);
}

/// The scan that a server gives out is what came in.
#[test]
fn nrrd_and_metaimage_scans_are_taken() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("scan.nii.gz");
    std::fs::write(&source, Nifti::generated().packed()).unwrap();
    let scan = read_scan(&source).unwrap();
    for name in ["scan.nrrd", "scan.mha"] {
        let file = folder.path().join(name);
        i3deep::scan_io::write_f32(&file, &scan.volume, &scan.origin).unwrap();
        let answer = server.upload(BUNDLE, &[&std::fs::read(&file).unwrap()]);
        assert_eq!(answer.status, 201, "{name}: {}", String::from_utf8_lossy(&answer.body));
    }
}
