//! `i3deep export`, and what takes a DICOM SEG or a `.seg.nrrd` in the place of labels.

use std::path::{Path, PathBuf};
use std::process::Command;

use i3deep::scan_io::{LabelFile, read_labels, read_origin, write_labels};
use shared::geometry::Geometry;
use shared::volume::Volume;

use crate::series::{CANARIES, Series};

fn bundle() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("models/phantom")
}

/// A folder with a series and labels of it, organ and lesion.
pub(crate) struct Desk {
    pub(crate) folder: tempfile::TempDir,
}

impl Desk {
    pub(crate) fn new(dims: [usize; 3]) -> Self {
        let desk = Self { folder: tempfile::tempdir().unwrap() };
        Series::tilted(dims, 0.3).write(&desk.at("series"), |[x, y, z]| (x * y + 10 * z) as i16);
        let origin = read_origin(&desk.at("series")).unwrap();
        let geometry = origin.geometry().clone();
        let label = |[x, y, z]: [usize; 3]| {
            let organ = x > dims[0] / 4 && y > dims[1] / 3 && z > 0 && z + 2 < dims[2];
            u8::from(organ) + u8::from(organ && x % 5 == 0 && z == dims[2] / 2)
        };
        let voxels = (0..geometry.voxel_count()).map(|at| label(Geometry::voxel_at(at, dims))).collect();
        write_labels(&desk.at("labels.nii.gz"), &Volume::new(geometry, voxels).unwrap(), &origin).unwrap();
        desk
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs `i3deep export` in the folder: status and what it said.
    pub(crate) fn export(&self, arguments: &[&str]) -> (i32, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_i3deep"));
        command.args(["export", "--bundle"]).arg(bundle()).args(arguments).current_dir(&self.folder);
        let output = command.output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8(said).unwrap())
    }

    fn labels(&self) -> Volume<u8> {
        read_labels(&self.at("labels.nii.gz")).unwrap()
    }
}

#[test]
fn labels_go_round_through_every_format() {
    let desk = Desk::new([12, 9, 7]);
    let mut from = "labels.nii.gz".to_owned();
    for (to, more) in [
        ("a.dcm", &[][..]),
        ("b.seg.nrrd", &[]),
        ("c.dcm", &["--binary"]),
        ("d.mha", &[]),
        ("e.nrrd", &[]),
        ("f.dcm", &["--without-patient"]),
        ("g.nii", &[]),
    ] {
        let arguments = [&["--image", "series", "--labels", &from, "--out", to], more].concat();
        let (code, said) = desk.export(&arguments);
        assert_eq!((code, said.as_str()), (0, format!("{to} is written\n").as_str()));
        let scan = read_origin(&desk.at("series")).unwrap();
        let got = LabelFile::read(&desk.at(to)).unwrap().on(&scan).unwrap().all().unwrap();
        assert_eq!(got.voxels(), desk.labels().voxels(), "{from} to {to}");
        assert!(!said.contains("CANARY"), "{said}");
        from = to.to_owned();
    }
    let of = |name: &str| String::from_utf8_lossy(&std::fs::read(desk.at(name)).unwrap()).into_owned();
    for canary in CANARIES {
        assert!(of("a.dcm").contains(canary));
        assert!(!of("f.dcm").contains(canary) && !of("b.seg.nrrd").contains(canary), "{canary}");
    }
}

#[test]
fn what_cannot_be_exported_is_refused_in_words() {
    let desk = Desk::new([12, 9, 7]);
    let check = |arguments: &[&str], code: i32, words: &str| {
        let (got, said) = desk.export(arguments);
        assert!(got == code && said.contains(words), "{got}: {said}");
        assert!(!said.contains("CANARY"), "{said}");
    };
    let of = |out| ["--image", "series", "--labels", "labels.nii.gz", "--out", out];
    check(&of("a.txt"), 2, "a.txt does not end in .dcm, .seg.nrrd, .nii.gz, .nii, .nrrd, .mha");
    check(&[&of("a.mha")[..], &["--binary"]].concat(), 2, "are of a DICOM SEG");
    check(&of("labels.nii.gz"), 2, "would be written over");
    check(
        &["--image", "labels.nii.gz", "--labels", "labels.nii.gz", "--out", "a.dcm"],
        1,
        "labels.nii.gz is no DICOM series; give the folder of the series",
    );
    check(&["--image", "series", "--labels", "series", "--out", "a.dcm"], 1, "labels are in one file");
    Series::tilted([12, 9, 6], 0.3).write(&desk.at("other"), |_| 0);
    check(&["--image", "other", "--labels", "labels.nii.gz", "--out", "a.dcm"], 1, "has 12 × 9 × 7 voxels instead of");
    assert!(!desk.at("a.dcm").exists());
}

