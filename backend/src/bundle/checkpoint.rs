//! Weights in files: nnU-Net's `checkpoint_*.pth`, and safetensors. A checkpoint is a pickle, which Python executes;
//! here it is read and nothing of it runs. What does not fit the network that the plans describe is refused before its
//! values are read.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use pytorch_reader::{DType, PickleValue, PytorchReader, Tensor};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use thiserror::Error;

use super::architecture::Architecture;

/// Why weights cannot be used.
#[derive(Debug, Error)]
pub enum CheckpointError {
    /// Not a checkpoint, or half of one.
    #[error("{file} is no checkpoint that can be read ({reason}); copy it again", file = file.display())]
    Unreadable {
        /// Which file.
        file: PathBuf,
        /// The reader's words.
        reason: String,
    },
    /// A program in the place of numbers.
    #[error(
        "{file} calls {name} when Python opens it, which no checkpoint of nnU-Net does. Nothing of it was executed \
         here; do not open it in Python",
        file = file.display()
    )]
    Foreign {
        /// Which file.
        file: PathBuf,
        /// What it calls.
        name: String,
    },
    /// Another program's checkpoint.
    #[error("{file} is no checkpoint of nnU-Net v2: it has no {missing}", file = file.display())]
    NotNnunet {
        /// Which file.
        file: PathBuf,
        /// What every checkpoint of nnU-Net has.
        missing: &'static str,
    },
    /// A trainer that builds another network.
    #[error("{file} was trained by {trainer}, {reason}", file = file.display())]
    Trainer {
        /// Which file.
        file: PathBuf,
        /// nnU-Net's class.
        trainer: String,
        /// What it does, and what to do.
        reason: &'static str,
    },
    /// Weights of another network.
    #[error("{file} does not hold the network of its plans.json: {reason}", file = file.display())]
    Misfit {
        /// Which file.
        file: PathBuf,
        /// The first difference.
        reason: String,
    },
    /// Training that went astray, or a damaged file.
    #[error("{file}: the weights {name} are not all finite; the training diverged, or the file is damaged. Take \
             another checkpoint", file = file.display())]
    NotFinite {
        /// Which file.
        file: PathBuf,
        /// Which tensor.
        name: String,
    },
}

/// What a checkpoint of nnU-Net says beside its weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Trainer class.
    pub trainer: String,
    /// Configuration that was trained.
    pub configuration: String,
    /// Axes that may be mirrored at prediction.
    pub mirror_axes: Option<Vec<usize>>,
}

/// A tensor's shape and its values, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Weight {
    /// Shape.
    pub shape: Vec<usize>,
    /// Values.
    pub values: Vec<f32>,
}

/// Weights by name.
pub type Weights = BTreeMap<String, Weight>;

/// An opened checkpoint whose values are not read yet.
pub struct Checkpoint {
    file: PathBuf,
    /// What it says of itself.
    pub header: Header,
    tensors: BTreeMap<String, Tensor>,
}

impl Checkpoint {
    /// Opens nnU-Net's checkpoint.
    ///
    /// # Errors
    /// [`CheckpointError`].
    pub fn open(file: &Path) -> Result<Self, CheckpointError> {
        let unreadable = |error: pytorch_reader::PytorchError| unreadable(file, &error);
        let content = PytorchReader::read_pickle_data(file, None).map_err(unreadable)?;
        let header = header(file, &content)?;
        drop(content);
        let tensors = PytorchReader::with_top_level_key(file, "network_weights").map_err(unreadable)?.into_tensors();
        let tensors = tensors.into_iter().filter_map(|(name, tensor)| Some((primary(&name)?, tensor))).collect();
        Ok(Self { file: file.to_owned(), header, tensors })
    }

    /// The shape of a tensor.
    ///
    /// # Errors
    /// [`CheckpointError::Misfit`] if there is none of that name.
    pub fn shape(&self, name: &str) -> Result<&[usize], CheckpointError> {
        self.tensors.get(name).map(Tensor::shape).ok_or_else(|| self.misfit(format!("it lacks {name}")))
    }

    /// All weights of a network with so many input channels and heads.
    ///
    /// # Errors
    /// [`CheckpointError`]: tensors that are missing, of another shape, too many, or not finite.
    pub fn weights(
        &self,
        architecture: &Architecture,
        input_channels: usize,
        heads: usize,
    ) -> Result<Weights, CheckpointError> {
        let wanted = architecture.tensors(input_channels, heads);
        self.check(&wanted, architecture)?;
        wanted
            .into_iter()
            .map(|(name, shape)| Ok((name.clone(), Weight { shape, values: self.values(&name)? })))
            .collect()
    }

