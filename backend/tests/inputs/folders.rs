//! Folders as people have them: one bad file stops no other, failures stand at the end; names that are no text; folders
//! that nobody may write into.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};

use i3deep::scan_io::read_labels;

use crate::desk::{Desk, bundle};

const PREDICT: [&str; 7] = ["predict", "-i", "images", "-m", "NETWORK", "-device", "cpu"];

#[test]
fn one_bad_file_stops_no_other() {
    let desk = Desk::new();
    let scan = fs::read(desk.at("scan.nii.gz")).unwrap();
    fs::create_dir(desk.at("images")).unwrap();
    let put = |name: &str, bytes: &[u8]| fs::write(desk.at("images").join(name), bytes).unwrap();
    for good in ["a_0000.nii.gz", "m_0000.nii.gz", "z_0000.nii.gz"] {
        put(good, &scan);
    }
    // What macOS, editors and clouds leave.
    put("._a_0000.nii.gz", b"Mac OS X");
    put(".hidden_0000.nii.gz", b"words");
    put("cut_0000.nii.gz", &scan[..scan.len() / 2]);
    put("empty_0000.nii.gz", b"");
    put("other_0001.nii.gz", &scan);
    symlink("gone.nii.gz", desk.at("images/link_0000.nii.gz")).unwrap();
    fs::create_dir(desk.at("images/folder_0000.nii.gz")).unwrap();

    let all = [&PREDICT[..], &["-o", "out"]].concat();
    let (code, said) = desk.run(&all);
    assert_eq!(code, 1, "{said}");
    let end = said.rsplit("error: ").next().unwrap();
    for words in [
        "5 of 8 case(s) failed, the others are written:",
        "case cut: the image images/cut_0000.nii.gz: the file is damaged or cut off",
        "case empty: the image images/empty_0000.nii.gz: this is not a NIfTI file",
        "case other: other_0000.nii.gz is missing",
        "case link: the image images/link_0000.nii.gz: No such file",
        "case folder: the image images/folder_0000.nii.gz: the folder holds no DICOM images",
    ] {
        assert!(end.contains(words), "'{end}' does not say '{words}'");
    }
    let expected = read_labels(&desk.at("out/a.nii.gz")).unwrap();
    for good in ["m", "z"] {
        assert_eq!(read_labels(&desk.at(&format!("out/{good}.nii.gz"))).unwrap(), expected);
    }
    assert!(
        !desk.at("out/cut.nii.gz").exists()
            && !desk.at("out/._a.nii.gz").exists()
            && !desk.at("out/.hidden.nii.gz").exists()
    );
}

#[test]
fn a_prediction_goes_on_where_results_are_whole() {
    let desk = Desk::new();
    fs::create_dir(desk.at("images")).unwrap();
    for case in ["a", "b", "c", "d"] {
        fs::copy(desk.at("scan.nii.gz"), desk.at(&format!("images/{case}_0000.nii.gz"))).unwrap();
    }
    desk.done(&[&PREDICT[..], &["-o", "out"]].concat());
    let good = fs::read(desk.at("out/a.nii.gz")).unwrap();
    // One is whole and another's, one cut, one of another scan, one empty.
    let labels = read_labels(&desk.at("out/a.nii.gz")).unwrap();
    let origin = i3deep::scan_io::read_origin(&desk.at("out/a.nii.gz")).unwrap();
    i3deep::scan_io::write_labels(&desk.at("out/a.nii.gz"), &labels.map(|_| 1), &origin).unwrap();
    fs::write(desk.at("out/b.nii.gz"), &good[..good.len() / 2]).unwrap();
    let small = shared::geometry::Geometry::axis_aligned([4, 4, 4], [1.0; 3]).unwrap();
    let other = i3deep::scan_io::Origin::of_geometry(&small);
    i3deep::scan_io::write_labels(&desk.at("out/c.nii.gz"), &shared::volume::Volume::filled(small, 1), &other).unwrap();
    fs::write(desk.at("out/d.nii.gz"), "").unwrap();
    desk.done(&[&PREDICT[..], &["-o", "out", "--continue_prediction"]].concat());
    assert!(
        read_labels(&desk.at("out/a.nii.gz")).unwrap().voxels().iter().all(|label| *label == 1),
        "a whole result is believed"
    );
    for again in ["b", "c", "d"] {
        assert_eq!(read_labels(&desk.at(&format!("out/{again}.nii.gz"))).unwrap(), labels, "{again}");
    }
}

