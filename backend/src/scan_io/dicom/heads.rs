//! What a DICOM file says of its slices, without their pixels.

use std::path::{Path, PathBuf};

use dicom_dictionary_std::{tags, uids};
use dicom_object::{InMemDicomObject, Tag};
use rayon::prelude::*;

use super::object::{Part, open};
use super::{DicomError, name};

/// Explicit VR Big Endian, which is retired and still sent.
pub(super) const BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";

/// A file.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub(super) file: PathBuf,
    /// UID of its series; never shown.
    pub(super) series: String,
    /// Its SOP class and instance.
    pub(super) class: String,
    pub(super) instance: String,
    pub(super) modality: String,
    /// How its pixels are packed.
    pub(super) syntax: String,
    pub(super) is_localiser: bool,
    pub(super) samples: u16,
    pub(super) photometric: String,
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// Its frames as slices; nothing if they have no place.
    pub(super) slices: Option<Vec<Slice>>,
}

/// A plane of pixels.
#[derive(Clone, Debug)]
pub(super) struct Slice {
    pub(super) file: PathBuf,
    pub(super) frame: u32,
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// Centre of the first pixel, mm, LPS.
    pub(super) position: [f64; 3],
    /// Where columns and rows run to: unit vectors, LPS.
    pub(super) along: [[f64; 3]; 2],
    /// Distance of neighbouring columns and rows, in mm.
    pub(super) spacing: [f64; 2],
    /// Distance to the next slice as the file has it, in mm.
    pub(super) thickness: Option<f64>,
    pub(super) slope: f64,
    pub(super) intercept: f64,
    /// Whether small numbers are bright (MONOCHROME1).
    pub(super) inverted: bool,
}

/// Reads all files' heads, in their order.
pub(super) fn read_heads(files: &[PathBuf]) -> Result<Vec<Head>, DicomError> {
    files.par_iter().map(|file| read_head(file)).collect()
}

fn read_head(file: &Path) -> Result<Head, DicomError> {
    let object = open(file, Part::Head)?;
    let need = |attribute: &'static str| DicomError::Attribute { file: name(file), attribute };
    let rows = integer(&object, tags::ROWS).ok_or_else(|| need("Rows"))?;
    let columns = integer(&object, tags::COLUMNS).ok_or_else(|| need("Columns"))?;
    if object.get(tags::MODALITY_LUT_SEQUENCE).is_some() {
        return Err(need("rescale slope (it has a modality look-up table instead)"));
    }
    for (tag, attribute) in [(tags::RESCALE_SLOPE, "RescaleSlope"), (tags::RESCALE_INTERCEPT, "RescaleIntercept")] {
        let said = text(&object, tag);
        if !said.is_empty() && !said.parse::<f64>().is_ok_and(f64::is_finite) {
            return Err(need(attribute));
        }
    }
    let head = Head {
        file: file.to_owned(),
        series: text(&object, tags::SERIES_INSTANCE_UID),
        class: text(&object, tags::SOP_CLASS_UID),
        instance: text(&object, tags::SOP_INSTANCE_UID),
        modality: text(&object, tags::MODALITY),
        syntax: object.meta().transfer_syntax().trim_end_matches(['\0', ' ']).to_owned(),
        is_localiser: text(&object, tags::IMAGE_TYPE).to_uppercase().split('\\').any(|word| word == "LOCALIZER"),
        samples: integer(&object, tags::SAMPLES_PER_PIXEL).unwrap_or(1) as u16,
        photometric: text(&object, tags::PHOTOMETRIC_INTERPRETATION),
        rows,
        columns,
        slices: None,
    };
    let frames: u32 = match text(&object, tags::NUMBER_OF_FRAMES).as_str() {
        "" => 1,
        count => count.parse().ok().filter(|count| *count > 0).ok_or_else(|| need("NumberOfFrames"))?,
    };
    let frames = frames as usize;
    let shared = items(&object, tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE).first();
    let each = items(&object, tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE);
    if frames > 1 && each.len() != frames {
        // Frames without places of their own: a film.
        return Ok(head);
    }
    check_pixels(&head, &object, frames)?;
    let slices = (0..frames)
        .map(|frame| slice(&head, frame, Groups { object: &object, own: each.get(frame), shared }))
        .collect();
    Ok(Head { slices, ..head })
}

