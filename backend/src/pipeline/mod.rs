//! The stages, in the order in which data passes them. Pure given a network: numbers in, numbers out; no paths, no clocks, no HTTP.

pub mod resample;
pub mod preprocess;
pub mod presegment;
pub mod uncertainty;
pub mod acquire;
pub mod guide;
pub mod refine;
pub mod export;
