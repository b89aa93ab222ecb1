//! Files ↔ volumes. The door to the `nifti` crate: gates that keep bad files out, the geometry they claim, and export on the scan's own grid.

mod affine;
mod gate;
mod nifti;

pub use self::nifti::{Origin, Scan, read_labels, read_origin, read_scan, read_scan_bytes, write_f32, write_i16, write_labels};

use shared::geometry::GeometryError;
use thiserror::Error;

/// Why a scan cannot be read or written; every message says what is wrong and what to do. None names a file: callers know which one it was.
#[derive(Debug, Error)]
pub enum ScanError {
    /// The first bytes are not those of a NIfTI-1 file.
    #[error("this is not a NIfTI file: {0}. Upload a single-file NIfTI-1 volume (.nii or .nii.gz)")]
    NotNifti(String),
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
    /// More than the reader is willing to unpack.
    #[error("the file unpacks to more than {limit_mib} MiB, which is the limit")]
    TooLarge {
        /// The limit.
        limit_mib: usize,
    },
    /// A header that promises more voxels than can be worked on.
    #[error("the scan has {got} voxels, more than {limit}, which is the limit. Crop it or resample it to coarser voxels")]
    TooManyVoxels {
        /// Voxels.
        got: usize,
        /// The limit.
        limit: usize,
    },
    /// Not three-dimensional.
    #[error(
        "the file has {0} dimensions, a scan has 3. Split time points or channels into one file each (for example with fslsplit or nibabel)"
    )]
    NotThreeDimensional(String),
    /// A voxel type that holds no intensities.
    #[error("voxels of NIfTI data type {0} are not supported. Convert the file to int16 or float32")]
    UnsupportedType(i16),
    /// A value that breaks every computation after it.
    #[error("voxel [{x}, {y}, {z}] is {value}, not a number that can be computed with. Replace such voxels, for example with 0", x = voxel[0], y = voxel[1], z = voxel[2])]
    NotFinite {
        /// Which voxel.
        voxel: [usize; 3],
        /// What it holds.
        value: f64,
    },
    /// A label file that does not hold whole numbers from 0 to 255.
    #[error("voxel [{x}, {y}, {z}] is {value}, but labels are whole numbers from 0 to 255", x = voxel[0], y = voxel[1], z = voxel[2])]
    NotALabel {
        /// Which voxel.
        voxel: [usize; 3],
        /// What it holds.
        value: f32,
    },
    /// Spacing or affine that make no space.
    #[error("the scan's geometry cannot be used: {0}. Export it again with a valid affine")]
    Geometry(#[from] GeometryError),
    /// The operating system said no.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl ScanError {
    /// A stable word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotNifti(_) => "not_a_nifti",
            Self::Damaged(_) => "damaged",
            Self::Truncated { .. } => "truncated",
            Self::TooLarge { .. } | Self::TooManyVoxels { .. } => "too_large",
            Self::NotThreeDimensional(_) => "not_3d",
            Self::UnsupportedType(_) => "unsupported_type",
            Self::NotFinite { .. } => "not_finite",
            Self::NotALabel { .. } => "not_a_label",
            Self::Geometry(_) => "bad_geometry",
            Self::Io(_) => "internal",
        }
    }
}
