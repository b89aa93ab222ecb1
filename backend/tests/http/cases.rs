//! A case from upload to download, over HTTP alone.

use std::io::Read;

use flate2::read::GzDecoder;
use serde_json::Value;
use sha2::{Digest, Sha256};
use shared::api::{BinnedCase, CaseDetail, CaseSummary, Note, Provenance};
use shared::case::Stage;
use shared::correction::{CorrectedSlice, Runs, SliceState};
use shared::volume::PlaneLayout;

use crate::scans::Nifti;
use crate::server::Server;

#[test]
fn a_case_from_upload_to_download() {
    let server = Server::start();
    let case = server.presegmented();
    let at = |rest: &str| format!("/api/cases/{case}{rest}");
    let detail: CaseDetail = server.get(&at("")).json();
    assert_eq!(detail.summary.stage, Stage::Correcting);
    assert_eq!(detail.versions, ["presegmentation"]);
    let voxels = detail.geometry.voxel_count();
    assert_eq!(server.get(&at("/uncertainty")).body.len(), voxels);
    let presegmentation = server.get(&at("/segmentations/presegmentation")).body;
    assert_eq!(presegmentation.len(), voxels);

    // The expert says of the first slice: all of it is label 2.
    let plane = detail.slices.unwrap().slices[0].plane();
    let [u, v] = detail.geometry.plane_dims(plane.axis);
    let slice = CorrectedSlice { plane, state: SliceState::Done, runs: Runs(vec![(2, (u * v) as u32)]), revision: 0 };
    let saved = server.put(&at(&format!("/corrections/{}/{}", plane.axis, plane.index)), &slice);
    assert_eq!(saved.status, 200);
    assert_eq!(server.request("POST", &at("/refine"), &[]).status, 202);
    let summary = server.wait(&case, "done");
    assert_eq!(
        (&summary["stage"], &summary["rounds"], &summary["slices_done"]),
        (&"refined".into(), &1.into(), &1.into())
    );

    let refined = server.get(&at("/segmentations/refinement-1")).body;
    for offset in PlaneLayout::new(&detail.geometry, plane).unwrap().offsets() {
        assert_eq!(refined[offset], 2, "the expert's word is final");
    }
    assert_eq!(server.get(&at("/segmentations/presegmentation")).body, presegmentation, "earlier versions stay");

    let download = server.get(&at("/segmentations/refinement-1/nifti"));
    assert_eq!(
        download.header("content-disposition"),
        "attachment; filename=\"DOE^JANE_refinement-1.nii.gz\"; filename*=UTF-8''DOE^JANE_refinement%2D1.nii.gz"
    );
    let mut nifti = Vec::new();
    GzDecoder::new(&download.body[..]).read_to_end(&mut nifti).unwrap();
    assert_eq!(nifti[352..], refined[..]);
    // pixdim, qform and sform.
    let scan = Nifti::generated().plain();
    assert_eq!((&nifti[76..108], &nifti[252..328]), (&scan[76..108], &scan[252..328]));
    assert!(!nifti.windows(4).any(|bytes| bytes == b"JANE"), "free text of the header may name the patient");
    assert!(!server.log().contains("JANE"), "{}", server.log());
}

#[test]
fn the_list_has_a_picture_and_a_note_of_each_case() {
    let server = Server::start();
    let case = server.presegmented();
    let at = |rest: &str| format!("/api/cases/{case}{rest}");
    let picture = server.get(&at("/thumbnail"));
    assert_eq!(picture.header("content-type"), "image/png");
    let mut reader = png::Decoder::new(std::io::Cursor::new(&picture.body[..])).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    assert_eq!((info.width, info.height, info.color_type), (112, 112, png::ColorType::Rgb));
    let is_coloured = |pixel: &[u8]| pixel.iter().max().unwrap() - pixel.iter().min().unwrap() > 30;
    let coloured = pixels.chunks_exact(3).filter(|pixel| is_coloured(pixel)).count();
    let grey = pixels.chunks_exact(3).filter(|pixel| pixel[0] > 30 && !is_coloured(pixel)).count();
    assert!(coloured > 20 && grey > 1000, "{coloured} pixels of labels, {grey} of the scan");
    assert_eq!(server.get("/api/cases/none/thumbnail").refusal(404).0, "not_found");

    let note = |words: &str| server.put(&at("/note"), &Note { note: words.into() });
    let noted = || server.get("/api/cases").json::<Vec<CaseSummary>>()[0].note.clone();
    assert_eq!(noted(), "");
    assert_eq!(note("  ask the radiologist: motion?  ").status, 204);
    assert_eq!(noted(), "ask the radiologist: motion?");
    assert_eq!(note(&"é".repeat(500)).status, 204);
    assert_eq!(note(&"é".repeat(501)).refusal(400).0, "unreadable_request");
    assert_eq!(noted().chars().count(), 500);
    assert_eq!(note("DOE^JANE").status, 204);
    assert_eq!(server.killed_and_restarted().get(&at("")).json::<CaseDetail>().summary.note, "DOE^JANE");
}

#[test]
fn a_deleted_case_is_gone() {
    let server = Server::start();
    let case = server.presegmented();
    assert_eq!(server.request("DELETE", &format!("/api/cases/{case}"), &[]).status, 204);
    assert_eq!(server.get("/api/cases").json::<Vec<Value>>(), Vec::<Value>::new());
    for rest in ["", "/image/0", "/uncertainty", "/segmentations/presegmentation", "/corrections"] {
        assert_eq!(server.get(&format!("/api/cases/{case}{rest}")).refusal(404).0, "not_found", "{rest}");
    }
    let volumes = || {
        let folders = std::fs::read_dir(server.data().join("blobs")).unwrap().flatten();
        folders.flat_map(|folder| folder.path().read_dir().unwrap()).count()
    };
    // It can be brought back for a while, or deleted for good.
    let bin: Vec<BinnedCase> = server.get("/api/bin").json();
    assert_eq!((bin.len(), bin[0].summary.id.as_str(), volumes() > 0), (1, case.as_str(), true));
    assert_eq!(server.request("POST", &format!("/api/bin/{case}/restore"), &[]).json::<Value>()["stage"], "correcting");
    assert_eq!(server.get(&format!("/api/cases/{case}/image/0")).status, 200);
    assert_eq!(
        server.request("DELETE", &format!("/api/bin/{case}"), &[]).refusal(404).0,
        "not_found",
        "it is not in the bin"
    );
    assert_eq!(server.request("DELETE", &format!("/api/cases/{case}"), &[]).status, 204);
    assert_eq!(server.request("DELETE", &format!("/api/bin/{case}"), &[]).status, 204);
    assert_eq!(volumes(), 0);
}

#[test]
fn a_segmentation_says_where_it_comes_from() {
    let server = Server::start();
    let case = server.presegmented();
    let provenance: Provenance =
        server.get(&format!("/api/cases/{case}/segmentations/presegmentation/provenance")).json();
    let manifest = std::fs::read(crate::server::models().join("phantom/bundle.json")).unwrap();
    let bundle: Value = serde_json::from_slice(&manifest).unwrap();
    assert_eq!(
        (provenance.bundle.as_str(), provenance.made_with.bundle_version.as_str()),
        ("phantom", bundle["version"].as_str().unwrap())
    );
    let digest: String = Sha256::digest(&manifest).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(provenance.made_with.bundle_digest, digest);
    assert_eq!((provenance.made_with.folds > 0, provenance.made_with.adaptation), (true, None));
    assert_eq!(
        (provenance.program_version.as_str(), provenance.asked_by.as_str()),
        (env!("CARGO_PKG_VERSION"), "local")
    );
}
