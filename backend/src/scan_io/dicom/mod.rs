//! The door to DICOM: a series of files → a volume. Slices lie where their positions say, along the normal of their
//! planes and never by instance number; every slice is rescaled by its own slope and intercept. What is no volume is
//! refused by name, with the files that show it. Of a file's attributes only those are looked at that place and scale
//! voxels, or tell series apart: no name, no id, no date. What a segmentation of the series has to say of it is read
//! by itself ([`read_reference`]), and kept apart.

mod heads;
mod identity;
mod lengths;
mod object;
mod series;
mod uptake;
mod codecs;
mod jpeg;
mod pixels;
mod apart;
mod reference;
mod segmentation;

use std::path::{Path, PathBuf};

use dicom_dictionary_std::uids;
use shared::api::ErrorCode;
use thiserror::Error;

use super::{Intensities, Origin, Scan, ScanError};
use codecs::Codec;
use heads::read_heads;
use series::{Stack, stacks};

pub use apart::{Unpacked, unpack, unpack_with};
pub use codecs::decode_here;
pub use identity::{Identity, Wrapping, file_identity, identity, wrapping};
pub use reference::{KeptReference, SeriesReference, read_reference};
pub use segmentation::{Algorithm, SegContent, SegKind, encode_seg};

pub(super) use segmentation::read_segmentation;

/// Why files are no series that can be worked on.
#[derive(Debug, Error)]
pub enum DicomError {
    /// Nothing of the kind in a folder.
    #[error("{0} holds no DICOM images. Give the folder of one series")]
    NoImages(String),
    /// A file that cannot be read.
    #[error("{file} cannot be read as DICOM ({why}). Export it again")]
    Unreadable {
        /// Which.
        file: String,
        /// Why.
        why: String,
    },
    /// Pixels that no decoder here reads.
    #[error("{file}: its pixels cannot be decoded ({why}). Export the series again, or uncompressed")]
    Pixels {
        /// Which.
        file: String,
        /// Why.
        why: String,
    },
    /// Colours.
    #[error("{} hold colours ({photometric}), no intensities", some(files))]
    Colours {
        /// Which.
        files: Vec<String>,
        /// The photometric interpretation.
        photometric: String,
    },
    /// Pictures that lie nowhere.
    #[error(
        "{} have no position or orientation in the patient: secondary captures or reports, no slices. Leave them out",
        some(files)
    )]
    NoPosition {
        /// Which.
        files: Vec<String>,
    },
    /// More than one series.
    #[error("there are {} series: {}. Give the files of one of them", series.len(), series.join("; "))]
    SeveralSeries {
        /// Each in words.
        series: Vec<String>,
    },
    /// Labels where intensities are wanted.
    #[error("{} are segmentations (DICOM SEG), labels and no scan. Leave them out", some(files))]
    Labels {
        /// Which.
        files: Vec<String>,
    },
    /// Labels that no segmentation holds, or a segmentation that holds none.
    #[error("the DICOM SEG cannot be used: {why}")]
    Segmentation {
        /// Why.
        why: String,
    },
    /// Slices in several directions.
    #[error("the slices of the series have {} orientations or sizes: {}. A localiser, or two scans in one series; give \
             the files of one", groups.len(), groups.join("; "))]
    SeveralOrientations {
        /// Each in words.
        groups: Vec<String>,
    },
    /// Slices at one place.
    #[error("{} lie at the same place. Leave the duplicates out", some(files))]
    Duplicates {
        /// Which.
        files: Vec<String>,
    },
    /// Several volumes in time.
    #[error(
        "every slice is there {times} times: a series in time, of echoes or of directions (4D). Give the files of one \
         volume ({})",
        some(files)
    )]
    SeveralVolumes {
        /// How often.
        times: usize,
        /// Those of the first place.
        files: Vec<String>,
    },
    /// Gaps.
    #[error("slices are missing: {}. Fetch the series again", gaps.join("; "))]
    Missing {
        /// Where, in words.
        gaps: Vec<String>,
    },
    /// Slices at uneven distances.
    #[error(
        "slices lie at uneven distances, {smallest:.3} to {largest:.3} mm (between {between}). Resample the series to \
         even ones"
    )]
    Irregular {
        /// The smallest, in mm.
        smallest: f64,
        /// The largest, in mm.
        largest: f64,
        /// Files beside the largest.
        between: String,
    },
    /// A gantry that was tilted.
    #[error(
        "the gantry was tilted by {degrees:.1}°: slices are not stacked at right angles. Resample the series to a \
         straight grid"
    )]
    Tilted {
        /// By how much.
        degrees: f64,
    },
    /// What uptake is computed of.
    #[error(
        "{file} has no usable {attribute}, of which SUV is computed. Export the series again with it, or give the \
         network what it is used to"
    )]
    Uptake {
        /// Which file.
        file: String,
        /// The attribute, and what it has to say.
        attribute: &'static str,
    },
    /// What the process that decodes says.
    #[error("{message}")]
    Apart {
        /// For programs.
        code: ErrorCode,
        /// What, why, and what to do.
        message: String,
    },
    /// An attribute that a slice needs.
    #[error("{file} has no usable {attribute}. Export it again")]
    Attribute {
        /// Which file.
        file: String,
        /// Its name in the standard.
        attribute: &'static str,
    },
}

