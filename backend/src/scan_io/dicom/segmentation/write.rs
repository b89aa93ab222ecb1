//! Labels as a DICOM SEG of the series that they were made from.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use dicom_core::value::PixelFragmentSequence;
use dicom_core::{DataElement, PrimitiveValue, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::FileMetaTableBuilder;
use shared::geometry::{Geometry, Plane};
use shared::label::Label;

use super::super::DicomError;
use super::super::object::chain;
use super::super::reference::{ABOUT_THE_PATIENT, ImageReference, key};
use super::content::{SegContent, SegKind};
use super::elements::{Elements, LO_LETTERS, MAKER, fitted};
use super::functional::{Frame, image_of, own, shared, with_dimensions};
use super::rle;
use super::segments::{numbers, segments};

/// The root of identifiers that are made of random numbers (PS3.5, B.2).
const UUID_ROOT: &str = "2.25";
/// Letters of an LT attribute.
const LT_LETTERS: usize = 10_240;

/// The bytes of the file.
///
/// # Errors
/// [`DicomError::Segmentation`] if the labels are none of the series, or what the encoder says.
pub fn encode_seg(content: &SegContent<'_>) -> Result<Vec<u8>, DicomError> {
    let frames = frames(content)?;
    let (class, syntax) = match content.kind {
        SegKind::Labelmap => (uids::LABEL_MAP_SEGMENTATION_STORAGE, uids::RLE_LOSSLESS),
        SegKind::Binary => (uids::SEGMENTATION_STORAGE, uids::EXPLICIT_VR_LITTLE_ENDIAN),
    };
    let mut object = about(content).text(tags::SOP_CLASS_UID, VR::UI, class);
    object = with_dimensions(object, content.kind == SegKind::Binary, &new_uid());
    object = functional(object, content, &frames);
    let mut object = picture(object, content, &frames).0;
    object.put(pixels(content, &frames));
    let meta = FileMetaTableBuilder::new().transfer_syntax(syntax);
    let why = |error: &dyn std::error::Error| DicomError::Segmentation { why: chain(error) };
    let mut bytes = Vec::new();
    let file = object.with_meta(meta).map_err(|error| why(&error))?;
    file.write_all(&mut bytes).map_err(|error| why(&error))?;
    Ok(bytes)
}

fn new_uid() -> String {
    format!("{UUID_ROOT}.{}", uuid::Uuid::new_v4().as_u128())
}

/// Frames that show something; the first plane's if there is none, since an object without frames is none.
fn frames(content: &SegContent<'_>) -> Result<Vec<Frame>, DicomError> {
    let SegContent { labels, reference, names, kind, .. } = content;
    let geometry = labels.geometry();
    let dims = [reference.size[0], reference.size[1], reference.images.len()];
    if geometry.dims != dims {
        let why = format!("the labels have {:?} voxels, the series {dims:?}", geometry.dims);
        return Err(DicomError::Segmentation { why });
    }
    if let Some(unknown) = labels.voxels().iter().find(|label| !names.allows(**label)) {
        return Err(DicomError::Segmentation { why: format!("label {unknown} is none of the task's") });
    }
    if names.0.is_empty() {
        return Err(DicomError::Segmentation { why: "there are no labels".to_owned() });
    }
    let corrected: Vec<usize> = planes_along(geometry, content.corrected).collect();
    let frame = |plane: usize, segment| Frame { plane, segment, corrected: corrected.contains(&plane) };
    let slices: Vec<&[Label]> = labels.voxels().chunks(dims[0] * dims[1]).collect();
    let mut frames: Vec<Frame> = match kind {
        SegKind::Labelmap => {
            let shown = (0..dims[2]).filter(|plane| slices[*plane].iter().any(|label| *label != 0));
            shown.map(|plane| frame(plane, None)).collect()
        }
        SegKind::Binary => {
            let shown = |(value, number): (Label, u16)| {
                let planes = (0..dims[2]).filter(|plane| slices[*plane].contains(&value)).collect::<Vec<_>>();
                planes.into_iter().map(move |plane| (plane, number))
            };
            numbers(content.names, content.kind)
                .into_iter()
                .flat_map(shown)
                .map(|(plane, number)| frame(plane, Some(number)))
                .collect()
        }
    };
    if frames.is_empty() {
        let segment = (*kind == SegKind::Binary).then_some(1);
        frames.push(frame(0, segment));
    }
    Ok(frames)
}

/// Which of these planes are slices of the series.
fn planes_along<'a>(geometry: &'a Geometry, planes: &'a [Plane]) -> impl Iterator<Item = usize> + 'a {
    planes.iter().filter(|plane| geometry.stored_axis(plane.axis) == 2).map(|plane| plane.index)
}

/// Everything beside the frames.
fn about(content: &SegContent<'_>) -> Elements {
    let SegContent { reference, algorithm, made, .. } = content;
    let (date, time) = (made.format("%Y%m%d").to_string(), made.format("%H%M%S").to_string());
    let mut object = Elements::new().text(tags::SPECIFIC_CHARACTER_SET, VR::CS, "ISO_IR 192");
    // Attributes of type 2 are there even if nothing is known.
    for (tag, vr) in ABOUT_THE_PATIENT {
        let said = reference.patient.get(&key(tag)).map(String::as_str).unwrap_or_default();
        if !said.is_empty() || is_needed(tag) {
            object = object.text(tag, vr, said);
        }
    }
    let description = format!("Segmentation by {} {}", algorithm.name, algorithm.version);
    let (corrected, images) = (corrected_words(content.corrected), &reference.images);
    let comment = (!content.corrected.is_empty()).then(|| fitted(&corrected, LT_LETTERS));
    let frame_of_reference = reference.frame_of_reference.clone().unwrap_or_else(new_uid);
    let series = Elements::new()
        .text(tags::SERIES_INSTANCE_UID, VR::UI, &reference.series)
        .items(tags::REFERENCED_INSTANCE_SEQUENCE, instances(images));
    object
        .text(tags::IMAGE_TYPE, VR::CS, "DERIVED\\PRIMARY")
        .text(tags::SOP_INSTANCE_UID, VR::UI, new_uid())
        .text(tags::INSTANCE_CREATION_DATE, VR::DA, &date)
        .text(tags::INSTANCE_CREATION_TIME, VR::TM, &time)
        .text(tags::CONTENT_DATE, VR::DA, &date)
        .text(tags::CONTENT_TIME, VR::TM, &time)
        .text(tags::SERIES_DATE, VR::DA, &date)
        .text(tags::SERIES_TIME, VR::TM, &time)
        .text(tags::MODALITY, VR::CS, "SEG")
        .text(tags::MANUFACTURER, VR::LO, MAKER)
        .text(tags::MANUFACTURER_MODEL_NAME, VR::LO, fitted(&algorithm.name, LO_LETTERS))
        .text(tags::DEVICE_SERIAL_NUMBER, VR::LO, "none")
        .text(tags::SOFTWARE_VERSIONS, VR::LO, env!("CARGO_PKG_VERSION"))
        .text(tags::STUDY_INSTANCE_UID, VR::UI, &reference.study)
        .text(tags::SERIES_INSTANCE_UID, VR::UI, new_uid())
        .text(tags::SERIES_NUMBER, VR::IS, "300")
        .text(tags::SERIES_DESCRIPTION, VR::LO, fitted(&description, LO_LETTERS))
        .text(tags::INSTANCE_NUMBER, VR::IS, "1")
        .text(tags::FRAME_OF_REFERENCE_UID, VR::UI, frame_of_reference)
        .text(tags::POSITION_REFERENCE_INDICATOR, VR::LO, "")
        .item(tags::REFERENCED_SERIES_SEQUENCE, series)
        .text(tags::CONTENT_LABEL, VR::CS, "SEGMENTATION")
        .text(tags::CONTENT_DESCRIPTION, VR::LO, fitted(&description, LO_LETTERS))
        .text(tags::CONTENT_CREATOR_NAME, VR::PN, "")
        .text(tags::LOSSY_IMAGE_COMPRESSION, VR::CS, "00")
        .also(comment, |object, words| object.text(tags::IMAGE_COMMENTS, VR::LT, words))
}

/// Attributes that must be there.
fn is_needed(tag: dicom_core::Tag) -> bool {
    ![
        tags::ISSUER_OF_PATIENT_ID,
        tags::PATIENT_IDENTITY_REMOVED,
        tags::DEIDENTIFICATION_METHOD,
        tags::STUDY_DESCRIPTION,
    ]
    .contains(&tag)
}

/// Each file once, however many frames it has.
fn instances(images: &[ImageReference]) -> Vec<Elements> {
    let mut seen = HashSet::new();
    let new = images.iter().filter(|image| seen.insert(&image.instance));
    new.map(|image| image_of(&ImageReference { frame: None, ..image.clone() })).collect()
}

/// Which planes an expert has corrected.
fn corrected_words(planes: &[Plane]) -> String {
    let words: Vec<String> = planes.iter().map(ToString::to_string).collect();
    format!("Corrected by an expert, counted from 0 in the volume: {}", words.join(", "))
}

fn functional(object: Elements, content: &SegContent<'_>, frames: &[Frame]) -> Elements {
    let planes: BTreeSet<usize> = frames.iter().map(|frame| frame.plane).collect();
    let place = |plane: usize| planes.iter().position(|other| *other == plane).unwrap_or_default() as u32 + 1;
    let groups = |frame: &Frame| {
        let at: Vec<u32> = frame.segment.map(u32::from).into_iter().chain([place(frame.plane)]).collect();
        own(*frame, &at, content.reference)
    };
    object
        .item(tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE, shared(content.reference))
        .items(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, frames.iter().map(groups).collect())
}

/// How pixels are laid out, and the segments.
fn picture(object: Elements, content: &SegContent<'_>, frames: &[Frame]) -> Elements {
    let [columns, rows] = content.reference.size;
    let (kind, bits) = match content.kind {
        SegKind::Labelmap => ("LABELMAP", 8),
        SegKind::Binary => ("BINARY", 1),
    };
    let padding = (content.kind == SegKind::Labelmap).then_some(0);
    object
        .number(tags::SAMPLES_PER_PIXEL, 1)
        .text(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME2")
        .text(tags::NUMBER_OF_FRAMES, VR::IS, frames.len().to_string())
        .number(tags::ROWS, rows as u16)
        .number(tags::COLUMNS, columns as u16)
        .number(tags::BITS_ALLOCATED, bits)
        .number(tags::BITS_STORED, bits)
        .number(tags::HIGH_BIT, bits - 1)
        .number(tags::PIXEL_REPRESENTATION, 0)
        .also(padding, |object, padding| object.number(tags::PIXEL_PADDING_VALUE, padding))
        .text(tags::PRESENTATION_LUT_SHAPE, VR::CS, "IDENTITY")
        .text(tags::SEGMENTATION_TYPE, VR::CS, kind)
        .text(tags::SEGMENTS_OVERLAP, VR::CS, "NO")
        .items(tags::SEGMENT_SEQUENCE, segments(content))
}

/// The frames' pixels.
fn pixels(content: &SegContent<'_>, frames: &[Frame]) -> DataElement<dicom_object::InMemDicomObject> {
    let [columns, rows] = content.reference.size;
    let slices: Vec<&[Label]> = content.labels.voxels().chunks(columns * rows).collect();
    if content.kind == SegKind::Labelmap {
        let fragments: Vec<Vec<u8>> = frames.iter().map(|frame| rle::encoded(slices[frame.plane], columns)).collect();
        // Where each begins behind the table: its own item's head and those before.
        let mut offsets = vec![0_u32];
        for fragment in &fragments[..fragments.len() - 1] {
            offsets.push(offsets[offsets.len() - 1] + fragment.len() as u32 + 8);
        }
        let fragments = PixelFragmentSequence::new(offsets, fragments);
        return DataElement::new(tags::PIXEL_DATA, VR::OB, fragments);
    }
    let values: BTreeMap<u16, Label> =
        numbers(content.names, content.kind).into_iter().map(|(value, number)| (number, value)).collect();
    // Bits follow one another over the ends of rows and frames, the first as the lowest.
    let mut bytes = vec![0_u8; (frames.len() * columns * rows).div_ceil(16) * 2];
    for (number, frame) in frames.iter().enumerate() {
        let value = frame.segment.and_then(|segment| values.get(&segment));
        for (at, label) in slices[frame.plane].iter().enumerate().filter(|(_, label)| Some(*label) == value) {
            let bit = number * columns * rows + at;
            bytes[bit / 8] |= u8::from(*label != 0) << (bit % 8);
        }
    }
    DataElement::new(tags::PIXEL_DATA, VR::OB, PrimitiveValue::from(bytes))
}
