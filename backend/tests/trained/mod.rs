//! Trained folders as nnU-Net writes them, made here without Python: pickles opcode by opcode, tensors stored beside.

#![allow(dead_code, clippy::unwrap_used, unreachable_pub, reason = "tests; each takes a part of this")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// A value as Python pickles it.
#[derive(Clone, Debug)]
pub enum Pickled {
    /// `None`.
    None,
    /// An int.
    Int(i32),
    /// A float.
    Float(f64),
    /// A str.
    Text(String),
    /// A tuple.
    Tuple(Vec<Pickled>),
    /// A dict with str keys.
    Dict(Vec<(String, Pickled)>),
    /// `module.name(arguments)`, called when Python opens the file.
    Call(&'static str, &'static str, Vec<Pickled>),
    /// A tensor of f32: number of its storage, shape, strides.
    Tensor(usize, Vec<usize>, Vec<usize>),
}

impl Pickled {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::None => out.push(b'N'),
            Self::Int(value) => out.extend([&b"J"[..], &value.to_le_bytes()].concat()),
            Self::Float(value) => out.extend([&b"G"[..], &value.to_be_bytes()].concat()),
            Self::Text(text) => {
                out.extend([&b"X"[..], &u32::try_from(text.len()).unwrap().to_le_bytes(), text.as_bytes()].concat())
            }
            Self::Tuple(values) => {
                out.push(b'(');
                values.iter().for_each(|value| value.write(out));
                out.push(b't');
            }
            Self::Dict(entries) => {
                out.extend(b"}(");
                for (key, value) in entries {
                    Self::Text(key.clone()).write(out);
                    value.write(out);
                }
                out.push(b'u');
            }
            Self::Call(module, name, arguments) => {
                out.extend(format!("c{module}\n{name}\n").bytes());
                Self::Tuple(arguments.clone()).write(out);
                out.push(b'R');
            }
            Self::Tensor(storage, shape, strides) => {
                let sizes = |sizes: &[usize]| {
                    Self::Tuple(sizes.iter().map(|n| Self::Int(i32::try_from(*n).unwrap())).collect())
                };
                let length = shape.iter().zip(strides).map(|(n, stride)| (n.max(&1) - 1) * stride).sum::<usize>() + 1;
                out.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
                Self::Text("storage".into()).write(out);
                out.extend(b"ctorch\nFloatStorage\n");
                Self::Text(storage.to_string()).write(out);
                Self::Text("cpu".into()).write(out);
                Self::Int(i32::try_from(length).unwrap()).write(out);
                out.extend(b"tQ");
                Self::Int(0).write(out);
                sizes(shape).write(out);
                sizes(strides).write(out);
                out.push(0x89);
                Self::Call("collections", "OrderedDict", Vec::new()).write(out);
                out.extend(b"tR");
            }
        }
    }
}

/// A file as `torch.save` writes it.
pub fn save(file: &Path, root: &Pickled, storages: &[Vec<f32>]) {
    let mut pickle = vec![0x80, 2];
    root.write(&mut pickle);
    pickle.push(b'.');
    let mut zip = ZipWriter::new(File::create(file).unwrap());
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let mut entry = |name: String, content: &[u8]| {
        zip.start_file(name, stored).unwrap();
        zip.write_all(content).unwrap();
    };
    entry("archive/data.pkl".into(), &pickle);
    entry("archive/byteorder".into(), b"little");
    for (number, values) in storages.iter().enumerate() {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        entry(format!("archive/data/{number}"), &bytes);
    }
    entry("archive/version".into(), b"3\n");
    zip.finish().unwrap();
}

/// The tensors of a checkpoint by name.
pub type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// What a checkpoint of nnU-Net holds.
#[derive(Clone, Debug)]
pub struct Content {
    /// Trainer class.
    pub trainer: &'static str,
    /// Configuration.
    pub configuration: &'static str,
    /// Weights.
    pub tensors: Tensors,
    /// Entries beside.
    pub more: Vec<(String, Pickled)>,
}

impl Content {
    /// Writes it as a checkpoint, with every convolution under an alias too, as `state_dict` lists them.
    pub fn save(&self, file: &Path) {
        let mut storages = Vec::new();
        let mut weights = Vec::new();
        for (name, (shape, values)) in &self.tensors {
            let mut strides = vec![1; shape.len()];
            (0..shape.len().saturating_sub(1))
                .rev()
                .for_each(|axis| strides[axis] = strides[axis + 1] * shape[axis + 1]);
            let tensor = Pickled::Tensor(storages.len(), shape.clone(), strides);
            storages.push(values.clone());
            weights.push((name.clone(), tensor.clone()));
            if name.contains(".conv.") {
                weights.push((name.replace(".conv.", ".all_modules.0."), tensor));
            }
        }
        let text = |text: &str| Pickled::Text(text.to_owned());
        let mut entries = vec![
            ("network_weights".to_owned(), Pickled::Dict(weights)),
            ("trainer_name".to_owned(), text(self.trainer)),
            (
                "inference_allowed_mirroring_axes".to_owned(),
                Pickled::Tuple(vec![Pickled::Int(0), Pickled::Int(1), Pickled::Int(2)]),
            ),
            ("init_args".to_owned(), Pickled::Dict(vec![("configuration".to_owned(), text(self.configuration))])),
            ("_best_ema".to_owned(), Pickled::Float(0.5)),
            ("grad_scaler_state".to_owned(), Pickled::None),
        ];
        entries.extend(self.more.clone());
        save(file, &Pickled::Dict(entries), &storages);
    }
}

