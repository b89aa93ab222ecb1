//! What is no scan is refused with a reason, and leaves nothing behind.

use serde_json::Value;

use crate::scans::{Nifti, pack};
use crate::server::{BUNDLE, Server};

#[test]
fn a_scan_becomes_a_case() {
    let server = Server::start();
    let scan = Nifti::generated();
    let case = server.upload(BUNDLE, &[&scan.packed()]);
    assert_eq!(case.status, 201);
    let summary: Value = case.json();
    assert_eq!(summary["name"], "DOE^JANE");
    assert_eq!(summary["stage"], "presegmenting");
    let detail: Value = server.get(&format!("/api/cases/{}", summary["id"].as_str().unwrap())).json();
    assert_eq!(detail["geometry"]["dims"], serde_json::json!([32, 32, 24]));
    let image = server.get(&format!("/api/cases/{}/image/0", summary["id"].as_str().unwrap()));
    let (minimum, step) =
        (detail["images"][0]["minimum"].as_f64().unwrap(), detail["images"][0]["step"].as_f64().unwrap());
    for (pair, voxel) in image.body.chunks_exact(2).zip(&scan.voxels) {
        let intensity = minimum + step * f64::from(u16::from_le_bytes([pair[0], pair[1]]));
        assert!((intensity - f64::from(*voxel)).abs() <= step, "{intensity} for {voxel}");
    }
}

#[test]
fn what_is_no_scan_is_refused_and_leaves_nothing() {
    let server = Server::start_with(&crate::server::models(), &["--upload-limit-mib", "4"]);
    let good = Nifti::generated();
    let changed = |change: fn(&mut Nifti)| {
        let mut scan = good.clone();
        change(&mut scan);
        scan.packed()
    };
    let packed = good.packed();
    let noise: Vec<u8> = (0..5 << 20).map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let check = |files: &[&[u8]], status: u16, code: &str, says: &str| {
        let (got, message) = server.upload(BUNDLE, files).refusal(status);
        assert_eq!(got, code, "{message}");
        assert!(message.contains(says), "{message}");
    };
    check(&[b"not a scan"], 422, "not_a_nifti", "this is not a NIfTI file");
    check(&[b""], 422, "not_a_nifti", "it holds 0 bytes");
    check(&[&packed[..packed.len() / 2]], 422, "damaged", "cut off");
    check(&[&pack(&good.plain()[..5000])], 422, "truncated", "its header promises 98656 bytes, it holds 5000");
    check(&[&changed(|scan| scan.dim = [4, 32, 32, 12, 2, 1, 1, 1])], 422, "not_3d", "a scan has 3");
    check(&[&changed(|scan| scan.voxels[7] = f32::NAN)], 422, "not_finite", "voxel [7, 0, 0] is NaN");
    check(&[&changed(|scan| scan.dim[1] = 0)], 422, "bad_geometry", "Export it again");
    check(&[&changed(|scan| scan.dim[1..4].fill(2048))], 422, "too_large", "more than 536870912, which is the limit");
    check(&[&packed, &packed], 400, "wrong_channel_count", "phantom needs 1 image(s) (MRI), 2 were sent");
    check(&[], 400, "wrong_channel_count", "0 were sent");
    check(&[&noise], 413, "too_large", "larger than 4 MiB");
    let (code, message) = server.upload("liver", &[&packed]).refusal(400);
    assert_eq!(code, "unknown_bundle");
    assert!(message.contains("there is no bundle \"liver\"; choose one of: "), "{message}");

    assert_eq!(server.get("/api/cases").json::<Vec<Value>>(), Vec::<Value>::new());
    let files = |folder: &str| std::fs::read_dir(server.data().join(folder)).unwrap().count();
    assert_eq!((files("blobs"), files("work")), (0, 0));
}

#[test]
fn a_case_is_named_as_typed_or_by_its_number() {
    let server = Server::start();
    let scan = Nifti::generated().packed();
    let named = |name: &str| server.upload_named(name, BUNDLE, &[&scan]);
    assert_eq!(named("").json::<Value>()["name"], "Case 1", "never as the file, which may have a patient's name");
    assert_eq!(named(" Left, second try ").json::<Value>()["name"], "Left, second try");
    let (code, message) = named("esaC \u{202e}7").refusal(422);
    assert_eq!(code, "bad_name");
    assert!(message.contains("U+202E"), "{message}");
    assert_eq!(named("\u{200b}").refusal(422).0, "bad_name");
    assert_eq!(server.get("/api/cases").json::<Vec<Value>>().len(), 2);
}

#[test]
#[cfg_attr(not(may_mount), ignore = "this user may not mount a disk of its own")]
fn a_full_disk_is_said_and_leaves_room_for_the_next_scan() {
    let server = Server::start_on_a_small_disk(8 << 20);
    let noise = (0..128 * 128 * 64_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 8) as f32).collect();
    let large = Nifti { dim: [3, 128, 128, 64, 1, 1, 1, 1], voxels: noise, ..Nifti::generated() };
    let (code, message) = server.upload(BUNDLE, &[&large.packed()]).refusal(507);
    assert_eq!(code, "disk_full");
    assert!(message.contains("nothing was stored"), "{message}");
    assert_eq!(server.get("/api/cases").json::<Vec<Value>>(), Vec::<Value>::new());
    server.presegmented();
}

#[test]
fn a_damaged_bundle_takes_no_scans_until_it_is_whole() {
    let models = tempfile::tempdir().unwrap();
    let bundle = models.path().join(BUNDLE);
    let copied =
        std::process::Command::new("cp").arg("-r").arg(crate::server::models().join(BUNDLE)).arg(&bundle).status();
    assert!(copied.unwrap().success());
    let weights = bundle.join("presegmentation/fold_0.pt");
    let good = std::fs::read(&weights).unwrap();
    std::fs::write(&weights, b"half of a copy").unwrap();
    let server = Server::start_with(models.path(), &[]);
    let scan = Nifti::generated().packed();
    let (code, message) = server.upload(BUNDLE, &[&scan]).refusal(409);
    assert_eq!(code, "bundle_unusable");
    assert!(message.contains("presegmentation/fold_0.pt differs from the file that was bundled"), "{message}");
    std::fs::write(&weights, good).unwrap();
    assert_eq!(server.upload(BUNDLE, &[&scan]).status, 201, "once it is whole, without a restart");
}
