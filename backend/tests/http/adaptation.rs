//! A bundle without a refinement network: the presegmentation network learns from the case, and the result says so.

use std::fs;

use serde_json::{Value, json};
use shared::api::{CaseDetail, Provenance};
use shared::correction::{CorrectedSlice, Runs, SliceState};

use crate::server::{BUNDLE, Server, models};

/// The bundle of generated scans without its refinement network, which may adapt for this long.
fn without_refinement(adapt_seconds: f64) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (models().join(BUNDLE), folder.path().join(BUNDLE));
    let mut manifest: Value = serde_json::from_slice(&fs::read(from.join("bundle.json")).unwrap()).unwrap();
    let files = manifest["files"].as_object_mut().unwrap();
    files.retain(|name, _| !name.starts_with("refinement/"));
    for name in files.keys() {
        fs::create_dir_all(to.join(name).parent().unwrap()).unwrap();
        fs::copy(from.join(name), to.join(name)).unwrap();
    }
    manifest["format"] = json!(2);
    manifest["refinement"] = json!("adaptation");
    manifest["adapt_seconds"] = json!(adapt_seconds);
    fs::write(to.join("bundle.json"), manifest.to_string()).unwrap();
    folder
}

#[test]
fn a_bundle_without_a_refinement_network_refines_by_adaptation_and_says_so() {
    let models = without_refinement(2.0);
    let server = Server::start_with(models.path(), &[]);
    let case = server.presegmented();
    let detail: CaseDetail = server.get(&format!("/api/cases/{case}")).json();
    for slice in &detail.slices.as_ref().unwrap().slices {
        let plane = slice.plane();
        let [u, v] = detail.geometry.plane_dims(plane.axis);
        let cleared =
            CorrectedSlice { plane, state: SliceState::Done, runs: Runs(vec![(0, (u * v) as u32)]), revision: 0 };
        assert_eq!(
            server.put(&format!("/api/cases/{case}/corrections/{}/{}", plane.axis, plane.index), &cleared).status,
            200
        );
    }
    assert_eq!(server.request("POST", &format!("/api/cases/{case}/refine"), &[]).status, 202);
    server.wait(&case, "done");
    let provenance: Provenance = server.get(&format!("/api/cases/{case}/segmentations/refinement-1/provenance")).json();
    let said = provenance.made_with.adaptation.unwrap();
    assert!(
        said.starts_with("the network was adapted to ") || said.starts_with("the network was not adapted: "),
        "{said}"
    );
    let presegmentation: Provenance =
        server.get(&format!("/api/cases/{case}/segmentations/presegmentation/provenance")).json();
    assert_eq!(presegmentation.made_with.adaptation, None);
}

#[test]
fn whoever_asks_for_a_refinement_may_say_how_long_the_network_learns() {
    let server = Server::start();
    let case = server.presegmented();
    for (query, why) in [
        ("adapt_seconds=-1", "adapt_seconds lies between 0 and 86400"),
        ("adapt_seconds=soon", "the request cannot be read"),
    ] {
        let (code, message) = server.request("POST", &format!("/api/cases/{case}/refine?{query}"), &[]).refusal(400);
        assert_eq!(code, "unreadable_request");
        assert!(message.contains(why), "{message}");
    }
    // Nothing is done yet: understood, and refused for that reason.
    assert_eq!(
        server.request("POST", &format!("/api/cases/{case}/refine?adapt_seconds=30"), &[]).refusal(409).0,
        "not_now"
    );
}
