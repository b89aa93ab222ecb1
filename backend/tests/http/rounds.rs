//! Round after round: what was corrected stays, what comes next is new.

use shared::acquisition::WORTHWHILE_SHARE;
use shared::api::CaseDetail;
use shared::correction::{CorrectedSlice, Runs, SliceState};
use shared::geometry::Plane;
use shared::volume::PlaneLayout;

use crate::server::Server;

/// Says of a whole plane that it is background.
fn clear(server: &Server, case: &str, detail: &CaseDetail, plane: Plane) {
    let [u, v] = detail.geometry.plane_dims(plane.axis);
    let slice = CorrectedSlice { plane, state: SliceState::Done, runs: Runs(vec![(0, (u * v) as u32)]), revision: 0 };
    assert_eq!(
        server.put(&format!("/api/cases/{case}/corrections/{}/{}", plane.axis, plane.index), &slice).status,
        200
    );
}

fn refined(server: &Server, case: &str) -> CaseDetail {
    assert_eq!(server.request("POST", &format!("/api/cases/{case}/refine"), &[]).status, 202);
    server.wait(case, "done");
    server.get(&format!("/api/cases/{case}")).json()
}

fn planes(detail: &CaseDetail) -> Vec<Plane> {
    detail.slices.iter().flat_map(|list| list.slices.iter().map(|slice| slice.plane())).collect()
}

#[test]
fn a_second_round_builds_on_the_first() {
    let server = Server::start();
    let case = server.presegmented();
    let at = |rest: &str| format!("/api/cases/{case}{rest}");
    let ask = || server.request("POST", &at("/rounds"), &[]);
    let detail: CaseDetail = server.get(&at("")).json();
    assert_eq!((detail.summary.round, detail.next.is_none()), (1, true));
    assert_eq!(ask().refusal(409).0, "not_now");
    let doubt = server.get(&at("/uncertainty")).body;

    let first = planes(&detail);
    for plane in &first {
        clear(&server, &case, &detail, *plane);
    }
    let detail = refined(&server, &case);
    let next = detail.next.clone().unwrap();
    assert!(
        next.slices.slices.iter().chain(&next.slices.beyond).all(|slice| !first.contains(&slice.plane())),
        "settled planes come back"
    );
    let outcome = next.standing.outcomes[0];
    assert!(outcome.settled > 0.0 && outcome.changed > 0 && next.standing.uncertainty > 0.0, "{:?}", next.standing);
    let expected = next.expected.unwrap();
    assert!((expected.share - expected.voxels / next.standing.foreground as f64).abs() < 1e-9, "{expected:?}");
    assert_eq!(expected.stop, expected.share < WORTHWHILE_SHARE);
    let doubt_now = server.get(&at("/uncertainty")).body;
    assert_ne!(doubt_now, doubt, "the uncertainty is the refined segmentation's");
    for offset in first.iter().flat_map(|plane| PlaneLayout::new(&detail.geometry, *plane).unwrap().offsets()) {
        assert_eq!(doubt_now[offset], 0, "the expert has settled it");
    }

    let detail: CaseDetail = ask().json();
    assert_eq!((detail.summary.round, detail.summary.slices_done, &detail.next), (2, first.len(), &None));
    assert_eq!(planes(&detail), next.slices.slices.iter().map(|slice| slice.plane()).collect::<Vec<_>>());
    assert_eq!(ask().refusal(409).0, "not_now", "this round has to be refined with first");
    let second = planes(&detail)[0];
    clear(&server, &case, &detail, second);
    let detail = refined(&server, &case);
    assert_eq!(detail.versions, ["presegmentation", "refinement-1", "refinement-2"]);
    assert_eq!(detail.next.as_ref().unwrap().standing.outcomes.len(), 2);
    let labels = server.get(&at("/segmentations/refinement-2")).body;
    for plane in first.iter().chain([&second]) {
        for offset in PlaneLayout::new(&detail.geometry, *plane).unwrap().offsets() {
            assert_eq!(labels[offset], 0, "the correction of {plane} stands, whichever round it is from");
        }
    }
}
