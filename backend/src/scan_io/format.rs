//! Which format a file has: by its first bytes where it is read, by its name where it is written.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// A format of volumes in one file, or in a header and the voxels beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Nifti,
    Nrrd,
    MetaImage,
}

/// Endings of names that volumes are written under.
pub const VOLUME_ENDINGS: [&str; 4] = [".nii.gz", ".nii", ".nrrd", ".mha"];

impl Format {
    /// By the first bytes; what is neither of the others is taken for NIfTI, whose reader says what it is.
    pub(super) fn of(file: &Path) -> Self {
        let mut bytes = Vec::new();
        let read = File::open(file).and_then(|file| file.take(16).read_to_end(&mut bytes));
        let begins = |word: &str| bytes.starts_with(word.as_bytes());
        match read {
            Ok(_) if begins("NRRD") => Self::Nrrd,
            Ok(_) if ["ObjectType", "ObjectSubType", "NDims", "Comment"].into_iter().any(begins) => Self::MetaImage,
            _ => Self::Nifti,
        }
    }

    /// By the ending of a name.
    pub(super) fn named(file: &Path) -> Self {
        match file.extension().and_then(|ending| ending.to_str()) {
            Some("nrrd") => Self::Nrrd,
            Some("mha") => Self::MetaImage,
            _ => Self::Nifti,
        }
    }
}

/// Whether a volume can be written under this name: readers go by its ending.
pub fn is_volume_name(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    VOLUME_ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// Whether the name is that of a segmentation with named segments, as 3D Slicer has them.
pub(super) fn is_segments_name(file: &Path) -> bool {
    file.file_name().unwrap_or_default().to_string_lossy().ends_with(".seg.nrrd")
}