/// Refuses pixels that are stored as they are, and are more than the file holds: they would be made room for.
fn check_pixels(head: &Head, object: &InMemDicomObject, frames: usize) -> Result<(), DicomError> {
    let native = [uids::IMPLICIT_VR_LITTLE_ENDIAN, uids::EXPLICIT_VR_LITTLE_ENDIAN, BIG_ENDIAN];
    let bits = integer(object, tags::BITS_ALLOCATED).unwrap_or(0);
    let each = [head.rows, head.columns, usize::from(head.samples), bits];
    let bytes = each.into_iter().fold(frames as u128, |product, n| product.saturating_mul(n as u128)).div_ceil(8);
    let held = std::fs::metadata(&head.file).map_or(0, |data| u128::from(data.len()));
    if native.contains(&head.syntax.as_str()) && bytes > held {
        let why = format!("they take {bytes} bytes, and the file has {held}");
        return Err(DicomError::Pixels { file: name(&head.file), why });
    }
    Ok(())
}

/// Where a frame's attributes may stand: in its own functional groups, in those of all frames, or in the file itself.
#[derive(Clone, Copy)]
pub(super) struct Groups<'a> {
    pub(super) object: &'a InMemDicomObject,
    pub(super) own: Option<&'a InMemDicomObject>,
    pub(super) shared: Option<&'a InMemDicomObject>,
}

impl Groups<'_> {
    pub(super) fn floats(self, group: Tag, tag: Tag) -> Option<Vec<f64>> {
        let in_group = |groups: &InMemDicomObject| items(groups, group).first().and_then(|item| floats(item, tag));
        self.own.and_then(in_group).or_else(|| self.shared.and_then(in_group)).or_else(|| floats(self.object, tag))
    }
}

fn slice(head: &Head, frame: usize, groups: Groups<'_>) -> Option<Slice> {
    let three = |values: Vec<f64>| <[f64; 3]>::try_from(values).ok();
    let position = groups.floats(tags::PLANE_POSITION_SEQUENCE, tags::IMAGE_POSITION_PATIENT).and_then(three)?;
    let directions = groups
        .floats(tags::PLANE_ORIENTATION_SEQUENCE, tags::IMAGE_ORIENTATION_PATIENT)
        .filter(|six| six.len() == 6)?;
    let along =
        [unit([directions[0], directions[1], directions[2]])?, unit([directions[3], directions[4], directions[5]])?];
    let measure = |tag: Tag| groups.floats(tags::PIXEL_MEASURES_SEQUENCE, tag);
    // DICOM says rows first: the distance from one row to the next.
    let [between_rows, between_columns] =
        measure(tags::PIXEL_SPACING).and_then(|two| <[f64; 2]>::try_from(two).ok())?;
    let one =
        |values: Option<Vec<f64>>| values.and_then(|values| values.first().copied()).filter(|value| value.is_finite());
    let rescale = |tag: Tag| one(groups.floats(tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE, tag));
    let thickness = one(measure(tags::SPACING_BETWEEN_SLICES)).or_else(|| one(measure(tags::SLICE_THICKNESS)));
    let finite = position.iter().chain([&between_rows, &between_columns]).all(|value| value.is_finite());
    finite.then(|| Slice {
        file: head.file.clone(),
        frame: frame as u32,
        rows: head.rows,
        columns: head.columns,
        position,
        along,
        spacing: [between_columns, between_rows],
        thickness: thickness.map(f64::abs).filter(|mm| *mm > 0.0),
        slope: rescale(tags::RESCALE_SLOPE).filter(|slope| *slope != 0.0).unwrap_or(1.0),
        intercept: rescale(tags::RESCALE_INTERCEPT).unwrap_or(0.0),
        inverted: head.photometric == "MONOCHROME1",
    })
}

pub(super) fn unit(vector: [f64; 3]) -> Option<[f64; 3]> {
    let length = vector.iter().map(|v| v * v).sum::<f64>().sqrt();
    (length > 0.5 && length < 2.0).then(|| vector.map(|v| v / length))
}

pub(super) fn items(object: &InMemDicomObject, tag: Tag) -> &[InMemDicomObject] {
    object.get(tag).and_then(|element| element.items()).unwrap_or_default()
}

fn floats(object: &InMemDicomObject, tag: Tag) -> Option<Vec<f64>> {
    object.get(tag)?.to_multi_float64().ok()
}

pub(super) fn integer(object: &InMemDicomObject, tag: Tag) -> Option<usize> {
    object.get(tag)?.to_int::<u32>().ok().map(|n| n as usize)
}

pub(super) fn text(object: &InMemDicomObject, tag: Tag) -> String {
    object
        .get(tag)
        .and_then(|element| element.to_str().ok())
        .map(|text| text.trim_end_matches('\0').trim().to_owned())
        .unwrap_or_default()
}
