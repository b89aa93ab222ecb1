//! What a segmentation says of each frame, and of all of them: functional groups and dimensions.

use dicom_core::VR;
use dicom_dictionary_std::tags;

use super::super::reference::{ImageReference, SeriesReference};
use super::elements::{Elements, dcm};

/// A frame that is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    /// The plane of the volume, from the first.
    pub(super) plane: usize,
    /// The segment that it shows; none if it shows all.
    pub(super) segment: Option<u16>,
    /// Whether the expert has corrected the whole plane.
    pub(super) corrected: bool,
}

/// What all frames share: orientation, sizes.
pub(super) fn shared(reference: &SeriesReference) -> Elements {
    let [columns, rows, slices] = reference.spacing_mm;
    let orientation = Elements::new().decimals(tags::IMAGE_ORIENTATION_PATIENT, reference.along.as_flattened());
    let measures = Elements::new()
        .decimals(tags::SLICE_THICKNESS, &[slices])
        .decimals(tags::SPACING_BETWEEN_SLICES, &[slices])
        .decimals(tags::PIXEL_SPACING, &[rows, columns]);
    Elements::new().item(tags::PLANE_ORIENTATION_SEQUENCE, orientation).item(tags::PIXEL_MEASURES_SEQUENCE, measures)
}

/// What is said of one frame: its place, the image that it was made from, its segment.
pub(super) fn own(frame: Frame, at: &[u32], reference: &SeriesReference) -> Elements {
    let image = &reference.images[frame.plane];
    let source = image_of(image)
        .text(tags::SPATIAL_LOCATIONS_PRESERVED, VR::CS, "YES")
        .code(tags::PURPOSE_OF_REFERENCE_CODE_SEQUENCE, &dcm("121322", "Source image for image processing operation"));
    let derivation = Elements::new()
        .item(tags::SOURCE_IMAGE_SEQUENCE, source)
        .code(tags::DERIVATION_CODE_SEQUENCE, &dcm("113076", "Segmentation"));
    let corrected = frame.corrected.then_some("Corrected by an expert");
    let content = Elements::new()
        .longs(tags::DIMENSION_INDEX_VALUES, at)
        .also(corrected, |content, words| content.text(tags::FRAME_COMMENTS, VR::LT, words));
    let position = Elements::new().decimals(tags::IMAGE_POSITION_PATIENT, &image.position_mm);
    Elements::new()
        .item(tags::DERIVATION_IMAGE_SEQUENCE, derivation)
        .item(tags::FRAME_CONTENT_SEQUENCE, content)
        .item(tags::PLANE_POSITION_SEQUENCE, position)
        .also(frame.segment, |groups, number| {
            let segment = Elements::new().number(tags::REFERENCED_SEGMENT_NUMBER, number);
            groups.item(tags::SEGMENT_IDENTIFICATION_SEQUENCE, segment)
        })
}

/// An image of the series.
pub(super) fn image_of(image: &ImageReference) -> Elements {
    Elements::new()
        .text(tags::REFERENCED_SOP_CLASS_UID, VR::UI, &image.class)
        .text(tags::REFERENCED_SOP_INSTANCE_UID, VR::UI, &image.instance)
        .also(image.frame, |image, frame| image.text(tags::REFERENCED_FRAME_NUMBER, VR::IS, frame.to_string()))
}

/// Says by what frames are told apart: their segment, if each shows one, and their place.
pub(super) fn with_dimensions(object: Elements, by_segment: bool, organisation: &str) -> Elements {
    let named = || Elements::new().text(tags::DIMENSION_ORGANIZATION_UID, VR::UI, organisation);
    let index = |pointer, group, label: &str| {
        named().tag(tags::DIMENSION_INDEX_POINTER, pointer).tag(tags::FUNCTIONAL_GROUP_POINTER, group).text(
            tags::DIMENSION_DESCRIPTION_LABEL,
            VR::LO,
            label,
        )
    };
    let (number, identification) = (tags::REFERENCED_SEGMENT_NUMBER, tags::SEGMENT_IDENTIFICATION_SEQUENCE);
    let segment = by_segment.then(|| index(number, identification, "Referenced Segment Number"));
    let place = index(tags::IMAGE_POSITION_PATIENT, tags::PLANE_POSITION_SEQUENCE, "Image Position Patient");
    object
        .item(tags::DIMENSION_ORGANIZATION_SEQUENCE, named())
        .items(tags::DIMENSION_INDEX_SEQUENCE, segment.into_iter().chain([place]).collect())
}
