//! A bundle learns from finished cases: small real networks, scans of a bright ball in noise.

#![expect(clippy::unwrap_used, reason = "tests")]

mod trained;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use i3deep::bundle::Bundle;
use i3deep::scan_io::{Origin, write_f32, write_labels};
use serde_json::Value;
use shared::geometry::Geometry;
use shared::volume::Volume;
use tempfile::TempDir;
use trained::{Content, content, folder, tensors};

fn i3deep(at: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_i3deep")).args(arguments).current_dir(at).output().unwrap()
}

#[track_caller]
fn done(at: &Path, arguments: &[&str]) -> String {
    let output = i3deep(at, arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[track_caller]
fn refused(at: &Path, arguments: &[&str], code: i32, expected: &str) {
    let output = i3deep(at, arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    assert!(said.contains(expected), "{arguments:?}: {said}");
}

/// A bundle of two networks that have learned nothing, and six finished cases.
fn scene() -> TempDir {
    let scene = tempfile::tempdir().unwrap();
    let at = scene.path();
    folder(&at.join("presegmentation"), &["0", "1"], &content());
    folder(&at.join("refinement"), &["0"], &Content { tensors: tensors(4), ..content() });
    let networks = ["--presegmentation", "presegmentation", "--refinement", "refinement"];
    done(at, &[&["bundle", "create", "-o", "old", "--name", "own"], &networks[..]].concat());
    ["images", "labels"].into_iter().for_each(|name| fs::create_dir(at.join(name)).unwrap());
    for case in 0..6 {
        write_case(at, case);
    }
    scene
}

/// A ball of label 1 with a core of label 2, the brighter the deeper.
fn write_case(at: &Path, case: usize) {
    let geometry = Geometry::axis_aligned([12, 11, 10], [1.0; 3]).unwrap();
    let centre = [5.0 + (case % 2) as f32, 4.0 + (case % 3) as f32, 5.0];
    let noise = |at: usize| ((at * 37 + case * 11) as f32 * 0.7).sin();
    let depth = |at: usize| {
        let place = [at % 12, at / 12 % 11, at / 132];
        place.iter().zip(centre).map(|(a, b)| (*a as f32 - b).powi(2)).sum::<f32>().sqrt()
    };
    let count = geometry.voxel_count();
    let label = |at: usize| u8::from(depth(at) < 4.0) + u8::from(depth(at) < 2.2);
    let image =
        Volume::new(geometry.clone(), (0..count).map(|at| 100.0 * f32::from(label(at)) + 15.0 * noise(at)).collect());
    let labels = Volume::new(geometry.clone(), (0..count).map(label).collect());
    let origin = Origin::of_geometry(&geometry);
    write_f32(&at.join(format!("images/case_{case}_0000.nii.gz")), &image.unwrap(), &origin).unwrap();
    write_labels(&at.join(format!("labels/case_{case}.nii.gz")), &labels.unwrap(), &origin).unwrap();
}

const CASES: [&str; 7] = ["learn", "--images", "images", "--labels", "labels", "--device", "cpu"];

fn learn<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&CASES[..], more].concat()
}

/// What lies in a folder, the hidden too.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_bundle_learns_from_finished_cases_and_says_what_was_gained() {
    let scene = scene();
    let at = scene.path();
    let old = fs::read(at.join("old/bundle.json")).unwrap();
    let there = names(at);
    let steps = ["--steps", "60", "--rate", "0.02", "--json"];
    let said = done(at, &learn(&[&["--bundle", "old", "-o", "new"], &steps[..]].concat()));
    let said: Value = serde_json::from_str(&said).unwrap();
    let dice = |which: &str, when: &str| said["dice"][when][which].as_f64().unwrap();
    for which in ["presegmentation", "refined"] {
        let [before, after] = ["before", "after"].map(|when| dice(which, when));
        println!("{which}: Dice {before:.3} → {after:.3}");
        assert!(after > before + 0.1, "{which}: Dice {before:.3} → {after:.3}");
    }
    assert_eq!((&said["learned_from"], said["kept_back"].as_array().unwrap().len()), (&Value::from(4), 2));

    // The old bundle is as it was, and nothing else lies about.
    assert_eq!(fs::read(at.join("old/bundle.json")).unwrap(), old);
    assert_eq!(names(at).into_iter().filter(|name| !there.contains(name)).collect::<Vec<_>>(), ["new"]);
    let new = Bundle::read(&at.join("new")).unwrap();
    new.verify().unwrap();
    assert_eq!((new.manifest.name.as_str(), new.manifest.version.as_str()), ("own", "1.0.1"));
    let trained = &new.manifest.training_data;
    assert!(trained.contains("then 4 finished case(s)") && !trained.contains("case_"), "{trained}");
    // Two folds that learned are still two.
    let [first, second] = [0, 1].map(|fold| fs::read(at.join(format!("new/presegmentation/fold_{fold}.safetensors"))));
    assert_ne!(first.unwrap(), second.unwrap());

    // Steps as long as these destroy what was learned, and nobody gets that.
    let worse = ["--bundle", "new", "-o", "worse", "--steps", "10", "--rate", "0.9", "--keep-back", "case_0"];
    refused(at, &learn(&worse), 1, "nothing was gained");
    assert!(!at.join("worse").exists());

    // The same seed, the same bytes.
    done(at, &learn(&[&["--bundle", "old", "-o", "again"], &steps[..]].concat()));
    assert_eq!(new.manifest.files, Bundle::read(&at.join("again")).unwrap().manifest.files);
}

#[test]
fn a_bundle_of_one_network_learns_without_a_word_of_another() {
    let scene = scene();
    let at = scene.path();
    done(at, &["bundle", "create", "-o", "single", "--name", "own", "--presegmentation", "presegmentation"]);
    let said = done(at, &learn(&["--bundle", "single", "-o", "new", "--steps", "60", "--rate", "0.02"]));
    assert!(said.contains("version 1.0.1 is in new") && !said.contains("the other"), "{said}");
}

#[test]
fn what_is_no_better_is_not_written() {
    let scene = scene();
    let at = scene.path();
    let there = names(at);
    let nothing = ["--bundle", "old", "-o", "new", "--steps", "1", "--rate", "1e-12"];
    refused(at, &learn(&nothing), 1, "nothing was gained");
    assert_eq!(names(at), there);
}

#[test]
fn what_cannot_learn_is_refused_by_name() {
    let scene = scene();
    let at = scene.path();
    let phantom = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/phantom");
    let phantom = phantom.to_str().unwrap();
    refused(at, &learn(&["--bundle", phantom, "-o", "new"]), 1, "is a TorchScript program");
    refused(at, &learn(&["--bundle", "old", "-o", "old"]), 2, "old");
    let old = ["--bundle", "old", "-o", "new"];
    let with = |more: &[&'static str]| learn(&[&old[..], more].concat());
    refused(at, &with(&["--only", "case_1"]), 1, "one case is too few");
    refused(at, &with(&["--keep-back", "case_9"]), 2, "--keep-back names case_9, which is none of the cases");
    refused(at, &with(&["--only", "case_1,case_2", "--keep-back", "case_1,case_2"]), 2, "none is left to learn from");
    refused(at, &with(&["--minutes", "0"]), 2, "'0' is not a number of minutes above 0");
    fs::remove_file(at.join("images/case_3_0000.nii.gz")).unwrap();
    refused(at, &with(&[]), 1, "nothing was learned, 1 case(s) are not whole:\n  case case_3: has labels but no image");
}
