//! Files ↔ volumes: NIfTI, NRRD, MetaImage, DICOM. The door to the `nifti` and `dicom` crates: gates that keep bad
//! files out, the place that headers claim, and what is written on a scan's own grid.

mod intensities;
mod header;
mod placing;
mod gate;
mod voxels;
mod nifti;
mod format;
mod raster;
mod nrrd;
mod metaimage;
mod text_files;
mod labels;
mod write;
mod relabel;
#[cfg(test)]
mod text_tests;
mod dicom;
mod files;

pub use labels::{LabelFile, read_labels};
pub use relabel::relabelled;
pub use write::{nrrd_segmentation, whole, write_f32, write_i16, write_labels, write_segmentation};

pub use self::nifti::{Origin, Scan};
pub use dicom::{
    Algorithm, DicomError, Identity, KeptReference, SegContent, SegKind, SeriesReference, Unpacked, Wrapping,
    decode_here, encode_seg, file_identity, identity, is_dicom, read_reference, series_files, told_apart, unpack,
    unpack_with, wrapping,
};
pub use files::{
    ScanFiles, is_header_alone, is_pet, read_origin, read_scan, read_scan_as, read_scan_files, write_without_texts,
};
pub use format::{VOLUME_ENDINGS, is_volume_name};
pub(crate) use gate::damaged;
pub use intensities::Intensities;
pub use raster::NamedSegment;

use shared::api::ErrorCode;
use thiserror::Error;

