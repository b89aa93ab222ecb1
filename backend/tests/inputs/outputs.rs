//! No command writes over what it was given, nor one result over another: through links, other names, `.` and `..`;
//! exit 2, nothing computed.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::desk::Desk;

/// Every file's bytes, by path.
fn everything(folder: &Path, into: &mut BTreeMap<String, Vec<u8>>) {
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            everything(&path, into);
        } else {
            into.insert(path.display().to_string(), fs::read(&path).unwrap_or_default());
        }
    }
}

/// Refused with status 2, and every byte as before.
#[track_caller]
fn check(desk: &Desk, arguments: &[&str], words: &str) {
    let (mut before, mut after) = (BTreeMap::new(), BTreeMap::new());
    everything(&desk.at("."), &mut before);
    desk.refused(arguments, 2, words);
    everything(&desk.at("."), &mut after);
    assert!(before == after, "{arguments:?} changed something");
}

#[test]
fn no_command_writes_over_what_it_was_given() {
    let desk = Desk::new();
    desk.done(&["presegment", "--bundle", "BUNDLE", "--image", "scan.nii.gz", "--out", "first", "--device", "cpu"]);
    symlink("scan.nii.gz", desk.at("link.nii.gz")).unwrap();
    fs::hard_link(desk.at("scan.nii.gz"), desk.at("name.nii.gz")).unwrap();
    symlink("first", desk.at("door")).unwrap();

    let refine = |more: &[&str], words: &str| {
        let given = [
            "refine",
            "--bundle",
            "BUNDLE",
            "--image",
            "scan.nii.gz",
            "--corrections",
            "labels.nii.gz",
            "--slices",
            "first/slices.json",
        ];
        check(&desk, &[&given[..], more].concat(), words);
    };
    for out in ["scan.nii.gz", "./first/../scan.nii.gz", "link.nii.gz", "name.nii.gz"] {
        refine(&["--out", out], "would be written over the scan");
    }
    refine(&["--out", "labels.nii.gz"], "would be written over the corrections");
    refine(&["--out", "door/presegmentation.nii.gz"], "would be written over the presegmentation");
    refine(&["--out", "r.nii.gz", "--slices-out", "door/slices.json"], "would be written over the slices");
    refine(&["--out", "r.nii.gz", "--uncertainty-out", "r.nii.gz"], "are the same file");
    refine(&["--out", "new/r.nii.gz", "--uncertainty-out", "new/sub/../r.nii.gz"], "are the same file");

    let acquire = |out: &str, words: &str| {
        let given = [
            "acquire",
            "--uncertainty",
            "first/uncertainty.nii.gz",
            "--presegmentation",
            "first/presegmentation.nii.gz",
        ];
        check(&desk, &[&given[..], &["--settled", "first/slices.json", "--out", out]].concat(), words);
    };
    acquire("door/uncertainty.nii.gz", "would be written over the uncertainty");
    acquire("first/presegmentation.nii.gz", "would be written over the presegmentation");
    acquire("first/./slices.json", "would be written over the slices");

    check(
        &desk,
        &["presegment", "--bundle", "BUNDLE", "--image", "first/presegmentation.nii.gz", "--out", "door"],
        "would be written over the scan",
    );
}

#[test]
fn predict_writes_over_no_image_and_no_network() {
    let desk = Desk::new();
    // The result of case `a` would be the image of case `a_0000`'s only channel … of a case named as an image is.
    fs::create_dir(desk.at("images")).unwrap();
    fs::copy(desk.at("scan.nii.gz"), desk.at("images/a_0000_0000.nii.gz")).unwrap();
    fs::copy(desk.at("scan.nii.gz"), desk.at("images/a_0000.nii.gz")).unwrap();
    check(&desk, &["predict", "-i", "images", "-o", "images", "-m", "NETWORK"], "would be written over the image");
    symlink("images", desk.at("out")).unwrap();
    check(&desk, &["predict", "-i", "images", "-o", "out", "-m", "NETWORK"], "would be written over the image");
    let network = crate::desk::bundle().join("presegmentation");
    assert!(
        std::process::Command::new("cp").arg("-r").arg(network).arg(desk.at("network")).status().unwrap().success()
    );
    check(&desk, &["predict", "-i", "images", "-o", "network", "-m", "./network"], "would be written over the network");
}
