//! Why a network folder cannot be used.

use std::path::PathBuf;

use thiserror::Error;

use super::checkpoint::CheckpointError;

/// Why a network folder cannot be used.
#[derive(Debug, Error)]
pub enum PlansError {
    /// A file is missing or unreadable.
    #[error("cannot read {file}: {source}", file = file.display())]
    Read {
        /// Which file.
        file: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{file} is not valid: {reason}", file = file.display())]
    Invalid {
        /// Which file.
        file: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A fold that was not exported.
    #[error("fold {fold} was not exported; the folder {folder} has {there}", folder = .folder.display())]
    NoSuchFold {
        /// The fold.
        fold: String,
        /// Where it was looked for.
        folder: PathBuf,
        /// The folds that were.
        there: String,
    },
    /// A checkpoint that was not exported.
    #[error("the network was exported from {exported}, not from {wanted}; export it again with --checkpoint {wanted}")]
    OtherCheckpoint {
        /// The one that was.
        exported: String,
        /// The one that is wanted.
        wanted: String,
    },
    /// A folder that is none of nnU-Net's.
    #[error(transparent)]
    Trained(#[from] TrainedError),
    /// Weights.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The plan asks for something that is not built.
    #[error("{what} '{name}' is not supported; supported: {supported}")]
    Unsupported {
        /// The kind of thing.
        what: &'static str,
        /// Its name.
        name: String,
        /// What could be used instead.
        supported: &'static str,
    },
}

/// Why a folder is none that nnU-Net trained, or not as wanted.
#[derive(Debug, Error)]
pub enum TrainedError {
    /// Neither exported nor trained.
    #[error(
        "{folder} holds no network: neither plans.json, as nnU-Net's trained folders do, nor network.json, as exported \
         ones do. Give the folder TRAINER__PLANS__CONFIGURATION within nnUNet_results",
        folder = .0.display()
    )]
    NoNetwork(PathBuf),
    /// The folder of a dataset.
    #[error("{folder} holds several networks; give one of them: {networks}", folder = .folder.display())]
    Dataset {
        /// The folder.
        folder: PathBuf,
        /// Their folders' names.
        networks: String,
    },
    /// nnU-Net v1.
    #[error(
        "{folder} was trained by nnU-Net v1, whose networks and plans differ from those of v2 and are not read here; \
         predict with nnU-Net v1, or train its dataset with nnU-Net v2 (nnUNetv2_convert_old_nnUNet_dataset)",
        folder = .0.display()
    )]
    Version1(PathBuf),
    /// Folds that are not there.
    #[error("{folder} has no {checkpoint} for fold {fold}; {there}", folder = .folder.display())]
    NoFold {
        /// The folder.
        folder: PathBuf,
        /// The checkpoint that was looked for.
        checkpoint: String,
        /// The fold, or `any`.
        fold: String,
        /// What is there instead.
        there: String,
    },
}
