//! The pipeline's stages on files: what the command line and the server's worker both do. Opens bundles and volumes,
//! runs a stage, writes its results.

mod adapt;
mod ensemble;
mod export;
mod networks;
mod npz;
mod orientation;
mod predict;
mod presegment;
mod refine;
mod slices;

pub use adapt::{Adapt, AdaptSetting};
pub use ensemble::ensemble;
pub use export::{ExportFiles, export, is_dicom_name};
pub use networks::{Networks, OpenedNetworks, load_stage, open_bundle};
pub use orientation::{orientation_warning, reorientation};
pub use predict::{Accumulate, Case, CaseFailure, PredictOptions, Predictor};
pub use presegment::{PresegmentOptions, check_dimensions, class_weights, presegment, read_channels, warnings};
pub use refine::{Corrections, RefineFiles, RefineReport, Uncertainty, read_on_grid, refine};
pub use slices::{read_slices, write_slices};

/// The labels that a presegmentation writes into its output folder.
pub const PRESEGMENTATION_FILE: &str = "presegmentation.nii.gz";
/// The uncertainty, 0 to 1.
pub const UNCERTAINTY_FILE: &str = "uncertainty.nii.gz";
/// The slices that were chosen: [`shared::acquisition::SliceList`].
pub const SLICES_FILE: &str = "slices.json";
