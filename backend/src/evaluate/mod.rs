//! What a setting is worth: a simulated expert corrects the acquired planes of labelled cases, and the result is measured. Uses the pipeline that the
//! server uses; the pipeline never looks here.

pub mod expert;
pub mod overlap;
mod distance;
pub mod calibration;
pub mod results;
pub mod statistics;
pub mod summary;
pub mod report;