impl DicomError {
    /// For programs.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Unreadable { .. } => ErrorCode::Damaged,
            Self::Pixels { .. } | Self::Colours { .. } | Self::Labels { .. } => ErrorCode::UnsupportedType,
            Self::SeveralVolumes { .. } => ErrorCode::NotThreeDimensional,
            Self::Apart { code, .. } => *code,
            Self::Attribute { .. } | Self::Uptake { .. } | Self::Segmentation { .. } => ErrorCode::BadHeader,
            Self::NoImages(_)
            | Self::NoPosition { .. }
            | Self::SeveralSeries { .. }
            | Self::SeveralOrientations { .. }
            | Self::Duplicates { .. }
            | Self::Missing { .. }
            | Self::Irregular { .. }
            | Self::Tilted { .. } => ErrorCode::NotASeries,
        }
    }
}

/// Whether objects of this SOP class are segmentations.
fn is_segmentation_class(class: &str) -> bool {
    [uids::SEGMENTATION_STORAGE, uids::LABEL_MAP_SEGMENTATION_STORAGE].contains(&class)
}

/// What a decoder of others makes of pixels; one that panics has met pixels that are none.
fn decoded<T>(file: &Path, decode: impl FnOnce() -> Result<T, String>) -> Result<T, DicomError> {
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(decode));
    let outcome = outcome.unwrap_or_else(|_| Err("the compressed pixels make no sense".to_owned()));
    outcome.map_err(|why| DicomError::Pixels { file: name(file), why })
}

/// A few names and how many more.
fn some(files: &[String]) -> String {
    const SHOWN: usize = 5;
    let more = files.len().saturating_sub(SHOWN);
    let shown = files[..files.len().min(SHOWN)].join(", ");
    if more > 0 { format!("{shown} and {more} more") } else { shown }
}

/// A file's own name, for messages.
fn name(file: &Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Whether files are a PET series; files that cannot be read are none.
pub(super) fn is_pet(files: &[PathBuf]) -> bool {
    let first = files.first().map(std::slice::from_ref).unwrap_or_default();
    read_heads(first).is_ok_and(|heads| heads.iter().any(uptake::is_pet))
}

/// Whether a file begins as DICOM does: with the letters behind a preamble, or without one.
pub fn is_dicom(file: &Path) -> bool {
    use std::io::Read;
    let mut bytes = Vec::new();
    let read = std::fs::File::open(file).and_then(|file| file.take(132).read_to_end(&mut bytes));
    read.is_ok() && (bytes.get(128..132) == Some(b"DICM") || bytes.starts_with(b"DICM"))
}

/// The DICOM files of a folder and of the folders within it, by name; those that begin with a dot, and a `DICOMDIR`,
/// are none.
pub fn series_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    entries.sort();
    for path in entries.into_iter().filter(|path| !name(path).starts_with('.') && name(path) != "DICOMDIR") {
        if path.is_dir() && !path.is_symlink() {
            files.extend(series_files(&path));
        } else if is_dicom(&path) {
            files.push(path);
        }
    }
    files
}

/// The files of each series among these, in order of first appearance.
///
/// # Errors
/// [`DicomError::Unreadable`].
pub fn told_apart(files: &[PathBuf]) -> Result<Vec<Vec<PathBuf>>, ScanError> {
    let mut series: Vec<(String, Vec<PathBuf>)> = Vec::new();
    for head in read_heads(files)? {
        match series.iter_mut().find(|(uid, _)| *uid == head.series) {
            Some((_, files)) => files.push(head.file),
            None => series.push((head.series, vec![head.file])),
        }
    }
    Ok(series.into_iter().map(|(_, files)| files).collect())
}

/// Where a series lies, without its pixels.
///
/// # Errors
/// As [`read_series`].
pub(super) fn read_origin(files: &[PathBuf]) -> Result<Origin, ScanError> {
    Ok(Origin::of_geometry(&stacks(read_heads(files)?)?.geometry()?))
}

/// Reads a series: one volume in space, x along rows, y along columns, z along the normal.
///
/// # Errors
/// [`DicomError`] for what is not one volume on an even grid; [`ScanError`] for geometry and values as for any scan.
pub(super) fn read_series(files: &[PathBuf], intensities: Intensities) -> Result<Scan, ScanError> {
    let mut heads = read_heads(files)?;
    if intensities == Intensities::SuvBw {
        uptake::apply(&mut heads)?;
    }
    let is_held_back = heads.iter().any(|head| Codec::of(&head.syntax).is_some()) && !codecs::may_decode();
    let stack: Stack = stacks(heads)?;
    let geometry = stack.geometry()?;
    if is_held_back {
        return apart::read_apart(files, intensities);
    }
    let volume = pixels::read(&stack, &geometry)?;
    Ok(Scan { volume, origin: Origin::of_geometry(&geometry) })
}
