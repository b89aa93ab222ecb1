//! DICOM SEG, out and in (PS3.3, A.51): LABELMAP and BINARY, one frame a slice of the series that was segmented.

mod content;
mod elements;
mod functional;
mod read;
mod rle;
mod segments;
mod write;

pub use content::{Algorithm, SegContent, SegKind};
pub use write::encode_seg;

pub(in crate::scan_io) use read::read_segmentation;
