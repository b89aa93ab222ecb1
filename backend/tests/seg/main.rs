//! DICOM SEG, out and in: what is written reads back to the same voxels, here and in other programs. And DICOM files
//! that were made to harm.

#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "../series/mod.rs"]
mod series;

mod command;
mod hostile;
mod packed;
mod peers;
mod round_trip;
mod uptake;
