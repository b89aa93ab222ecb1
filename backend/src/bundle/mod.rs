//! Networks on disk, checked before they run: bundles, their plans, and how their uncertainty is found. Reads files; runs nothing.

pub mod plans;
pub mod method;
mod manifest;
mod catalogue;

pub use catalogue::{Catalogue, folders};
pub use manifest::{
    AcquisitionDefaults, Bundle, BundleError, BundleManifest, GuidanceEncoding, PresegmentationChannels, Stage, TORCH_VERSION, weights,
};
