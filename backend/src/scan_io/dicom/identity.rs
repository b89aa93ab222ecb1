//! What other programs call an object.

use std::path::Path;

use dicom_dictionary_std::tags;
use dicom_object::{InMemDicomObject, OpenFileOptions};

use super::DicomError;
use super::heads::text;
use super::object::{Part, chain, open};
use crate::scan_io::ScanError;

/// An object's unique identifiers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Of its study.
    pub study: String,
    /// Of its series.
    pub series: String,
    /// Its own.
    pub instance: String,
}

/// What an object of ours is called.
///
/// # Errors
/// [`DicomError::Unreadable`].
pub fn identity(object: &[u8]) -> Result<Identity, ScanError> {
    let object = OpenFileOptions::new().read_until(tags::PIXEL_DATA).from_reader(object);
    let object =
        object.map_err(|error| DicomError::Unreadable { file: "the object".to_owned(), why: chain(&error) })?;
    Ok(of(&object))
}

/// What a file's object is called, as the file has it.
///
/// # Errors
/// [`DicomError::Unreadable`].
pub fn file_identity(file: &Path) -> Result<Identity, ScanError> {
    let object = open(file, Part::Head)?;
    Ok(of(&object))
}

fn of(object: &InMemDicomObject) -> Identity {
    Identity {
        study: text(object, tags::STUDY_INSTANCE_UID),
        series: text(object, tags::SERIES_INSTANCE_UID),
        instance: text(object, tags::SOP_INSTANCE_UID),
    }
}
