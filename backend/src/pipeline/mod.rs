//! The stages, in the order in which data passes them. Pure given a network: numbers in, numbers out; no paths, no
//! clocks, no HTTP.

pub mod frame;
pub mod crop;
pub mod normalise;
pub mod distribution;
pub mod outliers;
pub mod resample;
pub mod resample_torch;
pub mod resample_labels;
pub mod reorient;
pub mod network_grid;
pub mod preprocess;
pub mod predict;
pub mod presegment;
pub mod sampling;
pub mod uncertainty;
mod elementary;
pub mod components;
pub mod acquire;
pub mod consistency;
pub mod guide;
pub mod adapt;
mod margin;
mod blend;
pub mod refine;
pub mod learn;
pub mod export;
pub mod resident;
pub mod postprocess;
