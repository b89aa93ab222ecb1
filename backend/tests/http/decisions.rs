//! What the expert decides about a whole segmentation, and what correcting has taken.

use std::io::Read;

use flate2::read::GzDecoder;
use shared::api::{CaseDetail, Decision};
use shared::correction::{CorrectedSlice, Runs, SliceState};
use shared::effort::SliceEffort;
use shared::geometry::{Axis, Plane};
use shared::patch::Patch;

use crate::server::Server;

const VOXELS: usize = 32 * 32 * 24;

fn decision(revision: u64, runs: &[(u32, u32, u8)]) -> Decision {
    Decision { version: "presegmentation".into(), revision, patch: Patch(runs.to_vec()) }
}

fn detail(server: &Server, case: &str) -> CaseDetail {
    server.get(&format!("/api/cases/{case}")).json()
}

#[test]
fn what_was_decided_is_in_the_download_under_what_was_corrected() {
    let server = Server::start();
    let case = server.presegmented();
    let at = format!("/api/cases/{case}/segmentations/presegmentation/decision");
    // Two rows of the axial plane 5.
    let first = 5 * 32 * 32;
    let saved: Decision = server.put(&at, &decision(0, &[(first, 64, 1)])).json();
    assert_eq!(saved, decision(1, &[(first, 64, 1)]));
    assert_eq!(server.put(&at, &decision(0, &[(first, 64, 1)])).json::<Decision>(), saved, "an answer was lost");
    assert_eq!(server.put(&at, &decision(0, &[])).refusal(409).0, "stale_correction");
    assert_eq!(server.put(&at, &decision(1, &[(VOXELS as u32, 1, 1)])).refusal(422).0, "correction_does_not_fit");
    assert_eq!(server.put(&at, &decision(1, &[(0, 1, 77)])).refusal(422).0, "correction_does_not_fit");
    let other = at.replace("presegmentation", "refinement-1");
    assert_eq!(server.put(&other, &Decision { version: "refinement-1".into(), ..saved }).refusal(404).0, "not_found");

    // The coronal plane 0 holds the first row of every axial one.
    let plane = Plane { axis: Axis::Coronal, index: 0 };
    let slice = CorrectedSlice { plane, state: SliceState::Done, runs: Runs(vec![(0, 32 * 24)]), revision: 0 };
    assert_eq!(server.put(&format!("/api/cases/{case}/corrections/coronal/0"), &slice).status, 200);
    let server = server.killed_and_restarted();
    let mut file = Vec::new();
    let packed = server.get(&format!("/api/cases/{case}/corrected/nifti")).body;
    GzDecoder::new(&packed[..]).read_to_end(&mut file).unwrap();
    let row = |number: usize| file[352 + first as usize + number * 32..][..32].to_vec();
    assert_eq!((row(0), row(1)), (vec![0; 32], vec![1; 32]));
    assert_eq!(detail(&server, &case).decisions, [decision(1, &[(first, 64, 1)])]);
    let raw = server.get(&format!("/api/cases/{case}/segmentations/presegmentation")).body;
    assert_ne!(raw[first as usize..][..64], [1; 64], "what was made stays as it was made");
}

#[test]
fn what_correcting_took_is_kept_and_nothing_counts_twice() {
    let server = Server::start();
    let case = server.presegmented();
    let plane = Plane { axis: Axis::Axial, index: 5 };
    let effort = |seconds, strokes| SliceEffort { plane, seconds, strokes, contour_mm: 2.0, changed_voxels: 9 };
    let note = |page: &str, slice| server.put(&format!("/api/cases/{case}/effort/{page}"), &[slice]);
    for (page, slice) in [("a", effort(3.0, 1)), ("a", effort(5.0, 2)), ("b", effort(1.5, 1))] {
        assert_eq!(note(page, slice).status, 204);
    }
    assert_eq!(detail(&server, &case).effort, [effort(6.5, 3)]);
    assert_eq!(note("c", effort(-1.0, 1)).refusal(400).0, "unreadable_request");
    let beyond = SliceEffort { plane: Plane { index: 99, ..plane }, ..effort(1.0, 1) };
    assert_eq!(note("c", beyond).refusal(422).0, "correction_does_not_fit");
    let table = server.get(&format!("/api/cases/{case}/effort"));
    assert!(table.header("content-disposition").contains("_effort.csv"));
    let expected = "axis,index,state,seconds,strokes,contour_mm,changed_voxels\naxial,5,to do,6.5,3,2.0,9\n";
    assert_eq!(String::from_utf8_lossy(&table.body), expected);
}

#[test]
fn cases_can_be_compared_by_their_uncertainty() {
    let server = Server::start();
    let case = server.presegmented();
    let uncertain = detail(&server, &case).summary.uncertain.unwrap();
    let labels = server.get(&format!("/api/cases/{case}/segmentations/presegmentation")).body;
    let doubt = server.get(&format!("/api/cases/{case}/uncertainty")).body;
    let sum = doubt.iter().map(|value| f64::from(*value)).sum::<f64>() / 255.0;
    let expected = sum / labels.iter().filter(|label| **label != 0).count() as f64;
    assert!((uncertain - expected).abs() < 1e-9, "{uncertain} is not {expected}");
}