    /// Compares names and shapes before anything is read.
    fn check(&self, wanted: &BTreeMap<String, Vec<usize>>, architecture: &Architecture) -> Result<(), CheckpointError> {
        check_shapes(&self.file, wanted, |name| self.tensors.get(name).map(|tensor| tensor.shape().to_vec()))?;
        // Heads of deep supervision, which only training uses.
        let unused = |name: &str| {
            name.starts_with("decoder.seg_layers.") && !name.starts_with(&format!("{}.", architecture.head()))
        };
        if let Some(name) = self.tensors.keys().find(|name| !wanted.contains_key(*name) && !unused(name)) {
            let trainer = &self.header.trainer;
            return Err(self.misfit(format!(
                "it has {name} beside. {trainer} changes the network, and only networks as planned are run"
            )));
        }
        // Every value is somewhere in the file; a view that repeats a few of them without end is an attack on memory.
        let bytes: u64 =
            wanted.keys().filter_map(|name| self.tensors.get(name)).map(|tensor| tensor.byte_len() as u64).sum();
        let length =
            std::fs::metadata(&self.file).map(|data| data.len()).map_err(|error| unreadable(&self.file, &error))?;
        if bytes > length {
            return Err(unreadable(&self.file, &format!("it promises {bytes} bytes of weights and has {length}")));
        }
        Ok(())
    }

    fn values(&self, name: &str) -> Result<Vec<f32>, CheckpointError> {
        let tensor = self.tensors.get(name).ok_or_else(|| self.misfit(format!("it lacks {name}")))?;
        let bytes = tensor.read().map_err(|error| unreadable(&self.file, &error))?;
        let values: Vec<f32> = match tensor.dtype() {
            DType::F32 => bytes.as_chunks().0.iter().map(|bytes| f32::from_ne_bytes(*bytes)).collect(),
            DType::F64 => bytes.as_chunks().0.iter().map(|bytes| f64::from_ne_bytes(*bytes) as f32).collect(),
            DType::F16 => bytes.as_chunks().0.iter().map(|bytes| f16::from_ne_bytes(*bytes).to_f32()).collect(),
            DType::BF16 => bytes.as_chunks().0.iter().map(|bytes| bf16::from_ne_bytes(*bytes).to_f32()).collect(),
            other => return Err(self.misfit(format!("{name} is of {other:?}, not of floating-point numbers"))),
        };
        finite(&self.file, name, values)
    }

    fn misfit(&self, reason: String) -> CheckpointError {
        CheckpointError::Misfit { file: self.file.clone(), reason }
    }
}

/// Reads weights from a file of either kind, as its name ends.
///
/// # Errors
/// [`CheckpointError`].
pub fn read_weights(
    file: &Path,
    architecture: &Architecture,
    input_channels: usize,
    heads: usize,
) -> Result<Weights, CheckpointError> {
    if file.extension().is_some_and(|extension| extension == "safetensors") {
        return read_safetensors(file, &architecture.tensors(input_channels, heads));
    }
    Checkpoint::open(file)?.weights(architecture, input_channels, heads)
}

fn read_safetensors(file: &Path, wanted: &BTreeMap<String, Vec<usize>>) -> Result<Weights, CheckpointError> {
    let mut bytes = Vec::new();
    File::open(file).and_then(|mut open| open.read_to_end(&mut bytes)).map_err(|error| unreadable(file, &error))?;
    let stored = SafeTensors::deserialize(&bytes).map_err(|error| unreadable(file, &error))?;
    check_shapes(file, wanted, |name| stored.tensor(name).ok().map(|tensor| tensor.shape().to_vec()))?;
    let mut weights = Weights::new();
    for (name, shape) in wanted {
        let tensor = stored.tensor(name).map_err(|error| unreadable(file, &error))?;
        let bytes = tensor.data();
        let values = match tensor.dtype() {
            Dtype::F32 => bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
            Dtype::F16 => bytes.as_chunks().0.iter().map(|bytes| f16::from_le_bytes(*bytes).to_f32()).collect(),
            other => {
                let reason = format!("{name} is of {other:?}, neither F32 nor F16");
                return Err(CheckpointError::Misfit { file: file.to_owned(), reason });
            }
        };
        weights.insert(name.clone(), Weight { shape: shape.clone(), values: finite(file, name, values)? });
    }
    Ok(weights)
}

/// Writes weights as safetensors; a tensor whose values are all numbers of half precision takes half the room.
///
/// # Errors
/// The system's.
pub fn write_safetensors(file: &Path, weights: &Weights) -> std::io::Result<()> {
    let stored: Vec<(&String, &Vec<usize>, Dtype, Vec<u8>)> = weights
        .iter()
        .map(|(name, weight)| {
            let (dtype, bytes) = packed(&weight.values);
            (name, &weight.shape, dtype, bytes)
        })
        .collect();
    let views: HashMap<&str, TensorView<'_>> = stored
        .iter()
        .map(|(name, shape, dtype, bytes)| {
            Ok((name.as_str(), TensorView::new(*dtype, (*shape).clone(), bytes).map_err(std::io::Error::other)?))
        })
        .collect::<std::io::Result<_>>()?;
    let content = safetensors::serialize(views, &None).map_err(std::io::Error::other)?;
    std::fs::write(file, content)
}

