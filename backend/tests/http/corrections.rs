//! Corrections: saved slice by slice, never lost, never silently overwritten.

use std::io::Read;

use flate2::read::GzDecoder;
use serde_json::json;
use shared::api::{BringBack, SliceVersion};
use shared::correction::{CorrectedSlice, Runs, SliceState};
use shared::geometry::{Axis, Plane};

use crate::server::Server;

fn axial(index: usize, label: u8, revision: u64) -> CorrectedSlice {
    CorrectedSlice {
        plane: Plane { axis: Axis::Axial, index },
        state: SliceState::Done,
        runs: Runs(vec![(label, 32 * 32)]),
        revision,
    }
}

#[test]
fn what_was_saved_survives_a_killed_server() {
    let server = Server::start();
    let case = server.presegmented();
    let route = format!("/api/cases/{case}/corrections/axial/5");
    let saved: CorrectedSlice = server.put(&route, &axial(5, 1, 0)).json();
    assert_eq!(saved, axial(5, 1, 1));
    let server = server.killed_and_restarted();
    assert_eq!(server.get(&format!("/api/cases/{case}/corrections")).json::<Vec<CorrectedSlice>>(), [axial(5, 1, 1)]);
}

#[test]
fn a_download_holds_what_the_expert_has_corrected() {
    let server = Server::start();
    let case = server.presegmented();
    let save = |slice: &CorrectedSlice| {
        server.put(&format!("/api/cases/{case}/corrections/axial/{}", slice.plane.index), slice)
    };
    save(&axial(5, 1, 0));
    save(&CorrectedSlice { state: SliceState::Todo, ..axial(7, 1, 0) });
    save(&CorrectedSlice { state: SliceState::Skipped, ..axial(9, 1, 0) });
    let voxels = |path: &str| {
        let mut nifti = Vec::new();
        GzDecoder::new(&server.get(&format!("/api/cases/{case}/{path}")).body[..]).read_to_end(&mut nifti).unwrap();
        nifti
    };
    let (before, after) = (voxels("segmentations/presegmentation/nifti"), voxels("corrected/nifti"));
    assert_eq!(before[..352], after[..352], "the scan's own geometry");
    let plane = |file: &[u8], index: usize| file[352 + index * 1024..352 + (index + 1) * 1024].to_vec();
    for index in 0..24 {
        let expected = if [5, 7].contains(&index) { vec![1; 1024] } else { plane(&before, index) };
        assert_eq!(plane(&after, index), expected, "axial {index}");
    }
    let name = server.get(&format!("/api/cases/{case}/corrected/nifti")).header("content-disposition").to_owned();
    assert!(name.contains("presegmentation_corrected.nii.gz"), "{name}");
}

#[test]
fn slices_that_contradict_each_other_are_not_refined_with() {
    let server = Server::start();
    let case = server.presegmented();
    let refine = || server.request("POST", &format!("/api/cases/{case}/refine"), &[]);
    let coronal = |label: u8, revision: u64| {
        let slice = CorrectedSlice {
            plane: Plane { axis: Axis::Coronal, index: 3 },
            runs: Runs(vec![(label, 32 * 24)]),
            ..axial(0, 0, revision)
        };
        server.put(&format!("/api/cases/{case}/corrections/coronal/3"), &slice)
    };
    server.put(&format!("/api/cases/{case}/corrections/axial/5"), &axial(5, 1, 0));
    assert_eq!(coronal(0, 0).status, 200);
    let (code, message) = refine().refusal(409);
    assert_eq!(code, "not_now");
    assert!(
        message.contains("coronal 3 and axial 5 call voxel 0, 3, 5 by different labels, the first of 32 such voxels"),
        "{message}"
    );
    assert_eq!(coronal(1, 1).status, 200);
    assert_eq!(refine().status, 202);
}

#[test]
fn saves_that_do_not_fit_are_refused() {
    let server = Server::start();
    let case = server.presegmented();
    let check = |place: &str, slice: &CorrectedSlice, status: u16, code: &str| {
        assert_eq!(server.put(&format!("/api/cases/{case}/corrections/{place}"), slice).refusal(status).0, code);
    };
    server.put(&format!("/api/cases/{case}/corrections/axial/5"), &axial(5, 1, 0));
    check("axial/5", &axial(5, 0, 0), 409, "stale_correction");
    check("axial/6", &axial(5, 1, 1), 400, "plane_mismatch");
    check("axial/24", &axial(24, 1, 0), 422, "correction_does_not_fit");
    check("axial/6", &axial(6, 9, 0), 422, "correction_does_not_fit");
    check("oblique/6", &axial(6, 1, 0), 404, "no_such_route");
    let garbage = server.put(&format!("/api/cases/{case}/corrections/axial/5"), &json!({"plane": 3}));
    assert_eq!(garbage.refusal(400).0, "unreadable_request");
    assert_eq!(server.put("/api/cases/nobody/corrections/axial/5", &axial(5, 1, 0)).refusal(404).0, "not_found");
    assert_eq!(server.get(&format!("/api/cases/{case}/corrections")).json::<Vec<CorrectedSlice>>(), [axial(5, 1, 1)]);
}

#[test]
fn the_loser_of_a_conflict_is_kept_and_can_be_brought_back() {
    let server = Server::start();
    let case = server.presegmented();
    let route = format!("/api/cases/{case}/corrections/axial/5");
    let versions = || server.get(&format!("{route}/versions")).json::<Vec<SliceVersion>>();
    server.put(&route, &axial(5, 1, 0));
    assert_eq!(server.put(&route, &axial(5, 2, 0)).refusal(409).0, "stale_correction");
    let told: Vec<_> = versions().iter().map(|version| (version.base, version.revision, version.holds)).collect();
    assert_eq!(told, [(0, None, false), (0, Some(1), true)]);
    let lost = format!("{route}/versions/{}", versions()[0].id);
    assert_eq!(server.get(&lost).json::<CorrectedSlice>(), axial(5, 2, 0));
    assert_eq!(server.post(&lost, &BringBack { base: 0 }).refusal(409).0, "stale_correction");
    assert_eq!(server.post(&lost, &BringBack { base: 1 }).json::<CorrectedSlice>(), axial(5, 2, 2));
    assert_eq!(server.get(&format!("{route}/versions/999")).refusal(404).0, "not_found");
    assert_eq!(
        server.get(&format!("/api/cases/{case}/corrections/oblique/5/versions")).refusal(404).0,
        "no_such_route"
    );
}
