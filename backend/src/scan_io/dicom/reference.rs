//! What a segmentation needs to say of the series that was segmented: which images, whose. Kept apart from the volume,
//! which carries none of it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use serde::{Deserialize, Serialize};

use super::heads::{read_heads, text};
use super::object::{Part, open};
use super::series::stacks;
use super::{DicomError, name};
use crate::scan_io::ScanError;

/// Attributes of the patient and study modules that belong to every object of a study, with their value representation.
pub(super) const ABOUT_THE_PATIENT: [(Tag, dicom_core::VR); 13] = {
    use dicom_core::VR;
    [
        (tags::PATIENT_NAME, VR::PN),
        (tags::PATIENT_ID, VR::LO),
        (tags::ISSUER_OF_PATIENT_ID, VR::LO),
        (tags::PATIENT_BIRTH_DATE, VR::DA),
        (tags::PATIENT_SEX, VR::CS),
        (tags::PATIENT_IDENTITY_REMOVED, VR::CS),
        (tags::DEIDENTIFICATION_METHOD, VR::LO),
        (tags::STUDY_DATE, VR::DA),
        (tags::STUDY_TIME, VR::TM),
        (tags::STUDY_ID, VR::SH),
        (tags::ACCESSION_NUMBER, VR::SH),
        (tags::REFERRING_PHYSICIAN_NAME, VR::PN),
        (tags::STUDY_DESCRIPTION, VR::LO),
    ]
};

/// How much of a series is kept for a segmentation of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeptReference {
    /// Unique identifiers, and who the patient is: a PACS files the segmentation under them.
    #[default]
    Patient,
    /// Unique identifiers alone.
    Identifiers,
    /// Nothing: no DICOM SEG can be made.
    Nothing,
}

/// A series, as a segmentation of it names it. Its words for debugging say nothing of whom it is.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct SeriesReference {
    pub(super) study: String,
    pub(super) series: String,
    /// Nothing if the series has none.
    pub(super) frame_of_reference: Option<String>,
    /// By tag, as eight hexadecimal digits; empty where this is not kept.
    pub(super) patient: BTreeMap<String, String>,
    /// Columns and rows.
    pub(super) size: [usize; 2],
    /// Where columns and rows run to: unit vectors, LPS.
    pub(super) along: [[f64; 3]; 2],
    /// Distance of neighbouring columns, rows and slices, in mm.
    pub(super) spacing_mm: [f64; 3],
    /// In the order of the volume's planes.
    pub(super) images: Vec<ImageReference>,
}

impl SeriesReference {
    /// Unique identifiers of the study and of the series; they name no patient.
    pub fn identifiers(&self) -> (&str, &str) {
        (&self.study, &self.series)
    }
}

/// One slice of it.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct ImageReference {
    pub(super) class: String,
    pub(super) instance: String,
    /// Counted from 1; none if the file has no others.
    pub(super) frame: Option<u32>,
    /// Centre of the first pixel, mm, LPS.
    pub(super) position_mm: [f64; 3],
}

impl std::fmt::Debug for SeriesReference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SeriesReference of {} images", self.images.len())
    }
}

/// Reads what a segmentation of a series has to say of it; nothing where nothing is to be kept.
///
/// # Errors
/// As [`super::read_series`]; [`DicomError::Attribute`] for identifiers that are none.
pub fn read_reference(files: &[PathBuf], kept: KeptReference) -> Result<Option<SeriesReference>, ScanError> {
    if kept == KeptReference::Nothing {
        return Ok(None);
    }
    let heads = read_heads(files)?;
    let stack = stacks(heads.clone())?;
    let geometry = stack.geometry()?;
    let mut images = Vec::new();
    for slice in &stack.slices {
        let Some(head) = heads.iter().find(|head| head.file == slice.file) else { continue };
        let frames = head.slices.as_ref().map_or(1, Vec::len);
        images.push(ImageReference {
            class: uid(&head.file, "SOPClassUID", &head.class)?,
            instance: uid(&head.file, "SOPInstanceUID", &head.instance)?,
            frame: (frames > 1).then_some(slice.frame + 1),
            position_mm: slice.position,
        });
    }
    let first = &stack.slices[0];
    let object = open(&first.file, Part::Head)?;
    let said = |tag: Tag| Some(text(&object, tag)).filter(|text| !text.is_empty());
    let patient = if kept == KeptReference::Patient { &ABOUT_THE_PATIENT[..] } else { &[] };
    let patient = patient.iter().filter_map(|(tag, _)| Some((key(*tag), said(*tag)?))).collect();
    let frame_of_reference = said(tags::FRAME_OF_REFERENCE_UID);
    Ok(Some(SeriesReference {
        study: uid(&first.file, "StudyInstanceUID", &text(&object, tags::STUDY_INSTANCE_UID))?,
        series: uid(&first.file, "SeriesInstanceUID", &text(&object, tags::SERIES_INSTANCE_UID))?,
        frame_of_reference: frame_of_reference.map(|it| uid(&first.file, "FrameOfReferenceUID", &it)).transpose()?,
        patient,
        size: [first.columns, first.rows],
        along: first.along,
        spacing_mm: geometry.spacing_mm,
        images,
    }))
}

/// A tag as a key.
pub(super) fn key(tag: Tag) -> String {
    format!("{:04x}{:04x}", tag.group(), tag.element())
}

/// A unique identifier (PS3.5, 9.1), and nothing that only looks like one.
fn uid(file: &std::path::Path, attribute: &'static str, text: &str) -> Result<String, DicomError> {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if text.len() <= 64 && text.split('.').all(digits) {
        return Ok(text.to_owned());
    }
    Err(DicomError::Attribute { file: name(file), attribute })
}
