//! A DICOM SEG as labels, on the grid of the frames that it has.

use std::path::{Path, PathBuf};

use dicom_dictionary_std::tags;
use dicom_object::{DefaultDicomObject, InMemDicomObject};
use dicom_pixeldata::PixelDecoder;
use shared::geometry::Geometry;

use super::super::heads::{BIG_ENDIAN, Groups, integer, items, text, unit};
use super::super::object::{Part, chain, open};
use super::super::series::{cross, dot};
use super::super::{DicomError, decoded, is_segmentation_class, name};
use crate::scan_io::nifti::{Raw, check_voxels, extents};
use crate::scan_io::raster::NamedSegment;
use crate::scan_io::voxels::{Decoded, zeros};
use crate::scan_io::{Origin, ScanError};

/// How far a frame may lie from its place, as a share of the slices' distance or of a pixel.
const TOLERANCE: f64 = 0.1;

/// A frame as it is placed.
struct Frame {
    /// Centre of the first pixel, mm, LPS.
    position: [f64; 3],
    /// Along the normal.
    height: f64,
    /// Which segment it shows, if it shows one.
    segment: Option<u16>,
}

/// Planes that all run one way.
struct Stack {
    along: [[f64; 3]; 2],
    /// Of columns, rows, planes, in mm.
    spacing: [f64; 3],
    frames: Vec<Frame>,
}

/// Reads the file of a segmentation. A file of some kilobytes can have two frames that lie thousands of planes apart:
/// room for `most_voxels` is made at most, four bytes each.
///
/// # Errors
/// [`DicomError`], also for files that hold intensities; [`ScanError`] for grids that are none.
pub(in crate::scan_io) fn read_segmentation(
    files: &[PathBuf],
    most_voxels: usize,
) -> Result<(Raw, Vec<NamedSegment>), ScanError> {
    let [file] = files else {
        return Err(bad("labels are in one file, and this is a folder of images"));
    };
    let object = open(file, Part::Whole)?;
    if !is_segmentation_class(&text(&object, tags::SOP_CLASS_UID)) {
        return Err(bad("it is a DICOM image, which holds intensities and no labels"));
    }
    let kind = text(&object, tags::SEGMENTATION_TYPE);
    if !matches!(kind.as_str(), "BINARY" | "LABELMAP") {
        return Err(bad(&format!("its type is {kind:?}; LABELMAP and BINARY can be read")));
    }
    let need = |what: &str| bad(&format!("it has no usable {what}"));
    let rows = integer(&object, tags::ROWS).ok_or_else(|| need("Rows"))?;
    let columns = integer(&object, tags::COLUMNS).ok_or_else(|| need("Columns"))?;
    let stack = stack(&object, kind == "BINARY")?;
    let (geometry, planes) = grid(&stack, columns, rows)?;
    if geometry.voxel_count() > most_voxels {
        let [x, y, z] = geometry.dims;
        return Err(bad(&format!(
            "its frames span {x} × {y} × {z} voxels, more than the {most_voxels} of the scan: it was made of another \
             one"
        )));
    }
    let segments = segments(&object)?;
    let mut values = zeros(geometry.voxel_count())?;
    let mut put = |frame: usize, pixels: &mut dyn Iterator<Item = (usize, u16)>| {
        let plane = &mut values[planes[frame] * rows * columns..][..rows * columns];
        for (at, value) in pixels.filter(|(_, value)| *value != 0) {
            let there = plane[at];
            if there != 0.0 && there != f32::from(value) {
                return Err(bad(&format!(
                    "segments {there} and {value} overlap in frame {}; a voxel can have one label here. Export them \
                     one by one",
                    frame + 1
                )));
            }
            plane[at] = f32::from(value);
        }
        Ok(())
    };
    if kind == "BINARY" {
        let bits = bits(&object, stack.frames.len() * rows * columns)?;
        for (number, frame) in stack.frames.iter().enumerate() {
            let segment = frame.segment.unwrap_or_default();
            let from = number * rows * columns;
            let is_set = |at: &usize| bits[(from + at) / 8] >> ((from + at) % 8) & 1 == 1;
            put(number, &mut (0..rows * columns).filter(is_set).map(|at| (at, segment)))?;
        }
    } else {
        let background = integer(&object, tags::PIXEL_PADDING_VALUE).unwrap_or(0) as u16;
        for number in 0..stack.frames.len() {
            let pixels = label_pixels(&object, file, number, rows * columns)?;
            let shown = |value: u16| if value == background { 0 } else { value };
            put(number, &mut pixels.into_iter().map(shown).enumerate())?;
        }
    }
    let origin = Origin::of_geometry(&geometry);
    Ok((Raw { origin, decoded: Decoded { values, too_large: None } }, segments))
}

