//! The bundles that come with the project: whole, refused when they are not, and computing in Rust what they computed in Python.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};

use i3deep::inference::bundle::{Bundle, Stage, TORCH_VERSION};
use i3deep::inference::torch::TorchNetwork;
use i3deep::inference::{DeviceChoice, Network};
use ndarray::ArrayD;
use ndarray_npy::read_npy;
use serde_json::Value;
use tempfile::TempDir;

fn models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("models")
}

const BUNDLES: [&str; 2] = ["hippocampus", "phantom"];

/// Largest difference between a network's logits here and in Python.
fn golden_difference(bundle: &Bundle, stage: Stage, file: &Path) -> f32 {
    let golden = bundle.folder.join(stage.folder()).join("golden");
    let input: ArrayD<f32> = read_npy(golden.join("input.npy")).unwrap();
    let expected: ArrayD<f32> = read_npy(golden.join(file.file_stem().unwrap()).with_extension("npy")).unwrap();
    let channels = input.shape()[1];
    assert_eq!(channels, bundle.plan(stage).manifest.input_channels);
    let size = [input.shape()[2], input.shape()[3], input.shape()[4]];
    let network = TorchNetwork::load(file, channels, 3, DeviceChoice::Cpu).unwrap();
    let logits = network.forward(input.as_slice().unwrap(), input.shape()[0], size).unwrap();
    assert_eq!(logits.len(), expected.len());
    logits.iter().zip(&expected).map(|(got, expected)| (got - expected).abs()).fold(0.0, f32::max)
}

#[test]
fn logits_equal_those_of_python() {
    for name in BUNDLES {
        let bundle = Bundle::read(&models().join(name)).unwrap();
        for stage in [Stage::Presegmentation, Stage::Refinement] {
            let weights = bundle.weights(stage);
            assert!(!weights.is_empty());
            for file in weights {
                let difference = golden_difference(&bundle, stage, &file);
                println!("{name} {} {}: {difference:e}", stage.folder(), file.file_name().unwrap().display());
                assert!(difference <= 1e-4, "{}: {difference}", file.display());
            }
        }
    }
}

#[test]
fn bundles_are_whole_and_say_what_they_are() {
    for name in BUNDLES {
        let bundle = Bundle::read(&models().join(name)).unwrap();
        bundle.verify().unwrap();
        assert_eq!(bundle.manifest.name, name);
        assert!(!bundle.manifest.licence.is_empty() && !bundle.manifest.training_data.is_empty());
        for file in bundle.manifest.files.keys().filter(|file| file.ends_with(".pt")) {
            let size = fs::metadata(bundle.folder.join(file)).unwrap().len();
            assert!(size <= 6_000_000, "{name}/{file} has {size} bytes");
        }
    }
}

/// A copy of the smallest bundle to be spoilt.
fn copied() -> TempDir {
    fn copy(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap().flatten() {
            let target = to.join(entry.file_name());
            if entry.path().is_dir() { copy(&entry.path(), &target) } else { fs::copy(entry.path(), target).map(drop).unwrap() }
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
    check(&|bundle| fs::write(bundle.join(weights), b"other").unwrap(), "presegmentation/fold_0.pt differs from the file that was bundled");
    check(
        &|bundle| edit(&bundle.join("bundle.json"), |content| content["torch_version"] = "1.0.0".into()),
        &format!("exported with torch 1.0.0, this program runs {TORCH_VERSION}"),
    );
    check(&|bundle| edit(&bundle.join("bundle.json"), |content| content["format"] = 9.into()), "the bundle has format 9");
    check(&|bundle| edit(&bundle.join("bundle.json"), |content| content["channels"] = Value::from(vec!["T1", "T2"])), "contradicts itself");
    check(
        &|bundle| edit(&bundle.join("bundle.json"), |content| drop(content["files"].as_object_mut().unwrap().remove(weights))),
        "not among the files",
    );
}
