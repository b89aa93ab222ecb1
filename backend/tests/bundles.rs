//! The bundles that come with the project: whole, refused when they are not, and computing in Rust what they computed
//! in Python.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};

use i3deep::bundle::{Bundle, Stage, TORCH_VERSION};
use i3deep::inference::engine::{Arithmetic, open};
use i3deep::inference::{DeviceChoice, Network};
use ndarray::ArrayD;
use ndarray_npy::read_npy;
use serde_json::Value;
use tempfile::TempDir;

fn models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("models")
}

/// Their names, and how many networks they hold, folds counted.
const BUNDLES: [(&str, usize); 3] = [("hippocampus", 6), ("organs-at-risk", 1), ("phantom", 2)];

fn folds(bundle: &Bundle, stage: Stage) -> Vec<Box<dyn Network>> {
    let folder = bundle.folder.join(stage.folder());
    open(&folder, bundle.plan(stage), DeviceChoice::Cpu, Arithmetic::Exact).unwrap().into_folds()
}

/// Largest difference between a network's logits here and in Python.
fn golden_difference(bundle: &Bundle, stage: Stage, file: &Path, network: &dyn Network) -> f32 {
    let golden = bundle.folder.join(stage.folder()).join("golden");
    let input: ArrayD<f32> = read_npy(golden.join("input.npy")).unwrap();
    let expected: ArrayD<f32> = read_npy(golden.join(file.file_stem().unwrap()).with_extension("npy")).unwrap();
    let channels = input.shape()[1];
    assert_eq!(channels, bundle.plan(stage).manifest.input_channels);
    let size = [input.shape()[2], input.shape()[3], input.shape()[4]];
    let logits = network.forward(input.as_slice().unwrap(), input.shape()[0], size).unwrap();
    assert_eq!(logits.len(), expected.len());
    logits.iter().zip(&expected).map(|(got, expected)| (got - expected).abs()).fold(0.0, f32::max)
}

#[test]
fn logits_equal_those_of_python() {
    for (name, _) in BUNDLES {
        let bundle = Bundle::read(&models().join(name)).unwrap();
        for stage in bundle.stages().iter().copied() {
            let weights = bundle.weights(stage);
            assert!(!weights.is_empty());
            for (file, network) in weights.iter().zip(folds(&bundle, stage)) {
                let difference = golden_difference(&bundle, stage, file, &network);
                println!("{name} {} {}: {difference:e}", stage.folder(), file.file_name().unwrap().display());
                assert!(difference <= 1e-4, "{}: {difference}", file.display());
            }
        }
    }
}

#[test]
fn bundles_are_whole_and_say_what_they_are() {
    for (name, networks) in BUNDLES {
        let bundle = Bundle::read(&models().join(name)).unwrap();
        bundle.verify().unwrap();
        assert_eq!(bundle.manifest.name, name);
        assert!(!bundle.manifest.licence.is_empty() && !bundle.manifest.training_data.is_empty());
        let weights: Vec<PathBuf> = bundle.stages().iter().flat_map(|stage| bundle.weights(*stage)).collect();
        assert_eq!(weights.len(), networks, "{name}");
        for file in weights {
            let size = fs::metadata(&file).unwrap().len();
            assert!(size <= 6_000_000, "{} has {size} bytes", file.display());
        }
    }
}

/// A copy of the smallest bundle to be spoilt.
fn copied() -> TempDir {
    fn copy(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap().flatten() {
            let target = to.join(entry.file_name());
            if entry.path().is_dir() {
                copy(&entry.path(), &target)
            } else {
                fs::copy(entry.path(), target).map(drop).unwrap()
            }
        }
    }
    let folder = tempfile::tempdir().unwrap();
    copy(&models().join("phantom"), folder.path());
    folder
}

fn edit(file: &Path, change: impl FnOnce(&mut Value)) {
    let mut content = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    change(&mut content);
    fs::write(file, content.to_string()).unwrap();
}