fn bad(why: &str) -> ScanError {
    DicomError::Segmentation { why: why.to_owned() }.into()
}

/// Where the frames lie.
fn stack(object: &InMemDicomObject, by_segment: bool) -> Result<Stack, ScanError> {
    let each = items(object, tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE);
    let shared = items(object, tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE).first();
    let count = integer(object, tags::NUMBER_OF_FRAMES).unwrap_or(0);
    if count == 0 || each.len() != count {
        return Err(bad(&format!("it is to have {count} frame(s) and describes {}", each.len())));
    }
    let groups = |own: &InMemDicomObject, group, tag| Groups { object, own: Some(own), shared }.floats(group, tag);
    let no_place = || bad("a frame has no place in the patient");
    let orientation = |own: &InMemDicomObject| {
        let six = groups(own, tags::PLANE_ORIENTATION_SEQUENCE, tags::IMAGE_ORIENTATION_PATIENT)?;
        let [a, b, c, d, e, f] = <[f64; 6]>::try_from(six).ok()?;
        Some([unit([a, b, c])?, unit([d, e, f])?])
    };
    let along = orientation(&each[0]).ok_or_else(no_place)?;
    let alike = |other: [[f64; 3]; 2]| {
        along.as_flattened().iter().zip(other.as_flattened()).all(|(a, b)| (a - b).abs() <= 1e-3)
    };
    if !each.iter().all(|own| orientation(own).is_some_and(alike)) {
        return Err(bad("its frames have several orientations"));
    }
    let normal = cross(along[0], along[1]);
    let frame = |own: &InMemDicomObject| {
        let position = groups(own, tags::PLANE_POSITION_SEQUENCE, tags::IMAGE_POSITION_PATIENT)?;
        let position = <[f64; 3]>::try_from(position).ok().filter(|at| at.iter().all(|v| v.is_finite()))?;
        let identified = [Some(own), shared].into_iter().flatten();
        let segment = identified
            .filter_map(|groups| items(groups, tags::SEGMENT_IDENTIFICATION_SEQUENCE).first())
            .find_map(|item| integer(item, tags::REFERENCED_SEGMENT_NUMBER))
            .map(|number| number as u16);
        Some(Frame { position, height: dot(position, normal), segment })
    };
    let frames: Vec<Frame> = each.iter().map(frame).collect::<Option<_>>().ok_or_else(no_place)?;
    if by_segment && frames.iter().any(|frame| frame.segment.is_none_or(|number| number == 0)) {
        return Err(bad("a frame does not say which segment it shows"));
    }
    let measure = |tag| groups(&each[0], tags::PIXEL_MEASURES_SEQUENCE, tag).filter(|mm| !mm.is_empty());
    let no_size = || bad("it does not say how large a pixel is");
    let [rows, columns] =
        measure(tags::PIXEL_SPACING).and_then(|two| <[f64; 2]>::try_from(two).ok()).ok_or_else(no_size)?;
    let said = measure(tags::SPACING_BETWEEN_SLICES).or_else(|| measure(tags::SLICE_THICKNESS)).map(|mm| mm[0].abs());
    let step = distance(&frames, said);
    Ok(Stack { along, spacing: [columns, rows, step], frames })
}

/// The distance of neighbouring planes: what the file says if its frames lie on such planes, else that of the nearest
/// two.
fn distance(frames: &[Frame], said: Option<f64>) -> f64 {
    let mut heights: Vec<f64> = frames.iter().map(|frame| frame.height).collect();
    heights.sort_by(f64::total_cmp);
    let steps = || heights.windows(2).map(|pair| pair[1] - pair[0]).filter(|mm| *mm > 1e-3);
    let fits = |mm: &f64| *mm > 1e-3 && steps().all(|step| ((step / mm).round() * mm - step).abs() <= TOLERANCE * mm);
    said.filter(fits).or_else(|| steps().min_by(f64::total_cmp)).or(said.filter(|mm| *mm > 1e-3)).unwrap_or(1.0)
}

