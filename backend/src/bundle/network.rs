//! What is recorded of an exported network, and which of its folds are wanted.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::PlansError;

/// `network.json`: what the export recorded.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct NetworkManifest {
    /// Version of this format.
    pub format: u32,
    /// What runs it.
    #[serde(default)]
    pub engine: EngineKind,
    /// libtorch it was exported with; empty for [`EngineKind::Native`], which needs no particular one.
    #[serde(default)]
    pub torch_version: String,
    /// nnU-Net configuration, such as `3d_fullres`.
    pub configuration: String,
    /// Trainer class, for the record.
    #[serde(default)]
    pub trainer: String,
    /// The checkpoint that was exported.
    #[serde(default = "final_checkpoint")]
    pub checkpoint: String,
    /// Fold names, such as `0` or `all`.
    pub folds: Vec<String>,
    /// Axes (of the network's `[z, y, x]`) that may be mirrored at prediction.
    pub mirror_axes: Option<Vec<usize>>,
    /// Input channels, guidance included.
    pub input_channels: usize,
    /// Output channels.
    pub heads: usize,
    /// Whether `train()` switches dropout on.
    #[serde(default)]
    pub dropout: bool,
    /// How far logits may be from the golden ones, where there are golden ones.
    #[serde(default)]
    pub golden_tolerance: f32,
    /// Whether this is nnU-Net's own folder, whose weights lie in `fold_K/` under the checkpoint's name.
    #[serde(skip)]
    pub trained: bool,
}

impl NetworkManifest {
    /// The file of a fold's weights within the network folder.
    pub fn weight_file(&self, fold: &str) -> String {
        match self.engine {
            EngineKind::TorchScript => format!("fold_{fold}.pt"),
            EngineKind::Native if self.trained => format!("fold_{fold}/{}", self.checkpoint),
            EngineKind::Native => format!("fold_{fold}.safetensors"),
        }
    }
}

/// What runs a network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineKind {
    /// A TorchScript program.
    #[default]
    TorchScript,
    /// nnU-Net's own weights in the U-Net that its plans describe.
    Native,
}

fn final_checkpoint() -> String {
    "checkpoint_final.pth".to_owned()
}

/// Which of a network's folds and checkpoints are wanted.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// Folds by name; all that are there, if empty.
    pub folds: Vec<String>,
    /// The checkpoint's file name; `checkpoint_final.pth` where nothing is said.
    pub checkpoint: Option<String>,
}

impl Choice {
    /// An exported network with the folds that are wanted.
    pub(super) fn among(&self, folder: &Path, mut manifest: NetworkManifest) -> Result<NetworkManifest, PlansError> {
        if let Some(wanted) = self.checkpoint.as_ref().filter(|wanted| **wanted != manifest.checkpoint) {
            return Err(PlansError::OtherCheckpoint { exported: manifest.checkpoint, wanted: wanted.clone() });
        }
        if let Some(missing) = self.folds.iter().find(|fold| !manifest.folds.contains(fold)) {
            let (folder, there) = (folder.to_owned(), manifest.folds.join(", "));
            return Err(PlansError::NoSuchFold { fold: missing.clone(), folder, there });
        }
        if !self.folds.is_empty() {
            manifest.folds = self.folds.clone();
        }
        Ok(manifest)
    }
}