#[test]
fn names_may_be_any_bytes() {
    let desk = Desk::new();
    let names: [&[u8]; 4] = [b"M\xfcller", "größe 脳".as_bytes(), "a\u{202e}b".as_bytes(), b"\xff\xfe"];
    fs::create_dir(desk.at("images")).unwrap();
    let file = |folder: &str, name: &[u8], ending: &str| {
        desk.at(folder).join(OsStr::from_bytes(&[name, ending.as_bytes()].concat()))
    };
    for name in names {
        fs::copy(desk.at("scan.nii.gz"), file("images", name, "_0000.nii.gz")).unwrap();
    }
    let (code, said) = desk.run(&[&PREDICT[..], &["-o", "out"]].concat());
    assert_eq!(code, 0, "{said}");
    assert!(!said.contains('\u{202e}'), "a name turns the terminal's text");
    for name in names {
        read_labels(&file("out", name, ".nii.gz")).unwrap();
    }
    // In arguments, and in what is said as JSON.
    let odd = file(".", b"sc\xe4n", ".nii.gz");
    fs::rename(desk.at("scan.nii.gz"), &odd).unwrap();
    let run = |arguments: &[&OsStr]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_i3deep"))
            .args(arguments)
            .current_dir(desk.at("."))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let text = OsStr::new;
    let bundle = bundle();
    let given = [
        text("--bundle"),
        bundle.as_os_str(),
        text("--image"),
        odd.as_os_str(),
        text("--device"),
        text("cpu"),
        text("--json"),
    ];
    let out = file(".", b"\xe4", "");
    run(&[&[text("presegment")], &given[..], &[text("--out"), out.as_os_str()]].concat());
    let (slices, refined) = (out.join("slices.json"), out.join(OsStr::from_bytes(b"r\xe4.nii.gz")));
    let more = [
        text("--slices"),
        slices.as_os_str(),
        text("--corrections"),
        text("labels.nii.gz"),
        text("--out"),
        refined.as_os_str(),
    ];
    run(&[&[text("refine")], &given[..], &more].concat());
}

#[test]
fn a_network_that_nobody_may_write_to_works_again_and_again() {
    let desk = Desk::new();
    fs::create_dir(desk.at("images")).unwrap();
    fs::copy(desk.at("scan.nii.gz"), desk.at("images/a_0000.nii.gz")).unwrap();
    let network = bundle().join("presegmentation");
    assert!(
        std::process::Command::new("cp").arg("-r").arg(network).arg(desk.at("network")).status().unwrap().success()
    );
    for file in ["dataset.json", "plans.json"] {
        fs::set_permissions(desk.at("network").join(file), fs::Permissions::from_mode(0o444)).unwrap();
    }
    let predict = ["predict", "-i", "images", "-o", "out", "-m", "network", "-device", "cpu"];
    desk.done(&predict);
    desk.done(&predict);
    let mode = fs::metadata(desk.at("out/plans.json")).unwrap().permissions().mode();
    assert_ne!(mode & 0o200, 0, "the record can be written over");
}

#[test]
fn what_cannot_be_written_is_known_before_anything_is_computed() {
    let desk = Desk::new();
    fs::write(desk.at("file"), "").unwrap();
    let presegment = |out: &str, words: &str| {
        desk.refused(&["presegment", "--bundle", "BUNDLE", "--image", "absent.nii.gz", "--out", out], 1, words);
    };
    // A file where a folder should be; a file system that takes no files.
    presegment("file/out", "cannot write into the folder");
    presegment("/proc/out", "cannot write into the folder /proc");
    desk.refused(&[&PREDICT[..2], &["."], &PREDICT[3..], &["-o", "/proc/out"]].concat(), 1, "");
}