/// Plans of a small plain U-Net: two stages, patches of 8³ voxels of 1 mm, one z-scored channel.
pub fn plans() -> Value {
    json!({
        "dataset_name": "Dataset042_Sample",
        "plans_name": "nnUNetPlans",
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "label_manager": "LabelManager",
        "configurations": {"3d_fullres": {
            "preprocessor_name": "DefaultPreprocessor",
            "patch_size": [8, 8, 8],
            "spacing": [1.0, 1.0, 1.0],
            "normalization_schemes": ["ZScoreNormalization"],
            "use_mask_for_norm": [false],
            "architecture": {
                "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
                "arch_kwargs": {
                    "n_stages": 2,
                    "features_per_stage": [2, 4],
                    "conv_op": "torch.nn.modules.conv.Conv3d",
                    "kernel_sizes": [[3, 3, 3], [3, 3, 3]],
                    "strides": [[1, 1, 1], [2, 2, 2]],
                    "n_conv_per_stage": [1, 1],
                    "n_conv_per_stage_decoder": [1],
                    "conv_bias": true,
                    "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
                    "norm_op_kwargs": {"eps": 1e-5, "affine": true},
                    "dropout_op": null,
                    "nonlin": "torch.nn.LeakyReLU",
                    "nonlin_kwargs": {"inplace": true}
                },
                "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"]
            }
        }}
    })
}

/// A dataset with two labels.
pub fn dataset() -> Value {
    json!({"labels": {"background": 0, "a": 1, "b": 2}, "channel_names": {"0": "MRI"}, "file_ending": ".nii.gz"})
}

/// Weights of [`plans`] that differ from each other and from zero.
pub fn tensors(input_channels: usize) -> Tensors {
    let shapes: [(&str, Vec<usize>); 18] = [
        ("encoder.stages.0.0.convs.0.conv.weight", vec![2, input_channels, 3, 3, 3]),
        ("encoder.stages.0.0.convs.0.conv.bias", vec![2]),
        ("encoder.stages.0.0.convs.0.norm.weight", vec![2]),
        ("encoder.stages.0.0.convs.0.norm.bias", vec![2]),
        ("encoder.stages.1.0.convs.0.conv.weight", vec![4, 2, 3, 3, 3]),
        ("encoder.stages.1.0.convs.0.conv.bias", vec![4]),
        ("encoder.stages.1.0.convs.0.norm.weight", vec![4]),
        ("encoder.stages.1.0.convs.0.norm.bias", vec![4]),
        ("decoder.transpconvs.0.weight", vec![4, 2, 2, 2, 2]),
        ("decoder.transpconvs.0.bias", vec![2]),
        ("decoder.stages.0.convs.0.conv.weight", vec![2, 4, 3, 3, 3]),
        ("decoder.stages.0.convs.0.conv.bias", vec![2]),
        ("decoder.stages.0.convs.0.norm.weight", vec![2]),
        ("decoder.stages.0.convs.0.norm.bias", vec![2]),
        ("decoder.seg_layers.0.weight", vec![3, 2, 1, 1, 1]),
        ("decoder.seg_layers.0.bias", vec![3]),
        ("decoder.encoder.stages.0.0.convs.0.conv.bias", vec![2]),
        ("decoder.encoder.stages.1.0.convs.0.conv.bias", vec![4]),
    ];
    let weight = |at: usize, seed: usize| {
        ((at * 7919 + seed * 104_729) as f32 * 0.618).sin() * 0.4 + if seed % 4 == 2 { 1.0 } else { 0.0 }
    };
    let values = |(seed, (name, shape)): (usize, (&str, Vec<usize>))| {
        let count = shape.iter().product();
        (name.to_owned(), (shape, (0..count).map(|at| weight(at, seed)).collect()))
    };
    shapes.into_iter().enumerate().map(values).collect()
}

/// A sound checkpoint.
pub fn content() -> Content {
    Content { trainer: "nnUNetTrainer", configuration: "3d_fullres", tensors: tensors(1), more: Vec::new() }
}

/// A trained folder with those folds.
pub fn folder(to: &Path, folds: &[&str], content: &Content) {
    fs::create_dir_all(to).unwrap();
    fs::write(to.join("plans.json"), plans().to_string()).unwrap();
    fs::write(to.join("dataset.json"), dataset().to_string()).unwrap();
    for fold in folds {
        let folder = to.join(format!("fold_{fold}"));
        fs::create_dir_all(&folder).unwrap();
        content.save(&folder.join("checkpoint_final.pth"));
    }
}
