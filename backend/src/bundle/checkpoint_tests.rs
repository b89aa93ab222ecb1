//! Checkpoints that are sound, and all the ways in which they are not.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::architecture::Architecture;
use super::checkpoint::{Checkpoint, CheckpointError, read_weights, write_safetensors};
use super::plans::{Choice, EngineKind, Plan};
use super::sample::{self, Content, Pickled};

/// Reads a trained folder's first fold.
fn read(folder: &Path) -> Result<super::checkpoint::Weights, String> {
    let plan = Plan::read(folder).map_err(|error| error.to_string())?;
    let architecture = plan.architecture.as_ref().unwrap();
    let file = folder.join(plan.manifest.weight_file(&plan.manifest.folds[0]));
    read_weights(&file, architecture, plan.manifest.input_channels, plan.manifest.heads)
        .map_err(|error| error.to_string())
}

fn trained(content: &Content) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    sample::folder(folder.path(), &["0"], content);
    folder
}

const CHECKPOINT: &str = "fold_0/checkpoint_final.pth";

#[test]
fn a_trained_folder_is_read_as_it_lies() {
    let folder = trained(&sample::content());
    let plan = Plan::read(folder.path()).unwrap();
    let manifest = &plan.manifest;
    assert_eq!((manifest.engine, manifest.input_channels, manifest.heads), (EngineKind::Native, 1, 3));
    assert_eq!((manifest.trainer.as_str(), manifest.configuration.as_str()), ("nnUNetTrainer", "3d_fullres"));
    assert_eq!(manifest.mirror_axes, Some(vec![0, 1, 2]));
    let weights = read(folder.path()).unwrap();
    // Aliases are left out.
    assert_eq!(weights.len(), 16);
    for (name, weight) in &weights {
        let (shape, values) = &sample::tensors(1)[name];
        assert_eq!((&weight.shape, &weight.values), (shape, values), "{name}");
    }
}

#[test]
fn safetensors_hold_the_same() {
    let folder = trained(&sample::content());
    let weights = read(folder.path()).unwrap();
    let file = folder.path().join("fold_0.safetensors");
    write_safetensors(&file, &weights).unwrap();
    let architecture = Plan::read(folder.path()).unwrap().architecture.unwrap();
    assert_eq!(read_weights(&file, &architecture, 1, 3).unwrap(), weights);
    let whole = fs::metadata(&file).unwrap().len();
    let mut halved = weights.clone();
    for weight in halved.values_mut() {
        weight.values.iter_mut().for_each(|value| *value = half::f16::from_f32(*value).to_f32());
    }
    write_safetensors(&file, &halved).unwrap();
    assert_eq!(read_weights(&file, &architecture, 1, 3).unwrap(), halved);
    assert!(fs::metadata(&file).unwrap().len() < whole, "half precision takes less room");
    let refused = read_weights(&file, &architecture, 2, 3).unwrap_err().to_string();
    assert!(refused.contains("conv.weight is [2, 1, 3, 3, 3], the plans call for [2, 2, 3, 3, 3]"), "{refused}");
    fs::write(&file, &fs::read(&file).unwrap()[..400]).unwrap();
    assert!(matches!(read_weights(&file, &architecture, 1, 3), Err(CheckpointError::Unreadable { .. })));
}

