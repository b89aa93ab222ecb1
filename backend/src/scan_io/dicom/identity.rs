//! What other programs call an object.

use std::path::Path;

use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;

use super::heads::text;
use super::object::{Part, open, open_held};
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

/// What a file says of its object to those who do not look into it (PS3.10, 7.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrapping {
    /// Its SOP class.
    pub class: String,
    /// Its unique identifier.
    pub instance: String,
    /// Its transfer syntax.
    pub syntax: String,
}

/// What an object of ours is called.
///
/// # Errors
/// [`super::DicomError::Unreadable`].
pub fn identity(object: &[u8]) -> Result<Identity, ScanError> {
    Ok(of(&*open_held(object, Part::Head)?))
}

/// What a file's object is called, as the file has it.
///
/// # Errors
/// [`super::DicomError::Unreadable`].
pub fn file_identity(file: &Path) -> Result<Identity, ScanError> {
    Ok(of(&*open(file, Part::Head)?))
}

/// What stands around a file's object, if that can be read to its end.
///
/// # Errors
/// [`super::DicomError::Unreadable`].
pub fn wrapping(file: &[u8]) -> Result<Wrapping, ScanError> {
    let object = open_held(file, Part::Whole)?;
    let meta = object.meta();
    let text = |text: &str| text.trim_end_matches(['\0', ' ']).to_owned();
    Ok(Wrapping {
        class: text(meta.media_storage_sop_class_uid()),
        instance: text(meta.media_storage_sop_instance_uid()),
        syntax: text(meta.transfer_syntax()),
    })
}

fn of(object: &InMemDicomObject) -> Identity {
    Identity {
        study: text(object, tags::STUDY_INSTANCE_UID),
        series: text(object, tags::SERIES_INSTANCE_UID),
        instance: text(object, tags::SOP_INSTANCE_UID),
    }
}
