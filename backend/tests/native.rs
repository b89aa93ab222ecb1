//! From the folder that nnU-Net trained to a segmentation and a bundle, on a machine without Python.

#![expect(clippy::unwrap_used, reason = "tests")]

mod trained;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use i3deep::bundle::plans::EngineKind;
use i3deep::bundle::{Bundle, Refinement, Stage};
use i3deep::inference::DeviceChoice;
use i3deep::inference::engine::{Arithmetic, open};
use i3deep::scan_io::{Origin, read_labels, read_scan, write_f32, write_labels};
use shared::geometry::Geometry;
use shared::volume::Volume;
use tempfile::TempDir;
use trained::{content, folder, tensors};

/// Runs `i3deep` in a folder; there is no Python on its PATH, nor anything else.
fn i3deep(at: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_i3deep")).args(arguments).current_dir(at).env("PATH", "").output().unwrap()
}

#[track_caller]
fn done(at: &Path, arguments: &[&str]) -> String {
    let output = i3deep(at, arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[track_caller]
fn refused(at: &Path, arguments: &[&str], expected: &str) {
    let output = i3deep(at, arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains(expected), "{arguments:?}: {said}");
}

/// A folder with trained networks under nnU-Net's names, and a scan.
fn scene() -> TempDir {
    let scene = tempfile::tempdir().unwrap();
    let dataset = scene.path().join("results/Dataset042_Sample");
    // Without biases of the last layer, which one head would win by everywhere.
    let mut content = content();
    content.tensors.get_mut("decoder.seg_layers.0.bias").unwrap().1.fill(0.0);
    folder(&dataset.join("nnUNetTrainer__nnUNetPlans__3d_fullres"), &["0", "1"], &content);
    folder(&dataset.join("nnUNetTrainerDA5__nnUNetPlans__3d_fullres"), &["all"], &content);
    let geometry = Geometry::axis_aligned([11, 10, 9], [1.0; 3]).unwrap();
    let voxels = (0..geometry.voxel_count()).map(|at| ((at * 37 % 101) as f32 * 0.3).sin() * 90.0 + 100.0).collect();
    let scan = Volume::new(geometry.clone(), voxels).unwrap();
    fs::create_dir(scene.path().join("images")).unwrap();
    write_f32(&scene.path().join("images/case_0000.nii.gz"), &scan, &Origin::of_geometry(&geometry)).unwrap();
    scene
}

const TRAINED: &str = "results/Dataset042_Sample/nnUNetTrainer__nnUNetPlans__3d_fullres";
const OTHER: &str = "results/Dataset042_Sample/nnUNetTrainerDA5__nnUNetPlans__3d_fullres";

fn labels(file: &Path) -> Vec<u8> {
    read_labels(file).unwrap().voxels().to_vec()
}

#[test]
fn a_trained_folder_predicts_as_it_lies() {
    let scene = scene();
    let at = scene.path();
    done(at, &["predict", "-i", "images", "-o", "out", "-m", TRAINED, "-device", "cpu", "--disable_progress_bar"]);
    let whole = labels(&at.join("out/case.nii.gz"));
    assert!(
        whole.iter().any(|label| *label != whole[0]),
        "a network with weights like these finds more than one label"
    );
    // The second training has the same weights.
    done(
        at,
        &["predict", "-i", "images", "-o", "all", "-m", OTHER, "-f", "all", "-device", "cpu", "--disable_progress_bar"],
    );
    assert_eq!(labels(&at.join("all/case.nii.gz")), whole);
    // So has the ensemble of both.
    done(
        at,
        &["predict", "-i", "images", "-o", "both", "-m", TRAINED, OTHER, "-device", "cpu", "--disable_progress_bar"],
    );
    assert_eq!(labels(&at.join("both/case.nii.gz")), whole);
    assert!(!at.join("both/.ensemble").exists());
    refused(
        at,
        &["predict", "-i", "images", "-o", "x", "-m", TRAINED, "-f", "4"],
        "has no checkpoint_final.pth for fold 4; folds 0, 1 have one",
    );
    refused(
        at,
        &["predict", "-i", "images", "-o", "x", "-m", "results/Dataset042_Sample"],
        "holds several networks; give one of them",
    );
    refused(at, &["predict", "-i", "images", "-o", "x", "-m", "images"], "holds no network");
    refused(
        at,
        &["predict", "-i", "images", "-o", "x", "-d", "42", "-c", "3d_fullres"],
        "the environment does not name",
    );
}

#[test]
fn a_training_is_found_by_nnunets_names() {
    let scene = scene();
    let predict = |dataset: &str, trainer: &str| {
        Command::new(env!("CARGO_BIN_EXE_i3deep"))
            .args([
                "predict",
                "-i",
                "images",
                "-o",
                "out",
                "-d",
                dataset,
                "-c",
                "3d_fullres",
                "-tr",
                trainer,
                "-device",
                "cpu",
            ])
            .current_dir(scene.path())
            .env("PATH", "")
            .env("nnUNet_results", scene.path().join("results"))
            .output()
            .unwrap()
    };
    assert!(predict("42", "nnUNetTrainer").status.success());
    let said = predict("42", "nnUNetTrainerX");
    let said = String::from_utf8_lossy(&said.stderr);
    assert!(
        said.contains(
            "has no nnUNetTrainerX__nnUNetPlans__3d_fullres; it has: nnUNetTrainerDA5__nnUNetPlans__3d_fullres"
        ),
        "{said}"
    );
}

#[test]
fn a_bundle_is_made_of_a_trained_folder_alone() {
    let scene = scene();
    let at = scene.path();
    let said = done(at, &["bundle", "create", "--presegmentation", TRAINED, "-o", "models/mine", "--licence", "CC0"]);
    assert!(said.contains("mine 1.0.0") && said.contains("2 fold(s); refines by adaptation"), "{said}");
    let bundle = Bundle::read(&at.join("models/mine")).unwrap();
    bundle.verify().unwrap();
    assert_eq!((bundle.manifest.format, bundle.manifest.refinement), (2, Refinement::Adaptation));
    assert_eq!(bundle.plan(Stage::Refinement).manifest.engine, EngineKind::Native);
    assert_eq!(bundle.manifest.files.len(), 5);
    let half = fs::metadata(at.join(TRAINED).join("fold_0/checkpoint_final.pth")).unwrap().len();
    assert!(fs::metadata(at.join("models/mine/presegmentation/fold_0.safetensors")).unwrap().len() < half);
    // It computes what the folder computed.
    let patch: Vec<f32> = (0..512).map(|at| (at as f32 * 0.37).sin()).collect();
    let logits = |folder: &Path| {
        let plan = i3deep::bundle::plans::Plan::read(folder).unwrap();
        open(folder, &plan, DeviceChoice::Cpu, Arithmetic::Exact).unwrap().folds()[1]
            .forward(&patch, 1, [8; 3])
            .unwrap()
    };
    assert_eq!(logits(&at.join("models/mine/presegmentation")), logits(&at.join(TRAINED)));
    let list = done(at, &["bundle", "list"]);
    assert!(list.contains("mine  1.0.0  Dataset042_Sample"), "{list}");
    refused(at, &["bundle", "create", "--presegmentation", TRAINED, "-o", "models/mine"], "exists already");
    refused(
        at,
        &["bundle", "create", "--presegmentation", TRAINED, "--refinement", OTHER, "-o", "models/two"],
        "takes 1 channels; beside 1 of the image",
    );
    assert_eq!(fs::read_dir(at.join("models")).unwrap().count(), 1, "something unfinished was left");
}

#[test]
fn a_bundle_takes_a_refinement_network_too() {
    let scene = scene();
    let at = scene.path();
    // One image channel, two labels of corrections, and the channel that marks them.
    let guided = trained::Content { tensors: tensors(4), ..content() };
    folder(&at.join("guided"), &["0"], &guided);
    let said = done(
        at,
        &["bundle", "create", "--presegmentation", TRAINED, "--refinement", "guided", "-o", "both", "--blend-mm", "2"],
    );
    let code = |name: &str| {
        format!(r#"{{"{name}": {{"type": {{"scheme": "SCT", "value": "10200004", "meaning": "Liver"}}}}}}"#)
    };
    let coded = |out: &'static str| {
        ["bundle", "create", "--presegmentation", TRAINED, "-o", out, "--codes", "codes.json", "--pet-suv"]
    };
    fs::write(at.join("codes.json"), code("a")).unwrap();
    done(at, &coded("coded"));
    let labels = Bundle::read(&at.join("coded")).unwrap().manifest.labels.0;
    assert_eq!(labels[0].code.as_ref().map(|code| code.kind.value.as_str()), Some("10200004"));
    assert!(labels[1].code.is_none() && done(at, &["bundle", "inspect", "coded"]).contains("standardised uptake"));
    fs::write(at.join("codes.json"), code("c")).unwrap();
    refused(at, &coded("other"), "has no label \"c\", of which a code is given");
    assert!(said.contains("refines by a refinement network"), "{said}");
    let bundle = Bundle::read(&at.join("both")).unwrap();
    assert_eq!((bundle.manifest.guidance.annotated, bundle.manifest.blend_mm), (true, 2.0));
    assert_eq!(bundle.plan(Stage::Refinement).manifest.input_channels, 4);
    refused(
        at,
        &["bundle", "create", "--presegmentation", "guided", "-o", "x"],
        "takes 4 channels, its plan 1: is it a refinement network?",
    );
}

#[test]
fn an_exported_model_is_installed_from_its_zip() {
    let scene = scene();
    let at = scene.path();
    let mut zip = zip::ZipWriter::new(fs::File::create(at.join("model.zip")).unwrap());
    let options = zip::write::SimpleFileOptions::default();
    for file in ["plans.json", "dataset.json", "fold_0/checkpoint_final.pth"] {
        zip.start_file(format!("Dataset042_Sample/nnUNetTrainer__nnUNetPlans__3d_fullres/{file}"), options).unwrap();
        std::io::copy(&mut fs::File::open(at.join(TRAINED).join(file)).unwrap(), &mut zip).unwrap();
    }
    zip.finish().unwrap();
    let said = done(at, &["bundle", "install", "model.zip"]);
    assert!(said.contains("Dataset042_Sample 1.0.0 in models/Dataset042_Sample: 1 fold(s)"), "{said}");
    done(at, &["bundle", "verify", "models/Dataset042_Sample"]);
    refused(at, &["bundle", "install", "model.zip"], "exists already");
    refused(at, &["bundle", "install", "images/case_0000.nii.gz"], "is no zip file that can be read");
    assert_eq!(fs::read_dir(at.join("models")).unwrap().count(), 1, "something unfinished was left");
}

/// The whole method on nnU-Net's own folder: segmented, slices chosen and corrected, the network adapted to them, the
/// rest segmented better or the same.
#[test]
fn a_trained_folder_comes_to_a_refined_segmentation() {
    let scene = scene();
    let at = scene.path();
    done(at, &["bundle", "create", "--presegmentation", TRAINED, "-o", "mine"]);
    let image = "images/case_0000.nii.gz";
    done(
        at,
        &["presegment", "--bundle", "mine", "--image", image, "--out", "case", "--budget", "0.5", "--device", "cpu"],
    );
    let scan = read_scan(&at.join(image)).unwrap();
    let truth = scan.volume.voxels().iter().map(|value| u8::from(*value > 80.0) + u8::from(*value > 140.0)).collect();
    let truth = Volume::new(scan.volume.geometry().clone(), truth).unwrap();
    write_labels(&at.join("corrected.nii.gz"), &truth, &scan.origin).unwrap();
    let files = [
        "--image",
        image,
        "--corrections",
        "corrected.nii.gz",
        "--slices",
        "case/slices.json",
        "--out",
        "refined.nii.gz",
    ];
    let said =
        done(at, &[&["refine", "--bundle", "mine", "--adapt", "20", "--device", "cpu", "--json"], &files[..]].concat());
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert!(said["adaptation"].is_object(), "{said}");
    let refined = read_labels(&at.join("refined.nii.gz")).unwrap();
    let list = i3deep::tasks::read_slices(&at.join("case/slices.json")).unwrap();
    assert!(!list.slices.is_empty());
    for slice in &list.slices {
        assert_eq!(
            refined.read_plane(slice.plane()).unwrap(),
            truth.read_plane(slice.plane()).unwrap(),
            "{}",
            slice.plane()
        );
    }
    // Without, the corrected slices are taken in and nothing is learned.
    done(
        at,
        &[
            &["refine", "--bundle", "mine", "--adapt", "off", "--device", "cpu"],
            &files[..6],
            &["--out", "pasted.nii.gz"],
        ]
        .concat(),
    );
    assert_eq!(labels(&at.join("pasted.nii.gz")).len(), truth.voxels().len());
}

/// A copy learns for itself, is kept as a file, and takes no other network's weights.
#[test]
fn a_copy_that_can_learn_is_its_own() {
    let scene = scene();
    let trained = scene.path().join(TRAINED);
    let plan = i3deep::bundle::plans::Plan::read(&trained).unwrap();
    let engine = open(&trained, &plan, DeviceChoice::Cpu, Arithmetic::Exact).unwrap();
    let patch: Vec<f32> = (0..512).map(|at| (at as f32 * 0.37).sin()).collect();
    let before = engine.folds()[0].forward(&patch, 1, [8; 3]).unwrap();
    let mut copy = engine.trainable(0).unwrap();
    assert_eq!(copy.forward(&patch, 1, [8; 3]).unwrap(), before);
    let kept = copy.weights().unwrap();
    // Any change to a stored value: the last one lies in the last tensor.
    let mut changed = kept.clone();
    let end = changed.len();
    changed[end - 4..].copy_from_slice(&2.5_f32.to_le_bytes());
    copy.set_weights(&changed).unwrap();
    assert_ne!(copy.forward(&patch, 1, [8; 3]).unwrap(), before);
    assert_eq!(engine.folds()[0].forward(&patch, 1, [8; 3]).unwrap(), before);
    changed[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    assert!(copy.set_weights(&changed).unwrap_err().to_string().contains("is not finite"));
    assert!(copy.set_weights(&kept[..kept.len() / 2]).unwrap_err().to_string().contains("damaged"));
    copy.set_weights(&kept).unwrap();
    assert_eq!(copy.forward(&patch, 1, [8; 3]).unwrap(), before);
}