/// What is wrong with a checkpoint is said, whatever it is; the proof that nothing ran is the file that a call would
/// have made.
#[test]
fn what_is_no_sound_checkpoint_is_refused_in_words() {
    let check = |change: &dyn Fn(&mut Content), expected: &str| {
        let mut content = sample::content();
        change(&mut content);
        let message = read(trained(&content).path()).unwrap_err();
        assert!(message.contains(expected), "{message}");
    };
    let head = "decoder.seg_layers.0.bias";
    let first = "encoder.stages.1.0.convs.0.norm.weight";
    check(
        &|content| drop(content.tensors.remove(first)),
        "does not hold the network of its plans.json: it lacks encoder.stages.1.0.convs.0.norm.weight",
    );
    check(
        &|content| drop(content.tensors.insert(first.into(), (vec![2, 2], vec![1.0; 4]))),
        "norm.weight is [2, 2], the plans call for [4]",
    );
    check(
        &|content| content.tensors.get_mut(head).unwrap().1[1] = f32::NAN,
        "decoder.seg_layers.0.bias are not all finite; the training diverged",
    );
    check(&|content| content.tensors.get_mut(head).unwrap().1[0] = f32::INFINITY, "not all finite");
    let running = "encoder.stages.0.0.convs.0.norm.running_mean";
    check(
        &|content| drop(content.tensors.insert(running.into(), (vec![2], vec![0.0; 2]))),
        "running_mean beside. nnUNetTrainer changes the network",
    );
    check(
        &|content| content.trainer = "nnUNetTrainerBN",
        "was trained by nnUNetTrainerBN, which puts batch normalisation",
    );
    check(
        &|content| content.trainer = "nnUNet_Primus_M_Trainer",
        "was trained by nnUNet_Primus_M_Trainer, a transformer",
    );
    check(&|content| content.configuration = "3d_lowres", "there is no configuration '3d_lowres'");
}

#[test]
fn trainers_that_change_only_training_are_taken() {
    for trainer in ["nnUNetTrainerDA5", "nnUNetTrainerNoMirroring", "nnUNetTrainer_250epochs", "OurOwnTrainer"] {
        let content = Content { trainer, ..sample::content() };
        assert_eq!(Plan::read(trained(&content).path()).unwrap().manifest.trainer, trainer);
    }
}

#[test]
fn foreign_programs_are_named_and_not_run() {
    let folder = tempfile::tempdir().unwrap();
    let made = folder.path().join("made");
    let command = || vec![Pickled::Text(format!("touch {}", made.display()))];
    let check = |root: &Pickled, expected: &str| {
        let file = folder.path().join("checkpoint_final.pth");
        sample::save(&file, root, &[]);
        let message = Checkpoint::open(&file).map(drop).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
        assert!(!made.exists(), "it was executed");
    };
    let inside = |call: Pickled| {
        Pickled::Dict(vec![("network_weights".into(), Pickled::Dict(Vec::new())), ("logging".into(), call)])
    };
    check(&Pickled::Call("os", "system", command()), "os.system when Python opens it");
    check(&inside(Pickled::Call("os", "system", command())), "os.system when Python opens it");
    check(&inside(Pickled::Call("posix", "system", command())), "posix.system when Python opens it");
    check(&inside(Pickled::Call("subprocess", "Popen", command())), "subprocess.Popen");
    check(&inside(Pickled::Call("builtins", "eval", command())), "builtins.eval");
    check(&Pickled::Tuple(vec![Pickled::Int(1)]), "is no checkpoint of nnU-Net v2: it has no network_weights");
    check(&Pickled::Dict(vec![("state_dict".into(), Pickled::None)]), "it has no network_weights");
    check(&inside(Pickled::None), "it has no trainer_name");
}

/// A few stored values, repeated by strides of 0 to the weights of a network of hundreds of MiB.
#[test]
fn a_bomb_is_refused_before_it_is_read() {
    let folder = trained(&sample::content());
    let mut plans = sample::plans();
    let write = |plans: &serde_json::Value| fs::write(folder.path().join("plans.json"), plans.to_string()).unwrap();
    plans["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"]["features_per_stage"] =
        serde_json::json!([512, 1024]);
    write(&plans);
    let configuration = plans["configurations"]["3d_fullres"].as_object().unwrap();
    let shapes = Architecture::parse(configuration).unwrap().tensors(1, 3);
    let storages = vec![vec![0.5]; shapes.len()];
    let weights = shapes.into_iter().enumerate().map(|(number, (name, shape))| {
        let strides = vec![0; shape.len()];
        (name, Pickled::Tensor(number, shape, strides))
    });
    let text = |text: &str| Pickled::Text(text.into());
    let bomb = Pickled::Dict(vec![
        ("network_weights".into(), Pickled::Dict(weights.collect())),
        ("trainer_name".into(), text("nnUNetTrainer")),
        ("init_args".into(), Pickled::Dict(vec![("configuration".into(), text("3d_fullres"))])),
    ]);
    sample::save(&folder.path().join(CHECKPOINT), &bomb, &storages);
    let message = read(folder.path()).unwrap_err();
    assert!(message.contains("bytes of weights and has"), "{message}");
    // Plans that call for more than any machine has.
    plans["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"]["features_per_stage"] =
        serde_json::json!([1_u64 << 40, 4]);
    write(&plans);
    assert!(read(folder.path()).unwrap_err().contains("are not between 1 and"));
}