fn packed(values: &[f32]) -> (Dtype, Vec<u8>) {
    if values.iter().all(|value| f16::from_f32(*value).to_f32().to_bits() == value.to_bits()) {
        return (Dtype::F16, values.iter().flat_map(|value| f16::from_f32(*value).to_le_bytes()).collect());
    }
    (Dtype::F32, values.iter().flat_map(|value| value.to_le_bytes()).collect())
}

fn check_shapes(
    file: &Path,
    wanted: &BTreeMap<String, Vec<usize>>,
    shape_of: impl Fn(&str) -> Option<Vec<usize>>,
) -> Result<(), CheckpointError> {
    for (name, shape) in wanted {
        let reason = match shape_of(name) {
            None => format!("it lacks {name}"),
            Some(got) if got != *shape => format!("{name} is {got:?}, the plans call for {shape:?}"),
            Some(_) => continue,
        };
        return Err(CheckpointError::Misfit { file: file.to_owned(), reason });
    }
    Ok(())
}

fn finite(file: &Path, name: &str, values: Vec<f32>) -> Result<Vec<f32>, CheckpointError> {
    if values.iter().all(|value| value.is_finite()) {
        return Ok(values);
    }
    Err(CheckpointError::NotFinite { file: file.to_owned(), name: name.to_owned() })
}

fn unreadable(file: &Path, error: &impl ToString) -> CheckpointError {
    let reason: String = error.to_string().chars().take(300).collect();
    CheckpointError::Unreadable { file: file.to_owned(), reason }
}

/// `state_dict` lists every tensor up to four times, under the names of modules that share it; this is the first one's
/// name, or none.
fn primary(name: &str) -> Option<String> {
    let name = name.strip_prefix("module.").unwrap_or(name);
    let name = name.strip_prefix("_orig_mod.").unwrap_or(name);
    (!name.contains(".all_modules.") && !name.starts_with("decoder.encoder.")).then(|| name.to_owned())
}

fn header(file: &Path, content: &PickleValue) -> Result<Header, CheckpointError> {
    if let Some(name) = foreign(content) {
        return Err(CheckpointError::Foreign { file: file.to_owned(), name });
    }
    let missing = |missing| CheckpointError::NotNnunet { file: file.to_owned(), missing };
    let PickleValue::Dict(entries) = content else { return Err(missing("network_weights")) };
    if !entries.contains_key("network_weights") {
        return Err(missing("network_weights"));
    }
    let Some(PickleValue::String(trainer)) = entries.get("trainer_name") else { return Err(missing("trainer_name")) };
    if let Some(reason) = other_network(trainer) {
        return Err(CheckpointError::Trainer { file: file.to_owned(), trainer: trainer.clone(), reason });
    }
    let Some(PickleValue::Dict(arguments)) = entries.get("init_args") else { return Err(missing("init_args")) };
    let Some(PickleValue::String(configuration)) = arguments.get("configuration") else {
        return Err(missing("init_args.configuration"));
    };
    let mirror_axes = match entries.get("inference_allowed_mirroring_axes") {
        None | Some(PickleValue::None) => None,
        Some(PickleValue::List(axes)) => {
            Some(axes.iter().map(axis).collect::<Option<_>>().ok_or(missing("readable mirroring axes"))?)
        }
        Some(_) => return Err(missing("readable mirroring axes")),
    };
    Ok(Header { trainer: trainer.clone(), configuration: configuration.clone(), mirror_axes })
}

fn axis(value: &PickleValue) -> Option<usize> {
    match value {
        PickleValue::Int(axis) => usize::try_from(*axis).ok().filter(|axis| *axis < 3),
        _ => None,
    }
}

/// nnU-Net's trainers that build another network than the plans say.
fn other_network(trainer: &str) -> Option<&'static str> {
    if trainer.contains("Primus") {
        return Some(
            "a transformer, which is not built here; put a TorchScript program of it into a network folder \
             (models/README.md)",
        );
    }
    if trainer.starts_with("nnUNetTrainerBN") {
        return Some(
            "which puts batch normalisation in the place of instance normalisation; export it with `i3deep-models \
             export`, or train with nnUNetTrainer",
        );
    }
    None
}

/// A Python function that is called while the pickle is opened and has no business there.
fn foreign(content: &PickleValue) -> Option<String> {
    const MODULES: [&str; 16] = [
        "os",
        "posix",
        "nt",
        "subprocess",
        "sys",
        "builtins",
        "__builtin__",
        "runpy",
        "importlib",
        "shutil",
        "socket",
        "pty",
        "code",
        "ctypes",
        "webbrowser",
        "commands",
    ];
    match content {
        PickleValue::Unsupported(name) => {
            let module = name.split('.').next().unwrap_or_default();
            (MODULES.contains(&module) && !harmless(name)).then(|| name.clone())
        }
        PickleValue::List(values) => values.iter().find_map(foreign),
        PickleValue::Dict(entries) => entries.values().find_map(foreign),
        _ => None,
    }
}

/// Built-in types that only hold values.
fn harmless(name: &str) -> bool {
    matches!(
        name.rsplit('.').next(),
        Some("set" | "frozenset" | "complex" | "bytearray" | "slice" | "range" | "object" | "int")
    )
}