/// The grid from the lowest frame to the highest, and the plane of each frame.
fn grid(stack: &Stack, columns: usize, rows: usize) -> Result<(Geometry, Vec<usize>), ScanError> {
    let Stack { along, spacing, frames } = stack;
    let lowest = frames.iter().min_by(|a, b| a.height.total_cmp(&b.height)).ok_or_else(|| bad("it has no frames"))?;
    let normal = cross(along[0], along[1]);
    let mut planes = Vec::new();
    for (number, frame) in frames.iter().enumerate() {
        let at = (frame.height - lowest.height) / spacing[2];
        let straight: [f64; 3] =
            std::array::from_fn(|axis| lowest.position[axis] + (frame.height - lowest.height) * normal[axis]);
        let sideways = frame.position.iter().zip(straight).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
        if (at - at.round()).abs() > TOLERANCE || sideways > TOLERANCE * spacing[0].min(spacing[1]) {
            return Err(bad(&format!("frame {} lies between the others' planes, or beside them", number + 1)));
        }
        planes.push(at.round() as usize);
    }
    let count = planes.iter().max().map_or(1, |last| last + 1);
    let extent = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    let dims = extents([extent(columns), extent(rows), extent(count)])?;
    let [x, y, z] =
        [along[0].map(|v| v * spacing[0]), along[1].map(|v| v * spacing[1]), normal.map(|v| v * spacing[2])];
    let row = |axis: usize| {
        // DICOM's x and y run to the left and back.
        let sign = if axis < 2 { -1.0 } else { 1.0 };
        [x[axis], y[axis], z[axis], lowest.position[axis]].map(|v| sign * v)
    };
    let geometry = Geometry::new(dims, *spacing, [row(0), row(1), row(2)])?;
    check_voxels(&geometry)?;
    Ok((geometry, planes))
}

/// The segments by number, without the background.
fn segments(object: &InMemDicomObject) -> Result<Vec<NamedSegment>, ScanError> {
    let mut segments = Vec::new();
    for item in items(object, tags::SEGMENT_SEQUENCE) {
        let number = integer(item, tags::SEGMENT_NUMBER).ok_or_else(|| bad("a segment has no number"))?;
        let value = u8::try_from(number).map_err(|_| bad(&format!("segment {number} is beyond 255")))?;
        if value != 0 {
            segments.push(NamedSegment { value, name: text(item, tags::SEGMENT_LABEL) });
        }
    }
    Ok(segments)
}

/// A bit a pixel, as they stand in the file.
fn bits(object: &DefaultDicomObject, count: usize) -> Result<Vec<u8>, ScanError> {
    let encapsulated = || bad("its bits are compressed. Save it uncompressed, or as LABELMAP");
    if object.meta().transfer_syntax().trim_end_matches('\0') == BIG_ENDIAN {
        return Err(bad("its bits are in big-endian order. Save it in another transfer syntax"));
    }
    let element = object.get(tags::PIXEL_DATA).ok_or_else(|| bad("it has no pixels"))?;
    let bytes = element.to_bytes().map_err(|_| encapsulated())?.into_owned();
    if bytes.len() < count.div_ceil(8) {
        return Err(ScanError::Truncated { expected: count.div_ceil(8), got: bytes.len() });
    }
    Ok(bytes)
}

/// A frame of labels.
fn label_pixels(object: &DefaultDicomObject, file: &Path, frame: usize, count: usize) -> Result<Vec<u16>, ScanError> {
    let undecodable = |why: String| DicomError::Pixels { file: name(file), why };
    let decode = || object.decode_pixel_data_frame(frame as u32).map_err(|error| chain(&error));
    let pixels = decoded(file, decode)?;
    let size = usize::from(pixels.bits_allocated()) / 8;
    if !matches!(size, 1 | 2) || pixels.data().len() < count * size {
        return Err(undecodable(format!("{} bytes of {size} a pixel", pixels.data().len())).into());
    }
    let value = |bytes: &[u8]| u16::from_le_bytes([bytes[0], bytes.get(1).copied().unwrap_or(0)]);
    Ok(pixels.data().chunks_exact(size).take(count).map(value).collect())
}
