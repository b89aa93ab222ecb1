//! What a setting is worth: a simulated expert corrects the acquired planes of labelled cases, and the result is
//! measured. Uses the pipeline that the server uses; the pipeline never looks here.

pub mod cases;
pub mod settings;
pub mod worker;
pub mod run;
pub mod expert;
pub mod overlap;
pub mod effort;
mod distance;
pub mod calibration;
pub mod results;
pub mod statistics;
pub mod curve;
pub mod equal_cost;
pub mod summary;
pub mod picture;
pub mod report;
pub mod outcome;
