//! What other programs read from what is written here: highdicom, pydicom, SimpleITK, and dciodvfy and dcmqi where they
//! are beside that Python.

use std::process::Command;

use crate::command::Desk;

#[test]
#[cfg_attr(not(peers), ignore = "I3DEEP_PEERS names no Python with highdicom, pydicom and SimpleITK")]
fn other_programs_read_the_same_voxels() {
    let desk = Desk::new([33, 20, 9]);
    for (out, more) in [
        ("labelmap.dcm", &[][..]),
        ("binary.dcm", &["--binary"]),
        ("anonymous.dcm", &["--without-patient"]),
        ("labels.seg.nrrd", &[]),
        ("labels.nrrd", &[]),
        ("labels.mha", &[]),
    ] {
        let arguments = [&["--image", "series", "--labels", "labels.nii.gz", "--out", out], more].concat();
        assert_eq!(desk.export(&arguments).0, 0, "{out}");
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/seg/peers.py");
    let output = Command::new(std::env::var_os("I3DEEP_PEERS").unwrap()).arg(script).arg(desk.folder.path()).output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    println!("{said}");
    // What they wrote of the same labels is read here.
    let scan = i3deep::scan_io::read_origin(&desk.at("series")).unwrap();
    let labels = i3deep::scan_io::read_labels(&desk.at("labels.nii.gz")).unwrap();
    for name in
        ["theirs-labelmap.dcm", "theirs-binary.dcm", "theirs.nrrd", "theirs.mha", "theirs.mhd", "theirs-big.nrrd"]
    {
        let file = i3deep::scan_io::LabelFile::read(&desk.at(name)).unwrap();
        let got = file.on(&scan).unwrap_or_else(|error| panic!("{name} {error}")).all().unwrap();
        assert_eq!(got.voxels(), labels.voxels(), "{name}");
    }
}
