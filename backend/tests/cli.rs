//! The program on the command line: what it writes, what it refuses, and how it ends (0 done, 1 failed, 2 the arguments
//! were wrong).

#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use i3deep::scan_io::{Origin, read_labels, read_origin, read_scan, write_f32, write_labels};
use serde_json::Value;
use shared::acquisition::SliceList;
use shared::geometry::Geometry;
use shared::volume::Volume;
use tempfile::TempDir;

fn phantom_bundle() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("models/phantom")
}

/// A folder with a generated scan and its labels.
struct Desk {
    folder: TempDir,
}

/// How a command ended.
struct Outcome {
    code: i32,
    out: String,
    err: String,
}

impl Desk {
    fn new() -> Self {
        let desk = Self { folder: tempfile::tempdir().unwrap() };
        assert_eq!(desk.run(&["phantom", "--out", ".", "--cases", "1", "--seed", "5", "--size", "32,32,24"]).code, 0);
        fs::rename(desk.at("imagesTr/phantom_001_0000.nii.gz"), desk.at("scan.nii.gz")).unwrap();
        fs::rename(desk.at("labelsTr/phantom_001.nii.gz"), desk.at("labels.nii.gz")).unwrap();
        desk
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs `i3deep` in the folder; `BUNDLE` stands for the bundle of generated scans.
    fn run(&self, arguments: &[&str]) -> Outcome {
        let bundle = phantom_bundle();
        let mut command = Command::new(env!("CARGO_BIN_EXE_i3deep"));
        for argument in arguments {
            if *argument == "BUNDLE" {
                command.arg(&bundle)
            } else {
                command.arg(argument)
            };
        }
        let output = command.current_dir(&self.folder).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Outcome { code: output.status.code().unwrap(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    #[track_caller]
    fn done(&self, arguments: &[&str]) -> String {
        let Outcome { code, out, err } = self.run(arguments);
        assert_eq!(code, 0, "{err}");
        out
    }

    /// The command ends with this status and these words on stderr.
    #[track_caller]
    fn refused(&self, arguments: &[&str], status: i32, words: &str) {
        let Outcome { code, err, .. } = self.run(arguments);
        assert_eq!(code, status, "{err}");
        assert!(err.contains(words), "'{err}' does not say '{words}'");
        assert!(!err.contains("panicked"), "{err}");
    }
}

#[test]
fn a_scan_is_segmented_corrected_and_refined() {
    let desk = Desk::new();
    desk.done(&["presegment", "--bundle", "BUNDLE", "--image", "scan.nii.gz", "--out", "first", "--device", "cpu"]);
    let list: SliceList = serde_json::from_slice(&fs::read(desk.at("first/slices.json")).unwrap()).unwrap();
    assert!(list.slices.len() >= 3);
    assert_eq!(
        list.slices.iter().map(|slice| slice.rank).collect::<Vec<_>>(),
        (1..=list.slices.len()).collect::<Vec<_>>()
    );
    let uncertainty = read_scan(&desk.at("first/uncertainty.nii.gz")).unwrap().volume;
    assert!(uncertainty.voxels().iter().all(|u| (0.0..=1.0).contains(u)));
    assert!(uncertainty.voxels().iter().any(|u| *u > 0.0));

    let arguments = ["refine", "--bundle", "BUNDLE", "--image", "scan.nii.gz", "--corrections", "labels.nii.gz"];
    let files = ["--slices", "first/slices.json", "--out", "second/refined.nii.gz", "--device", "cpu", "--json"];
    let said: Value = serde_json::from_str(&desk.done(&[&arguments[..], &files].concat())).unwrap();
    assert_eq!(said["planes"].as_array().unwrap().len(), list.slices.len());
    let (truth, refined) =
        (read_labels(&desk.at("labels.nii.gz")).unwrap(), read_labels(&desk.at("second/refined.nii.gz")).unwrap());
    for slice in &list.slices {
        assert_eq!(
            refined.read_plane(slice.plane()).unwrap(),
            truth.read_plane(slice.plane()).unwrap(),
            "{}",
            slice.plane()
        );
    }
    let scan = read_scan(&desk.at("scan.nii.gz")).unwrap().volume;
    assert_eq!(refined.geometry(), scan.geometry());

    let more =
        ["--uncertainty-out", "second/uncertainty.nii.gz", "--slices-out", "second/slices.json", "--budget", "0.1"];
    desk.done(&[&arguments[..], &files[..4], &["--device", "cpu"], &more].concat());
    let next: SliceList = serde_json::from_slice(&fs::read(desk.at("second/slices.json")).unwrap()).unwrap();
    assert!(next.slices.len() >= 3 && next.params.budget == 0.1);
    assert!(
        next.ranked().all(|slice| list.slices.iter().all(|settled| settled.plane() != slice.plane())),
        "a settled plane comes back"
    );
    let doubt = read_scan(&desk.at("second/uncertainty.nii.gz")).unwrap().volume;
    assert!(doubt.voxels().iter().all(|u| (0.0..=1.0).contains(u)) && doubt.voxels().iter().any(|u| *u > 0.0));
    for slice in &list.slices {
        assert!(doubt.read_plane(slice.plane()).unwrap().iter().all(|u| *u == 0.0), "{} is settled", slice.plane());
    }
    let both = [
        "--slices",
        "first/slices.json",
        "--slices",
        "second/slices.json",
        "--out",
        "third/refined.nii.gz",
        "--blend-mm",
        "2",
    ];
    desk.done(&[&arguments[..], &both].concat());
    let third = read_labels(&desk.at("third/refined.nii.gz")).unwrap();
    for slice in list.slices.iter().chain(&next.slices) {
        assert_eq!(
            third.read_plane(slice.plane()).unwrap(),
            truth.read_plane(slice.plane()).unwrap(),
            "{}",
            slice.plane()
        );
    }
    assert_eq!(read_labels(&desk.at("first/presegmentation.nii.gz")).unwrap().geometry(), scan.geometry());
}

#[test]
fn what_is_wrong_is_said_and_nothing_is_written() {
    let desk = Desk::new();
    desk.done(&["presegment", "--bundle", "BUNDLE", "--image", "scan.nii.gz", "--out", "first"]);
    fs::write(desk.at("words.nii.gz"), "these are words").unwrap();
    let whole = fs::read(desk.at("scan.nii.gz")).unwrap();
    fs::write(desk.at("half.nii.gz"), &whole[..whole.len() / 2]).unwrap();

    let presegment = |image: &str, words: &str| {
        desk.refused(&["presegment", "--bundle", "BUNDLE", "--image", image, "--out", "none"], 1, words);
        assert!(!desk.at("none/presegmentation.nii.gz").exists() && !desk.at("none/slices.json").exists());
    };
    presegment("absent.nii.gz", "the image absent.nii.gz: No such file");
    presegment("words.nii.gz", "this is not a NIfTI file");
    presegment("half.nii.gz", "damaged or cut off");
    desk.refused(
        &["presegment", "--bundle", "BUNDLE", "--image", "scan.nii.gz", "--image", "scan.nii.gz", "--out", "none"],
        1,
        "this task needs 1 image(s) (MRI), got 2",
    );

    let labels = read_labels(&desk.at("labels.nii.gz")).unwrap();
    let own = labels.geometry();
    let put = |name: &str, volume: &Volume<u8>, header: &Origin| write_labels(&desk.at(name), volume, header).unwrap();
    let smaller = Geometry::axis_aligned([31, 32, 24], own.spacing_mm).unwrap();
    put("smaller.nii.gz", &Volume::filled(smaller.clone(), 1), &Origin::of_geometry(&smaller));
    let mut affine = own.world_from_voxel;
    affine[0][3] += 5.0;
    let moved = Geometry::new(own.dims, own.spacing_mm, affine).unwrap();
    put("moved.nii.gz", &Volume::filled(moved.clone(), 1), &Origin::of_geometry(&moved));
    put("strange.nii.gz", &labels.map(|_| 9), &read_origin(&desk.at("labels.nii.gz")).unwrap());
    let mut list: SliceList = serde_json::from_slice(&fs::read(desk.at("first/slices.json")).unwrap()).unwrap();
    list.geometry = moved;
    fs::write(desk.at("other.json"), serde_json::to_vec(&list).unwrap()).unwrap();

    let refine = |corrections: &str, slices: &str, out: &str, words: &str| {
        let files = ["--corrections", corrections, "--slices", slices, "--out", out];
        desk.refused(&[&["refine", "--bundle", "BUNDLE", "--image", "scan.nii.gz"][..], &files].concat(), 1, words);
        assert!(!desk.at(out).exists());
    };
    refine(
        "smaller.nii.gz",
        "first/slices.json",
        "r.nii.gz",
        "smaller.nii.gz has 31 × 32 × 24 voxels instead of 32 × 32 × 24",
    );
    refine("moved.nii.gz", "first/slices.json", "r.nii.gz", "moved.nii.gz lies elsewhere: its first voxel is at");
    refine("strange.nii.gz", "first/slices.json", "r.nii.gz", "holds label 9, which this task does not have");
    refine("labels.nii.gz", "other.json", "r.nii.gz", "the slices were chosen on another scan");
    refine("labels.nii.gz", "scan.nii.gz", "r.nii.gz", "scan.nii.gz is not a slices.json: it is no text in UTF-8");
    refine("labels.nii.gz", "first/slices.json", "r.png", "r.png does not end in .nii.gz, .nii, .nrrd or .mha");
}

/// A network folder, and images in nnU-Net's naming: the desk's scan on its own spacing, stretched, and with thick
/// slices.
fn predictable(desk: &Desk) -> String {
    let scan = read_scan(&desk.at("scan.nii.gz")).unwrap().volume;
    let dims = scan.geometry().dims;
    fs::create_dir(desk.at("images")).unwrap();
    fs::copy(desk.at("scan.nii.gz"), desk.at("images/a_0000.nii.gz")).unwrap();
    for (name, spacing_mm) in [("b", [1.3, 0.8, 1.1]), ("c", [0.9, 1.1, 4.5])] {
        let geometry = Geometry::axis_aligned(dims, spacing_mm).unwrap();
        let stretched = Volume::new(geometry.clone(), scan.voxels().to_vec()).unwrap();
        write_f32(&desk.at(&format!("images/{name}_0000.nii.gz")), &stretched, &Origin::of_geometry(&geometry))
            .unwrap();
    }
    phantom_bundle().join("presegmentation").to_str().unwrap().to_owned()
}

#[test]
fn cases_are_predicted_the_same_wherever_logits_are_gathered() {
    let desk = Desk::new();
    let network = predictable(&desk);
    let predict = |out: &str, more: &[&str]| {
        let arguments = [
            "predict",
            "-i",
            "images",
            "-o",
            out,
            "-m",
            &network,
            "-device",
            "cpu",
            "--threads",
            "1",
            "--precision",
            "fast",
        ];
        desk.done(&[&arguments[..], more].concat());
    };
    predict("host", &[]);
    predict("device", &["--accumulate", "device"]);
    for case in ["a", "b", "c"] {
        let [host, device] =
            ["host", "device"].map(|folder| read_labels(&desk.at(&format!("{folder}/{case}.nii.gz"))).unwrap());
        assert!(host.voxels().iter().any(|label| *label > 0), "{case}");
        assert_eq!(host, device, "{case}");
    }
    let both =
        ["predict", "-i", "images", "-o", "none", "-m", &network, "--accumulate", "device", "--save_probabilities"];
    desk.refused(&both, 1, "leave out --accumulate device to save probabilities");
}

#[test]
fn a_case_that_fails_is_named_and_stops_no_other() {
    let desk = Desk::new();
    let network = predictable(&desk);
    fs::write(desk.at("images/b_0000.nii.gz"), "these are words").unwrap();
    desk.refused(
        &["predict", "-i", "images", "-o", "out", "-m", &network, "-device", "cpu"],
        1,
        "case b: the image images/b_0000.nii.gz",
    );
    assert!(desk.at("out/a.nii.gz").exists() && desk.at("out/c.nii.gz").exists());
    assert!(!desk.at("out/b.nii.gz").exists());

    // What cannot be written is said before anything is computed.
    fs::create_dir_all(desk.at("other/a.nii.gz")).unwrap();
    desk.refused(
        &["predict", "-i", "images", "-o", "other", "-m", &network, "-device", "cpu"],
        2,
        "the result other/a.nii.gz is a folder; choose another name",
    );
    assert!(!desk.at("other/c.nii.gz").exists());
}

#[test]
fn bundles_that_cannot_be_used_are_refused_before_anything_runs() {
    let desk = Desk::new();
    let bundle = desk.at("bundle");
    assert!(Command::new("cp").arg("-r").arg(phantom_bundle()).arg(&bundle).status().unwrap().success());
    let presegment = ["presegment", "--bundle", "bundle", "--image", "scan.nii.gz", "--out", "none"];
    desk.done(&["bundle", "verify", "bundle"]);

    let manifest = fs::read_to_string(bundle.join("bundle.json")).unwrap();
    fs::write(
        bundle.join("bundle.json"),
        manifest.replace("\"torch_version\": \"2.11.0\"", "\"torch_version\": \"1.13.1\""),
    )
    .unwrap();
    desk.refused(&presegment, 1, "exported with torch 1.13.1");
    fs::write(bundle.join("bundle.json"), &manifest).unwrap();
    fs::write(bundle.join("presegmentation/fold_0.pt"), "not a network").unwrap();
    desk.refused(&presegment, 1, "presegmentation/fold_0.pt differs from the file that was bundled");
    desk.refused(&["bundle", "verify", "bundle"], 1, "differs from the file that was bundled");
    assert!(
        desk.done(&["bundle", "list", "--models", "."])
            .contains("bundle  cannot be used: presegmentation/fold_0.pt differs")
    );
    fs::remove_file(bundle.join("bundle.json")).unwrap();
    desk.refused(&presegment, 1, "there is no model bundle in bundle");
}

#[test]
fn only_an_entropy_tells_how_sure_a_presegmentation_is() {
    let desk = Desk::new();
    let scan = ["--bundle", "BUNDLE", "--image", "scan.nii.gz", "--device", "cpu"];
    desk.done(&[&["presegment", "--out", "first"][..], &scan].concat());
    let list: Value = serde_json::from_slice(&fs::read(desk.at("first/slices.json")).unwrap()).unwrap();
    // Whoever reads this file is stopped by it.
    fs::write(desk.at("first/uncertainty.nii.gz"), "nothing").unwrap();
    let check = |entropy: &Value, is_read: bool| {
        let mut list = list.clone();
        list["entropy"] = entropy.clone();
        fs::write(desk.at("first/slices.json"), list.to_string()).unwrap();
        let corrected = ["--corrections", "labels.nii.gz", "--slices", "first/slices.json", "--out", "refined.nii.gz"];
        let Outcome { code, err, .. } = desk.run(&[&["refine"][..], &scan, &corrected].concat());
        assert_eq!((code != 0, err.contains("the uncertainty ")), (is_read, is_read), "{entropy}: {err}");
    };
    check(&list["entropy"], true);
    check(&Value::from(false), false);
    check(&Value::Null, false);
}

#[test]
fn uncertainty_is_found_as_asked_for() {
    let desk = Desk::new();
    let presegment = |out: &str, more: &[&str]| {
        let scan = ["presegment", "--bundle", "BUNDLE", "--image", "scan.nii.gz", "--out", out, "--device", "cpu"];
        desk.done(&[&scan[..], more].concat());
        let read = |name: &str| fs::read(desk.at(out).join(name)).unwrap();
        (read("presegmentation.nii.gz"), read("uncertainty.nii.gz"))
    };
    let default = presegment("default", &[]);
    let named = presegment("named", &["--uncertainty", "folds+mirrors/entropy"]);
    assert!(named == default, "the bundle samples folds and mirrors");
    let dropout = presegment("dropout", &["--uncertainty", "dropout:2/mutual-information"]);
    let single = presegment("single", &["--uncertainty", "single/confidence"]);
    let weighted = presegment("weighted", &["--class-dice", "0.9,0.4"]);
    assert!(
        [&dropout, &single, &weighted].iter().all(|made| made.0 == default.0 && made.1 != default.1),
        "labels stay, uncertainty differs"
    );
    assert!(presegment("again", &["--uncertainty", "dropout:2/mutual-information"]) == dropout, "dropout is seeded");
    let is_entropy = |out: &str| {
        let list: SliceList = serde_json::from_slice(&fs::read(desk.at(out).join("slices.json")).unwrap()).unwrap();
        list.entropy
    };
    let told = ["default", "dropout", "single", "weighted"].map(is_entropy);
    assert_eq!(told, [Some(true), Some(false), Some(false), Some(false)]);

    let said = desk.done(&["bundle", "inspect", "BUNDLE"]);
    let samples = "folds+mirrors/entropy; samples: single (one pass), mirrors (test-time augmentation, 8), dropout:N \
                   (Monte-Carlo dropout, N passes)";
    assert!(said.contains(samples), "{said}");

    let refused = |more: &[&str], status: i32, words: &str| {
        desk.refused(
            &[&["presegment", "--bundle", "BUNDLE", "--image", "scan.nii.gz", "--out", "none"][..], more].concat(),
            status,
            words,
        );
        assert!(!desk.at("none").exists());
    };
    refused(
        &["--uncertainty", "rotations/entropy"],
        2,
        "'rotations' does not say where samples come from; use folds, mirrors, dropout:N",
    );
    refused(&["--uncertainty", "mirrors/doubt"], 2, "'doubt' is not an uncertainty measure");
    refused(
        &["--uncertainty", "folds/variance"],
        1,
        "folds/variance compares samples, and this bundle has only one of these",
    );
    refused(&["--class-dice", "0.9"], 1, "1 Dice are given for 2 label(s)");
    refused(&["--class-dice", "0.9,1.4"], 1, "1.4 is not a Dice");

    assert!(Command::new("cp").arg("-r").arg(phantom_bundle()).arg(desk.at("plain")).status().unwrap().success());
    let file = desk.at("plain/presegmentation/network.json");
    fs::write(&file, fs::read_to_string(&file).unwrap().replace("\"dropout\": true", "\"dropout\": false")).unwrap();
    let manifest = fs::read_to_string(desk.at("plain/bundle.json")).unwrap();
    let mut manifest: Value = serde_json::from_str(&manifest).unwrap();
    manifest["files"].as_object_mut().unwrap().remove("presegmentation/network.json");
    fs::write(desk.at("plain/bundle.json"), manifest.to_string()).unwrap();
    let words = "dropout:8/entropy needs dropout, and the network was trained without";
    let scan = [
        "presegment",
        "--bundle",
        "plain",
        "--image",
        "scan.nii.gz",
        "--out",
        "none",
        "--uncertainty",
        "dropout:8/entropy",
    ];
    desk.refused(&scan, 1, words);
    assert!(!desk.at("none").exists());
    assert!(!desk.done(&["bundle", "inspect", "plain"]).contains("dropout:N"));
}

#[test]
fn arguments_that_make_no_sense_end_with_2() {
    let desk = Desk::new();
    desk.refused(
        &["presegment", "--bundle", "BUNDLE", "--image", "scan.nii.gz", "--out", "none", "--budget", "7"],
        2,
        "'7' is not a share",
    );
    let refine = [
        "refine",
        "--bundle",
        "BUNDLE",
        "--image",
        "scan.nii.gz",
        "--corrections",
        "labels.nii.gz",
        "--slices",
        "s.json",
        "--out",
        "r.nii",
    ];
    desk.refused(&[&refine[..], &["--blend-mm", "-1"]].concat(), 2, "error");
    desk.refused(&[&refine[..], &["--blend-mm", "near"]].concat(), 2, "'near' is not a distance in mm");
    desk.refused(&[&refine[..], &["--budget", "0.2"]].concat(), 2, "--slices-out");
    desk.refused(&["presegment", "--bundle", "BUNDLE", "--out", "none"], 2, "--image");
    desk.refused(&["segment"], 2, "unrecognized subcommand");
    let evaluate = ["evaluate", "--bundle", "BUNDLE", "--images", ".", "--labels", ".", "--out", "none"];
    desk.refused(
        &[&evaluate[..], &["--uncertainty", "entropy,flips/entropy"]].concat(),
        2,
        "'flips' does not say where samples come from",
    );
    desk.refused(&[&evaluate[..], &["--no-refine", "--rounds", "2"]].concat(), 2, "cannot be used with");
    desk.refused(&["serve", "--device", "tpu"], 2, "'tpu' is not a device");
}

#[test]
fn a_server_that_cannot_start_says_why() {
    let desk = Desk::new();
    fs::create_dir(desk.at("client")).unwrap();
    fs::create_dir(desk.at("empty")).unwrap();
    fs::write(desk.at("client/index.html"), "").unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let models = phantom_bundle().parent().unwrap().to_str().unwrap().to_owned();
    let serve = |bind: &str, models: &str, words: &str| {
        desk.refused(
            &["serve", "--bind", bind, "--client", "client", "--models", models, "--data", "data", "--device", "cpu"],
            1,
            words,
        );
        assert!(!desk.at("data").exists());
    };
    serve(&address, &models, &format!("cannot listen on {address}; is another i3deep running?"));
    serve("127.0.0.1:0", "empty", "holds no model bundle");
    serve("0.0.0.0:0", &models, "is reachable from other machines");
}

#[test]
fn two_programs_belong_together() {
    // A link is the program in another place.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let alone = folder.path().join("i3deep");
    fs::hard_link(env!("CARGO_BIN_EXE_i3deep"), &alone).unwrap();
    let check = |program: &Path, arguments: &[&str], words: &str| {
        let output = Command::new(program).args(arguments).current_dir(&folder).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(said.starts_with("error: ") && said.contains(words), "{arguments:?}: {said}");
    };
    for command in ["doctor", "serve"] {
        check(&alone, &[command], "i3deep-worker does not lie beside this program");
    }
    check(Path::new(env!("CARGO_BIN_EXE_i3deep-worker")), &["serve"], "this is a command of i3deep");
    // A device that is not there is known to the other program alone.
    let serve = ["serve", "--device", "cuda:99"];
    check(Path::new(env!("CARGO_BIN_EXE_i3deep")), &serve, "cuda:99 is not available on this machine");
}