/// Why a scan cannot be read or written; every message says what is wrong and what to do. None names a file: callers
/// know which one it was.
#[derive(Debug, Error)]
pub enum ScanError {
    /// The first bytes are not those of a NIfTI file.
    #[error(
        "this is not a NIfTI file: {0}. Scans are NIfTI volumes (.nii, .nii.gz, or .hdr with .img), NRRD or MetaImage \
         files (.nrrd, .mha), or DICOM series"
    )]
    NotNifti(String),
    /// A header of text that says nothing to go by.
    #[error("the {format} header cannot be used: {problem}")]
    TextHeader {
        /// Whose.
        format: &'static str,
        /// What is wrong with it, and what to do.
        problem: String,
    },
    /// A header without its voxels.
    #[error(
        "this is the header of a scan in two files; its voxels (.img) are missing. Give both, side by side and under \
         the same name"
    )]
    NoVoxels,
    /// The compressed stream ends early or its checksum is wrong.
    #[error("the file is damaged or cut off ({0}). Copy or export it again and compare the sizes")]
    Damaged(String),
    /// Fewer voxels than the header promises.
    #[error("the file is cut off: its header promises {expected} bytes, it holds {got}. Copy or export it again")]
    Truncated {
        /// Bytes needed.
        expected: usize,
        /// Bytes there.
        got: usize,
    },
    /// Voxels are said to begin behind the end.
    #[error(
        "the file is cut off, or its header is wrong: voxels are to begin at byte {offset}, behind its end. Copy or \
         export it again"
    )]
    NoVoxelsAt {
        /// Where.
        offset: usize,
    },
    /// Voxels are said to begin where they cannot.
    #[error(
        "the header says that voxels begin at byte {offset} (vox_offset); it must be one from {least} to {most}. \
         Export the file again"
    )]
    Offset {
        /// What it says.
        offset: f64,
        /// The first byte that is not the header's.
        least: usize,
        /// The limit.
        most: usize,
    },
    /// A slope without an intercept.
    #[error(
        "the header scales voxels by {slope} and adds {intercept}, which is no number (scl_slope, scl_inter). Export \
         the file again"
    )]
    Scaling {
        /// What voxels are multiplied with.
        slope: f64,
        /// What is added.
        intercept: f64,
    },
    /// More than the reader is willing to unpack.
    #[error("more than {limit_mib} MiB stand behind the voxels, which is the limit. Export the file again")]
    TooLarge {
        /// The limit.
        limit_mib: usize,
    },
    /// An archive that holds too much.
    #[error(
        "the archive holds more than {files} files or unpacks to more than {mib} MiB, which is the limit. Send the \
         files of one series alone"
    )]
    ArchiveTooLarge {
        /// Most files.
        files: usize,
        /// Most bytes, in MiB.
        mib: u64,
    },
    /// The voxels do not fit into memory.
    #[error(
        "this machine lacks the {mib} MiB of memory that the voxels need. Crop the scan, resample it to coarser \
         voxels, or use a larger machine"
    )]
    NoMemory {
        /// What is needed.
        mib: usize,
    },
    /// A header that promises more voxels than can be worked on.
    #[error(
        "the scan has {got} voxels, more than {limit}, which is the limit. Crop it or resample it to coarser voxels"
    )]
    TooManyVoxels {
        /// Voxels.
        got: usize,
        /// The limit.
        limit: usize,
    },
    /// Nothing along an axis, or too much.
    #[error(
        "the scan has {} voxels along its axes; each takes 1 to {limit}. Crop it or resample it to coarser voxels",
        got.map(|n| n.to_string()).join(" × ")
    )]
    Extents {
        /// Along x, y and z.
        got: [i64; 3],
        /// The limit along each.
        limit: i64,
    },
    /// Not three-dimensional.
    #[error(
        "the file has {0} dimensions, a scan has 3. Split time points or channels into one file each (for example with \
         fslsplit or nibabel)"
    )]
    NotThreeDimensional(String),
    /// A voxel type that holds no intensities.
    #[error("its voxels are {kind} (NIfTI data type {code}), no intensities that can be read. Convert the file to \
             int16 or float32", kind = voxels::type_name(*.0), code = .0)]
    UnsupportedType(i16),
    /// A value that breaks every computation after it.
    #[error("voxel [{x}, {y}, {z}] is {value}, not a number that can be computed with. Replace such voxels, for \
             example with 0", x = voxel[0], y = voxel[1], z = voxel[2])]
    NotFinite {
        /// Which voxel.
        voxel: [usize; 3],
        /// What it holds.
        value: f64,
    },
    /// A value beyond single precision.
    #[error("voxel [{x}, {y}, {z}] is {value:e}, too large for f32, in which networks compute. Replace such voxels, \
             for example with 0", x = voxel[0], y = voxel[1], z = voxel[2])]
    TooLargeForF32 {
        /// Which voxel.
        voxel: [usize; 3],
        /// What it holds.
        value: f64,
    },
    /// A segment that is none of the task's.
    #[error("the segment {name:?} is none of the task's labels ({}). Rename or delete it", known.join(", "))]
    UnknownSegment {
        /// Its name.
        name: String,
        /// The task's.
        known: Vec<String>,
    },
    /// A label file that does not hold whole numbers from 0 to 255.
    #[error(
        "voxel [{x}, {y}, {z}] is {value}, but labels are whole numbers from 0 to 255",
        x = voxel[0],
        y = voxel[1],
        z = voxel[2]
    )]
    NotALabel {
        /// Which voxel.
        voxel: [usize; 3],
        /// What it holds, by its digits.
        value: String,
    },
    /// Spacing or affine that make no space. Not a source: the sentence says it.
    #[error("the scan's geometry cannot be used: {0}. Export it again with a valid affine")]
    Geometry(String),
    /// DICOM files that are no volume.
    #[error(transparent)]
    Dicom(#[from] DicomError),
    /// The operating system said no.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl ScanError {
    /// For programs.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::NotNifti(_) => ErrorCode::NotANifti,
            Self::NoVoxels => ErrorCode::VoxelsMissing,
            Self::Damaged(_) => ErrorCode::Damaged,
            Self::Truncated { .. } | Self::NoVoxelsAt { .. } => ErrorCode::Truncated,
            Self::Offset { .. } | Self::Scaling { .. } | Self::TextHeader { .. } => ErrorCode::BadHeader,
            Self::TooLarge { .. }
            | Self::ArchiveTooLarge { .. }
            | Self::NoMemory { .. }
            | Self::TooManyVoxels { .. }
            | Self::Extents { .. } => ErrorCode::TooLarge,
            Self::NotThreeDimensional(_) => ErrorCode::NotThreeDimensional,
            Self::UnsupportedType(_) => ErrorCode::UnsupportedType,
            Self::NotFinite { .. } | Self::TooLargeForF32 { .. } => ErrorCode::NotFinite,
            Self::NotALabel { .. } | Self::UnknownSegment { .. } => ErrorCode::NotALabel,
            Self::Geometry(_) => ErrorCode::BadGeometry,
            Self::Dicom(error) => error.code(),
            Self::Io(_) => ErrorCode::Internal,
        }
    }
}
