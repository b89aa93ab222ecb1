//! Networks on disk, checked before they run: bundles, their plans, and how their uncertainty is found. Reads files;
//! runs nothing.

pub mod plans;
mod error;
mod json;
mod network;
pub mod architecture;
pub mod checkpoint;
pub mod trained;
pub mod create;
pub mod revise;
pub mod install;
pub mod results;
pub mod method;
mod manifest;
mod catalogue;
mod text;

pub use catalogue::{Catalogue, folders};
pub use manifest::{
    AcquisitionDefaults, Bundle, BundleError, BundleManifest, GuidanceEncoding, PresegmentationChannels, Refinement,
    Stage, TORCH_VERSION, weights,
};
pub use text::text_of;

#[cfg(test)]
#[path = "../../tests/trained/mod.rs"]
mod sample;
#[cfg(test)]
mod checkpoint_tests;