#[test]
fn bundles_that_are_not_whole_are_refused_by_name() {
    let check = |spoil: &dyn Fn(&Path), expected: &str| {
        let folder = copied();
        spoil(folder.path());
        let outcome = Bundle::read(folder.path()).and_then(|bundle| bundle.verify());
        let message = outcome.unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    };
    let weights = "presegmentation/fold_0.pt";
    check(&|bundle| fs::remove_file(bundle.join("bundle.json")).unwrap(), "it has no bundle.json");
    check(&|bundle| fs::remove_file(bundle.join(weights)).unwrap(), "the bundle lacks presegmentation/fold_0.pt");
    check(
        &|bundle| fs::write(bundle.join(weights), b"other").unwrap(),
        "presegmentation/fold_0.pt differs from the file that was bundled",
    );
    check(
        &|bundle| edit(&bundle.join("bundle.json"), |content| content["torch_version"] = "1.0.0".into()),
        &format!("exported with torch 1.0.0, this program runs {TORCH_VERSION}"),
    );
    check(
        &|bundle| edit(&bundle.join("bundle.json"), |content| content["format"] = 9.into()),
        "the bundle has format 9",
    );
    check(
        &|bundle| edit(&bundle.join("bundle.json"), |content| content["channels"] = Value::from(vec!["T1", "T2"])),
        "contradicts itself",
    );
    check(
        &|bundle| edit(&bundle.join("bundle.json"), |content| content["blend_mm"] = (-1.0).into()),
        "its blend_mm, -1, is not a distance",
    );
    let without_dropout = |bundle: &Path| {
        edit(&bundle.join("bundle.json"), |content| content["uncertainty"]["samples"] = Value::from(vec!["dropout:4"]));
        edit(&bundle.join("presegmentation/network.json"), |content| content["dropout"] = false.into());
    };
    check(
        &without_dropout,
        "contradicts itself: its uncertainty dropout:4/entropy needs dropout, and the network was trained without",
    );
    check(
        &|bundle| {
            edit(&bundle.join("bundle.json"), |content| drop(content["files"].as_object_mut().unwrap().remove(weights)))
        },
        "not among the files",
    );
}

#[test]
fn a_bundle_says_how_uncertainty_is_found() {
    let check = |change: &dyn Fn(&mut Value), expected: &str| {
        let folder = copied();
        edit(&folder.path().join("bundle.json"), change);
        assert_eq!(Bundle::read(folder.path()).unwrap().uncertainty().to_string(), expected);
    };
    check(&|_| (), "folds+mirrors/entropy");
    check(&|content| drop(content.as_object_mut().unwrap().remove("uncertainty")), "folds+mirrors/entropy");
    check(
        &|content| content["uncertainty"] = serde_json::json!({"samples": ["dropout:6"], "measure": "variance"}),
        "dropout:6/variance",
    );
    // One fold: nothing that could disagree.
    check(
        &|content| content["uncertainty"] = serde_json::json!({"samples": ["folds"], "measure": "variance"}),
        "folds/entropy",
    );
}

/// Monte-Carlo dropout of a real network: other masks in every batch and for every seed, the same for the same seed,
/// whatever another network does meanwhile; and none once it is off.
#[test]
fn dropout_is_repeatable_and_leaves_no_trace() {
    let bundle = Bundle::read(&models().join("hippocampus")).unwrap();
    let plan = bundle.plan(Stage::Presegmentation);
    assert!(plan.manifest.dropout);
    let load = || folds(&bundle, Stage::Presegmentation).swap_remove(0);
    let size = [16, 24, 16];
    let patch: Vec<f32> = (0..size.iter().product::<usize>()).map(|at| (at as f32 * 0.37).sin()).collect();
    let mut network = load();
    let plain = network.forward(&patch, 1, size).unwrap();
    let mut drawn = |seed: u64| {
        network.set_dropout(Some(seed)).unwrap();
        let passes = [(); 2].map(|()| network.forward(&patch, 1, size).unwrap());
        network.set_dropout(None).unwrap();
        passes
    };
    let first = drawn(7);
    assert_ne!(first[0], first[1]);
    assert_ne!(first[0], plain);
    assert_ne!(drawn(8)[0], first[0]);
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut other = load();
            other.set_dropout(Some(99)).unwrap();
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                other.forward(&patch, 1, size).unwrap();
            }
        });
        let again = [drawn(7), drawn(7)];
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(again.iter().all(|passes| *passes == first));
    });
    assert_eq!(network.forward(&patch, 1, size).unwrap(), plain);
}