/// Every prefix of a checkpoint and many damaged ones: an answer each time, never a panic.
#[test]
fn damaged_files_are_refused_without_a_panic() {
    let folder = trained(&sample::content());
    let file = folder.path().join(CHECKPOINT);
    let sound = fs::read(&file).unwrap();
    let expected = read(folder.path()).unwrap();
    let mut refused = 0;
    for length in (0..sound.len()).step_by(97) {
        fs::write(&file, &sound[..length]).unwrap();
        refused += usize::from(read(folder.path()).is_err());
    }
    assert_eq!(refused, sound.len().div_ceil(97), "a part of a checkpoint was taken for a whole one");
    let mut random = 1_u64;
    let mut next = |below: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize % below
    };
    for _ in 0..400 {
        let mut damaged = sound.clone();
        for _ in 0..=next(3) {
            let at = next(damaged.len());
            damaged[at] = next(256) as u8;
        }
        fs::write(&file, &damaged).unwrap();
        if let Ok(weights) = read(folder.path()) {
            // Whatever the damage hit, it was not the weights: they have checksums.
            assert_eq!(weights, expected);
        }
    }
}

#[test]
fn folds_and_checkpoints_are_chosen_as_nnunet_does() {
    let folder = tempfile::tempdir().unwrap();
    sample::folder(folder.path(), &["0", "2", "all"], &sample::content());
    fs::create_dir(folder.path().join("fold_3")).unwrap();
    sample::content().save(&folder.path().join("fold_3/checkpoint_best.pth"));
    let check = |folds: &[&str], checkpoint: Option<&str>, expected: Result<&[&str], &str>| {
        let choice = Choice {
            folds: folds.iter().map(|fold| (*fold).to_owned()).collect(),
            checkpoint: checkpoint.map(str::to_owned),
        };
        match (Plan::choose(folder.path(), &choice), expected) {
            (Ok(plan), Ok(folds)) => assert_eq!(plan.manifest.folds, folds),
            (Err(error), Err(words)) => assert!(error.to_string().contains(words), "{error}"),
            (got, expected) => panic!("{:?} instead of {expected:?}", got.map(|plan| plan.manifest.folds)),
        }
    };
    check(&[], None, Ok(&["0", "2"]));
    check(&["all"], None, Ok(&["all"]));
    check(&["2"], None, Ok(&["2"]));
    check(&["3"], None, Err("has no checkpoint_final.pth for fold 3; folds 0, 2, all have one"));
    check(&["3"], Some("checkpoint_best.pth"), Ok(&["3"]));
    check(&[], Some("checkpoint_latest.pth"), Err("folds 3 have checkpoint_best.pth"));
    fs::remove_dir_all(folder.path().join("fold_0")).unwrap();
    fs::remove_dir_all(folder.path().join("fold_2")).unwrap();
    check(&[], None, Ok(&["all"]));
}

#[test]
fn folders_that_are_no_training_say_what_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let check = |folder: &Path, expected: &str| {
        let message = Plan::read(folder).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    };
    check(folder.path(), "holds no network: neither plans.json");
    sample::folder(&folder.path().join("nnUNetTrainer__nnUNetPlans__3d_fullres"), &["0"], &sample::content());
    check(folder.path(), "holds several networks; give one of them: nnUNetTrainer__nnUNetPlans__3d_fullres");
    let old = tempfile::tempdir().unwrap();
    fs::create_dir(old.path().join("fold_0")).unwrap();
    fs::write(old.path().join("fold_0/model_final_checkpoint.model"), "").unwrap();
    check(old.path(), "was trained by nnU-Net v1");
}