/// Runs another command in the desk's folder.
#[track_caller]
fn run(desk: &Desk, arguments: &[&str]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_i3deep"));
    for argument in arguments {
        if *argument == "BUNDLE" {
            command.arg(bundle());
        } else {
            command.arg(argument);
        }
    }
    let output = command.current_dir(&desk.folder).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_dicom_seg_corrects_as_a_nifti_file_does() {
    let desk = Desk::new([32, 32, 16]);
    assert_eq!(desk.export(&["--image", "series", "--labels", "labels.nii.gz", "--out", "seg.dcm"]).0, 0);
    run(&desk, &["presegment", "--bundle", "BUNDLE", "--image", "series", "--out", "out", "--device", "cpu"]);
    for (corrections, out) in [("labels.nii.gz", "a.nii.gz"), ("seg.dcm", "b.seg.nrrd")] {
        let arguments = ["refine", "--bundle", "BUNDLE", "--image", "series", "--slices", "out/slices.json"];
        let files = ["--corrections", corrections, "--out", out, "--device", "cpu"];
        run(&desk, &[&arguments[..], &files].concat());
    }
    let of = |name: &str| read_labels(&desk.at(name)).unwrap();
    assert_eq!(of("a.nii.gz").voxels(), of("b.seg.nrrd").voxels());
    assert_ne!(of("a.nii.gz").voxels(), of("out/presegmentation.nii.gz").voxels(), "nothing was corrected");
}

#[test]
fn a_dicom_seg_is_the_truth_as_a_nifti_file_is() {
    let desk = Desk::new([32, 32, 16]);
    for folder in ["images", "nifti", "dicom"] {
        std::fs::create_dir(desk.at(folder)).unwrap();
    }
    std::fs::rename(desk.at("series"), desk.at("images/case")).unwrap();
    let image = ["--image", "images/case", "--labels", "labels.nii.gz", "--out"];
    assert_eq!(desk.export(&[&image[..], &["dicom/case.dcm", "--binary"]].concat()).0, 0);
    std::fs::rename(desk.at("labels.nii.gz"), desk.at("nifti/case.nii.gz")).unwrap();
    for labels in ["nifti", "dicom"] {
        let out = format!("of-{labels}");
        let arguments = ["evaluate", "--bundle", "BUNDLE", "--images", "images", "--labels", labels, "--out", &out];
        run(&desk, &[&arguments[..], &["--strategies", "equidistant", "--device", "cpu"]].concat());
    }
    let table = |labels: &str| std::fs::read_to_string(desk.at(&format!("of-{labels}/results.csv"))).unwrap();
    assert_eq!(table("nifti"), table("dicom"));
    assert!(table("nifti").lines().count() > 1);
}

/// A parser that calls itself for sequences within sequences would end the program.
#[test]
fn what_is_sent_is_looked_at_before_it_is_read() {
    let desk = Desk::new([12, 9, 7]);
    assert_eq!(desk.export(&["--image", "series", "--labels", "labels.nii.gz", "--out", "seg.dcm"]).0, 0);
    let nested = b"\x08\0\x15\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\xff\xff\xff\xff".repeat(100_000);
    let whole = std::fs::read(desk.at("seg.dcm")).unwrap();
    std::fs::write(desk.at("deep.dcm"), [&whole[..], &nested].concat()).unwrap();
    std::fs::write(desk.at("cut.dcm"), &whole[..whole.len() - 40]).unwrap();
    let check = |file: &str, words: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_i3deep"));
        command.args(["send", file, "--to", "127.0.0.1:1", "--ae-title", "ARCHIVE"]).current_dir(&desk.folder);
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{file}: {said}");
        assert!(said.contains(words), "{file}: {said}");
    };
    check("seg.dcm", "takes up no association");
    check("deep.dcm", "sequences within sequences, more than 100 deep");
    check("cut.dcm", "cannot be read as DICOM");
}
