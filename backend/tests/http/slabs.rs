//! Voxels as the workbench fetches them: packed, made once, kept by a browser that has to ask.

use std::io::Read;

use flate2::read::ZlibDecoder;
use shared::api::CaseDetail;
use shared::geometry::{Axis, Plane};
use shared::packed::{Packable, Slabs, unpack};
use shared::volume::PlaneLayout;

use crate::server::{Answer, Server, eventually};

fn voxels<T: Packable>(answer: &Answer, columns: usize, count: usize) -> Vec<T> {
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/octet-stream"));
    let mut bytes = Vec::new();
    match answer.header("content-encoding") {
        "deflate" => drop(ZlibDecoder::new(&answer.body[..]).read_to_end(&mut bytes).unwrap()),
        _ => bytes.clone_from(&answer.body),
    }
    let mut voxels = vec![T::default(); count];
    assert!(unpack(&bytes, columns, &mut voxels), "{} bytes for {count} voxels", bytes.len());
    voxels
}

#[test]
fn packed_voxels_are_the_volume_made_once_and_kept_by_who_asks() {
    let server = Server::start();
    let case = server.presegmented();
    are_the_volume(&server, &case);
    are_kept(&server, &case);
}

/// Slabs and planes, deflated or not.
fn are_the_volume(server: &Server, case: &str) {
    let detail: CaseDetail = server.get(&format!("/api/cases/{case}")).json();
    let dims = detail.geometry.dims;
    let count = dims.iter().product();
    assert_eq!(Slabs::new(dims, 2).count(), 1);
    let raw = |of: &str| server.get(&format!("/api/cases/{case}/{of}")).body;
    let wide: Vec<u16> = raw("image/0").chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    for encoding in ["deflate", "identity"] {
        let ask =
            |of: &str| server.request("GET", &format!("/api/cases/{case}/{of}"), &[("accept-encoding", encoding)]);
        assert_eq!(
            ask("image/0/slabs/0").header("content-encoding"),
            if encoding == "deflate" { encoding } else { "" }
        );
        assert!(voxels::<u16>(&ask("image/0/slabs/0"), dims[0], count) == wide);
        for of in ["segmentations/presegmentation", "uncertainty"] {
            assert!(voxels::<u8>(&ask(&format!("{of}/slabs/0")), dims[0], count) == raw(of), "{of}");
        }
        for plane in [(Axis::Axial, 5), (Axis::Coronal, 7), (Axis::Sagittal, 11)] {
            let plane = Plane { axis: plane.0, index: plane.1 };
            let layout = PlaneLayout::new(&detail.geometry, plane).unwrap();
            let expected: Vec<u16> = layout.offsets().map(|offset| wide[offset]).collect();
            let answer = ask(&format!("image/0/planes/{}/{}", plane.axis, plane.index));
            assert!(voxels::<u16>(&answer, layout.dims[0], expected.len()) == expected, "{plane:?}");
        }
    }
    for (missing, code) in [
        ("image/0/slabs/1", "not_found"),
        ("image/0/slabs/18446744073709551615", "not_found"),
        ("image/1/slabs/0", "not_found"),
        ("segmentations/refinement-1/slabs/0", "not_found"),
        // Nothing needs to stand in for a volume that is small.
        ("image/0/coarse", "not_found"),
        ("image/0/planes/axial/999", "no_such_route"),
        ("image/0/planes/oblique/1", "no_such_route"),
    ] {
        assert_eq!(server.get(&format!("/api/cases/{case}/{missing}")).refusal(404).0, code, "{missing}");
    }
}

/// By a browser, which asks whether it still may show them; by the server as long as it has the case.
fn are_kept(server: &Server, case: &str) {
    let place = format!("/api/cases/{case}/image/0/slabs/0");
    let first = server.get(&place);
    assert_eq!((first.status, first.header("cache-control")), (200, "private, no-cache"));
    let tag = first.header("etag").to_owned();
    assert_eq!(tag.len(), 66, "{tag}");
    let again = server.request("GET", &place, &[("if-none-match", &tag)]);
    assert_eq!((again.status, again.body.len(), again.header("etag")), (304, 0, tag.as_str()));
    assert_eq!(server.request("GET", &place, &[("if-none-match", "\"other\"")]).status, 200);

    // Made when the scan came, and gone with it.
    let kept = || {
        let folders = std::fs::read_dir(server.data().join("packed")).unwrap().flatten();
        folders.flat_map(|folder| folder.path().read_dir().unwrap()).count()
    };
    eventually("the scan is packed", || (kept() > 0).then_some(()));
    assert_eq!(server.request("DELETE", &format!("/api/cases/{case}"), &[]).status, 204);
    assert_eq!(server.request("GET", &place, &[("if-none-match", &tag)]).status, 404);
    assert_eq!(server.request("DELETE", &format!("/api/bin/{case}"), &[]).status, 204);
    assert_eq!(kept(), 0);
}
