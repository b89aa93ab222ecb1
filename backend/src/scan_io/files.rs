//! Which files a scan is made of, and reading it from them, whatever their format.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::dicom::{self, DicomError, is_dicom, series_files};
use super::format::Format;
use super::intensities::Intensities;
use super::nifti::Raw;
use super::raster::NamedSegment;
use super::{Origin, Scan, ScanError, nifti, text_files};

/// Whether a scan is a PET series.
pub fn is_pet(files: &ScanFiles) -> bool {
    matches!(files, ScanFiles::Series(files) if dicom::is_pet(files))
}

/// The files of one scan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScanFiles {
    /// A NIfTI, NRRD or MetaImage file, or a header whose voxels are missing.
    One(PathBuf),
    /// A header and its voxels: `.hdr` and `.img`, `.nhdr` or `.mhd` and the file that it names.
    Pair {
        /// The header.
        header: PathBuf,
        /// The voxels.
        voxels: PathBuf,
    },
    /// A DICOM series.
    Series(Vec<PathBuf>),
}

impl ScanFiles {
    /// What a name stands for: a folder for the DICOM files within, a DICOM file for itself, `.hdr` or `.img` for both
    /// of them, a header of text for itself and the voxels that it names.
    pub fn at(path: &Path) -> Self {
        if path.is_dir() {
            return Self::Series(series_files(path));
        }
        if is_dicom(path) {
            return Self::Series(vec![path.to_owned()]);
        }
        if Format::of(path) != Format::Nifti {
            return match text_files::voxels_beside(path) {
                Some(voxels) => Self::Pair { header: path.to_owned(), voxels },
                None => Self::One(path.to_owned()),
            };
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let beside = |ending: &str, others: &[&str]| {
            let stem = name.strip_suffix(ending)?;
            others.iter().map(|other| path.with_file_name(format!("{stem}{other}"))).find(|file| file.is_file())
        };
        for (ending, others) in [(".hdr", [".img", ".img.gz"]), (".hdr.gz", [".img.gz", ".img"])] {
            if let Some(voxels) = beside(ending, &others) {
                return Self::Pair { header: path.to_owned(), voxels };
            }
        }
        for (ending, others) in [(".img", [".hdr", ".hdr.gz"]), (".img.gz", [".hdr.gz", ".hdr"])] {
            if let Some(header) = beside(ending, &others) {
                return Self::Pair { header, voxels: path.to_owned() };
            }
        }
        Self::One(path.to_owned())
    }

    /// All of them.
    pub fn paths(&self) -> Vec<&Path> {
        match self {
            Self::One(file) => vec![file],
            Self::Pair { header, voxels } => vec![header, voxels],
            Self::Series(files) => files.iter().map(PathBuf::as_path).collect(),
        }
    }
}

/// Whether a file is the header of a scan whose voxels have a file of their own.
pub fn is_header_alone(path: &Path) -> bool {
    match Format::of(path) {
        Format::Nifti => nifti::is_header_alone(path),
        Format::Nrrd | Format::MetaImage => text_files::is_header_alone(path),
    }
}

/// A file's numbers before anything is asked of them, and the segments that it names; `voxels` are those of a header
/// that stands alone.
pub(super) fn read_raw(file: &Path, voxels: Option<&Path>) -> Result<(Raw, Vec<NamedSegment>), ScanError> {
    match Format::of(file) {
        Format::Nifti => Ok((nifti::read_raw(file, voxels)?, Vec::new())),
        Format::Nrrd | Format::MetaImage => text_files::read_raw(file, voxels),
    }
}

/// Reads a scan: a file, or the folder of a DICOM series.
///
/// # Errors
/// [`ScanError`] for anything that is not a complete, finite volume of three dimensions, or of two.
pub fn read_scan(path: &Path) -> Result<Scan, ScanError> {
    read_scan_as(path, Intensities::Stored)
}

/// Reads a scan, PET series as they are wanted.
///
/// # Errors
/// As [`read_scan`]; [`DicomError::Uptake`].
pub fn read_scan_as(path: &Path, intensities: Intensities) -> Result<Scan, ScanError> {
    match ScanFiles::at(path) {
        ScanFiles::Series(files) if files.is_empty() => Err(DicomError::NoImages("the folder".to_owned()).into()),
        files => read_scan_files(&files, intensities),
    }
}

/// Reads a scan whose files are known.
///
/// # Errors
/// As [`read_scan_as`].
pub fn read_scan_files(files: &ScanFiles, intensities: Intensities) -> Result<Scan, ScanError> {
    match files {
        ScanFiles::One(file) => read_raw(file, None)?.0.into_scan(),
        ScanFiles::Pair { header, voxels } => read_raw(header, Some(voxels))?.0.into_scan(),
        ScanFiles::Series(files) => dicom::read_series(files, intensities),
    }
}

/// Reads where a scan comes from, without its voxels. Whether these are whole is not looked at.
///
/// # Errors
/// As [`read_scan`].
pub fn read_origin(path: &Path) -> Result<Origin, ScanError> {
    match ScanFiles::at(path) {
        ScanFiles::One(file) | ScanFiles::Pair { header: file, .. } => match Format::of(&file) {
            Format::Nifti => nifti::read_origin(&file),
            Format::Nrrd | Format::MetaImage => Ok(text_files::read_layout(&file)?.origin),
        },
        ScanFiles::Series(files) => dicom::read_origin(&files),
    }
}

/// Writes the voxels of a scan that was read from these files as a packed NIfTI file with nothing of its header but
/// what places and scales them: no texts, no extensions, no intents, no attributes.
///
/// # Errors
/// As [`read_scan`].
pub fn write_without_texts(files: &ScanFiles, scan: &Scan, out: impl Write) -> Result<(), ScanError> {
    match files {
        ScanFiles::One(file) if Format::of(file) == Format::Nifti => nifti::write_without_texts(file, None, out),
        ScanFiles::Pair { header, voxels } if Format::of(header) == Format::Nifti => {
            nifti::write_without_texts(header, Some(voxels), out)
        }
        _ => Ok(super::write::pack(out, scan)?),
    }
}
