//! Files that no scanner writes: each is refused in words or read for what it is. None makes the reader panic, hang,
//! take memory for what a header claims, or say who the patient is.

use std::path::Path;
use std::time::{Duration, Instant};

use dicom_core::value::{DataSetSequence, PixelFragmentSequence};
use dicom_core::{DataElement, Length, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::{FileMetaTableBuilder, InMemDicomObject};
use i3deep::scan_io::{KeptReference, LabelFile, decode_here, is_dicom, read_reference, read_scan, series_files};

use crate::series::{CANARIES, Series};

/// What becomes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Refused with these words.
    Refused(&'static str),
    /// Read.
    Read,
}
use Fate::{Read, Refused};

type Change = Box<dyn Fn(&mut InMemDicomObject)>;

fn text(tag: Tag, vr: VR, value: &str) -> Change {
    let value = value.to_owned();
    Box::new(move |object| drop(object.put(DataElement::new(tag, vr, PrimitiveValue::from(value.as_str())))))
}

fn number(tag: Tag, value: u16) -> Change {
    Box::new(move |object| drop(object.put(DataElement::new(tag, VR::US, PrimitiveValue::from(value)))))
}

fn without(tag: Tag) -> Change {
    Box::new(move |object| {
        object.remove_element(tag);
    })
}

fn pixels(words: usize) -> Change {
    Box::new(move |object| {
        drop(object.put(DataElement::new(tags::PIXEL_DATA, VR::OW, PrimitiveValue::U16(vec![1; words].into()))));
    })
}

/// Sequences within sequences.
fn nested(depth: usize) -> Change {
    Box::new(move |object| {
        let mut inner = InMemDicomObject::new_empty();
        for _ in 0..depth {
            let mut outer = InMemDicomObject::new_empty();
            let items = DataSetSequence::new(vec![inner], Length::UNDEFINED);
            outer.put(DataElement::new(tags::REFERENCED_SERIES_SEQUENCE, VR::SQ, items));
            inner = outer;
        }
        let items = DataSetSequence::new(vec![inner], Length::UNDEFINED);
        object.put(DataElement::new(tags::REFERENCED_SERIES_SEQUENCE, VR::SQ, items));
    })
}

fn series() -> Series {
    Series::tilted([8, 6, 3], 0.2)
}

/// Writes three slices, the middle one changed and in this transfer syntax; then changes its bytes.
fn write(folder: &Path, change: &Change, syntax: &str, bytes: impl Fn(&mut Vec<u8>)) {
    let series = series();
    series.write(folder, |[x, y, z]| (x + y + z) as i16);
    let mut object = series.object(1, |[x, ..]| x as i16);
    change(&mut object);
    let meta = FileMetaTableBuilder::new()
        .transfer_syntax(syntax)
        .media_storage_sop_class_uid(uids::MR_IMAGE_STORAGE)
        .media_storage_sop_instance_uid("1.2.3");
    let file = folder.join("0002.dcm");
    let mut written = Vec::new();
    object.with_exact_meta(meta.build().unwrap()).write_all(&mut written).unwrap();
    bytes(&mut written);
    std::fs::write(file, written).unwrap();
}

#[track_caller]
fn check(name: &str, change: Change, fate: Fate) {
    check_bytes(name, change, uids::EXPLICIT_VR_LITTLE_ENDIAN, |_| {}, fate);
}

#[track_caller]
fn check_bytes(name: &str, change: Change, syntax: &str, bytes: impl Fn(&mut Vec<u8>), fate: Fate) {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &change, syntax, bytes);
    let begun = Instant::now();
    let outcome = read_scan(folder.path()).map(drop).map_err(|error| error.to_string());
    let _ = LabelFile::read(&folder.path().join("0002.dcm"));
    assert!(begun.elapsed() < Duration::from_secs(5), "{name}: took {:?}", begun.elapsed());
    if let Err(words) = &outcome {
        assert!(words.len() < 2000, "{name}: {words}");
        assert!(CANARIES.iter().all(|canary| !words.contains(canary)), "{name}: {words}");
        assert!(!words.chars().any(char::is_control), "{name}: {words:?}");
    }
    match (fate, &outcome) {
        (Read, Ok(())) => {}
        (Refused(words), Err(said)) if said.contains(words) => {}
        _ => panic!("{name}: {outcome:?} is not {fate:?}"),
    }
}

#[test]
fn numbers_that_cannot_be() {
    let huge = i32::MAX.to_string();
    for (name, change, fate) in [
        ("no rows", without(tags::ROWS), Refused("0002.dcm has no usable Rows")),
        ("no columns", without(tags::COLUMNS), Refused("has no usable Columns")),
        ("0 rows", number(tags::ROWS, 0), Refused("orientations or sizes")),
        ("65535 rows", number(tags::ROWS, 65535), Refused("they take 1048560 bytes, and the file has ")),
        ("65535 columns", number(tags::COLUMNS, 65535), Refused("they take 786420 bytes, and the file has ")),
        ("2^31 frames", text(tags::NUMBER_OF_FRAMES, VR::IS, &huge), Refused("0002.dcm have no position")),
        ("0 frames", text(tags::NUMBER_OF_FRAMES, VR::IS, "0"), Refused("has no usable NumberOfFrames")),
        ("-5 frames", text(tags::NUMBER_OF_FRAMES, VR::IS, "-5"), Refused("no usable NumberOfFrames")),
        ("frames in words", text(tags::NUMBER_OF_FRAMES, VR::IS, "many"), Refused("no usable NumberOfFrames")),
        ("0 bits", number(tags::BITS_ALLOCATED, 0), Refused("0002.dcm")),
        ("1 bit", number(tags::BITS_ALLOCATED, 1), Refused("0002.dcm")),
        ("12 bits allocated", number(tags::BITS_ALLOCATED, 12), Refused("0002.dcm")),
        ("64 bits", number(tags::BITS_ALLOCATED, 64), Refused("0002.dcm")),
        ("0 bits stored", number(tags::BITS_STORED, 0), Refused("pixels of 0 bits in 16")),
        ("33 bits stored", number(tags::BITS_STORED, 33), Refused("pixels of 33 bits in 16")),
        ("high bit 200", number(tags::HIGH_BIT, 200), Refused("0002.dcm")),
        ("high bit 65535", number(tags::HIGH_BIT, 65535), Refused("0002.dcm")),
        ("sign 7", number(tags::PIXEL_REPRESENTATION, 7), Refused("0002.dcm")),
        ("0 samples", number(tags::SAMPLES_PER_PIXEL, 0), Refused("hold colours")),
        ("3 samples", number(tags::SAMPLES_PER_PIXEL, 3), Refused("hold colours")),
        ("a palette", text(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "PALETTE COLOR"), Refused("hold colours")),
        ("no pixels", without(tags::PIXEL_DATA), Refused("0002.dcm")),
        ("empty pixels", pixels(0), Refused("0002.dcm")),
        ("half the pixels", pixels(24), Refused("0002.dcm")),
        ("slope NaN", text(tags::RESCALE_SLOPE, VR::DS, "NaN"), Refused("no usable RescaleSlope")),
        ("slope inf", text(tags::RESCALE_SLOPE, VR::DS, "inf"), Refused("no usable RescaleSlope")),
        ("slope in words", text(tags::RESCALE_SLOPE, VR::DS, "steep"), Refused("no usable RescaleSlope")),
        ("slope 1e300", text(tags::RESCALE_SLOPE, VR::DS, "1e300"), Refused("")),
        ("intercept 1e300", text(tags::RESCALE_INTERCEPT, VR::DS, "1e300"), Refused("")),
    ] {
        check(name, change, fate);
    }
}

#[test]
fn places_that_are_none() {
    let (position, orientation, spacing) =
        (tags::IMAGE_POSITION_PATIENT, tags::IMAGE_ORIENTATION_PATIENT, tags::PIXEL_SPACING);
    for (name, change, fate) in [
        ("no position", without(position), Refused("0002.dcm have no position")),
        ("two numbers", text(position, VR::DS, "1\\2"), Refused("0002.dcm have no position")),
        ("four numbers", text(position, VR::DS, "1\\2\\3\\4"), Refused("0002.dcm have no position")),
        ("NaN", text(position, VR::DS, "NaN\\0\\0"), Refused("0002.dcm have no position")),
        ("infinity", text(position, VR::DS, "inf\\0\\0"), Refused("0002.dcm have no position")),
        ("far away", text(position, VR::DS, "1e308\\1e308\\1e308"), Refused("")),
        ("letters", text(position, VR::DS, "a\\b\\c"), Refused("0002.dcm have no position")),
        ("no orientation", without(orientation), Refused("0002.dcm have no position")),
        ("zeros", text(orientation, VR::DS, "0\\0\\0\\0\\0\\0"), Refused("0002.dcm have no position")),
        ("parallel", text(orientation, VR::DS, "1\\0\\0\\1\\0\\0"), Refused("orientations or sizes")),
        ("five numbers", text(orientation, VR::DS, "1\\0\\0\\0\\1"), Refused("0002.dcm have no position")),
        ("directions NaN", text(orientation, VR::DS, "NaN\\0\\0\\0\\1\\0"), Refused("0002.dcm have no position")),
        ("spacing 0", text(spacing, VR::DS, "0\\0"), Refused("orientations or sizes")),
        ("spacing -1", text(spacing, VR::DS, "-1\\-1"), Refused("orientations or sizes")),
        ("spacing NaN", text(spacing, VR::DS, "NaN\\NaN"), Refused("0002.dcm have no position")),
        ("spacing 1e300", text(spacing, VR::DS, "1e300\\1e300"), Refused("orientations or sizes")),
        ("no spacing", without(spacing), Refused("0002.dcm have no position")),
        ("thickness -1", text(tags::SLICE_THICKNESS, VR::DS, "-1"), Read),
    ] {
        check(name, change, fate);
    }
}

#[test]
fn texts_that_lead_elsewhere() {
    let long = "9".repeat(4000);
    let canary_block: Change = Box::new(|object| {
        let creator = PrimitiveValue::from("CANARY PRIVATE");
        object.put(DataElement::new(Tag(0x0009, 0x0010), VR::LO, creator));
        object.put(DataElement::new(Tag(0x0009, 0x1001), VR::LO, PrimitiveValue::from(CANARIES[0])));
    });
    let films: Change = Box::new(|object| {
        let items = DataSetSequence::new(vec![InMemDicomObject::new_empty(); 1000], Length::UNDEFINED);
        object.put(DataElement::new(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, VR::SQ, items));
    });
    let table: Change = Box::new(|object| {
        let items = DataSetSequence::new(vec![InMemDicomObject::new_empty()], Length::UNDEFINED);
        object.put(DataElement::new(tags::MODALITY_LUT_SEQUENCE, VR::SQ, items));
    });
    for (name, change, fate) in [
        ("a path for a series", text(tags::SERIES_INSTANCE_UID, VR::UI, "../../etc/passwd"), Refused("2 series")),
        ("a path for an image", text(tags::SOP_INSTANCE_UID, VR::UI, "../../etc/passwd"), Read),
        ("a long identifier", text(tags::SOP_INSTANCE_UID, VR::UI, &long), Read),
        ("an unknown character set", text(tags::SPECIFIC_CHARACTER_SET, VR::CS, "ISO_IR 999"), Read),
        ("sets that are switched", text(tags::SPECIFIC_CHARACTER_SET, VR::CS, "\\ISO 2022 IR 87"), Read),
        ("escapes", text(tags::PATIENT_NAME, VR::PN, "\u{1b}$B\u{1b}(J\u{1b}[31mCANARY^JANE"), Read),
        ("markup", text(tags::MODALITY, VR::CS, "<script>"), Read),
        ("private attributes", canary_block, Read),
        ("a table of intensities", table, Refused("modality look-up table")),
        ("a thousand frames that are not there", films, Read),
        ("sequences in sequences", nested(60), Read),
        ("labels", text(tags::SOP_CLASS_UID, VR::UI, uids::SEGMENTATION_STORAGE), Refused("labels and no scan")),
    ] {
        check(name, change, fate);
    }
}

#[test]
fn pixels_that_are_packed_wrongly() {
    decode_here();
    let garbage = |bytes: Vec<u8>| -> Change {
        Box::new(move |object| {
            let fragments = PixelFragmentSequence::new(vec![0_u32], vec![bytes.clone()]);
            object.put(DataElement::new(tags::PIXEL_DATA, VR::OB, fragments));
        })
    };
    let noise: Vec<u8> = (0..512_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let mut endless = vec![0; 64];
    endless[0] = 255;
    for (name, bytes, syntax) in [
        ("RLE of noise", noise.clone(), uids::RLE_LOSSLESS),
        ("RLE of nothing", Vec::new(), uids::RLE_LOSSLESS),
        ("RLE of 255 segments", endless, uids::RLE_LOSSLESS),
        ("JPEG of noise", noise.clone(), "1.2.840.10008.1.2.4.50"),
        ("lossless JPEG of noise", noise.clone(), "1.2.840.10008.1.2.4.70"),
        ("JPEG-LS", noise.clone(), "1.2.840.10008.1.2.4.80"),
        ("JPEG 2000", noise.clone(), "1.2.840.10008.1.2.4.90"),
        ("HTJ2K", noise.clone(), "1.2.840.10008.1.2.4.201"),
    ] {
        check_bytes(name, garbage(bytes), syntax, |_| {}, Refused("0002.dcm"));
    }
}

#[test]
fn bytes_that_are_cut_or_turned() {
    let nothing = || -> Change { Box::new(|_| {}) };
    let explicit = uids::EXPLICIT_VR_LITTLE_ENDIAN;
    for keep in [0_usize, 1, 100, 132, 140, 200, 400, 700, 1000] {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &nothing(), explicit, |bytes| bytes.truncate(keep));
        // What does not begin as DICOM does is none of the series's files; then a slice is missing.
        let fate = read_scan(folder.path()).map(drop).map_err(|error| error.to_string());
        let is_one = is_dicom(&folder.path().join("0002.dcm"));
        assert!(fate.as_ref().is_err_and(|words| words.contains("0002.dcm")) == is_one, "{keep}: {fate:?}");
    }
    for at in (132..1500).step_by(11) {
        for value in [0, 0x7f, 0xff] {
            let folder = tempfile::tempdir().unwrap();
            write(folder.path(), &nothing(), explicit, |bytes| {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = value;
                }
            });
            let begun = Instant::now();
            let said = read_scan(folder.path()).map(drop).map_err(|error| error.to_string());
            assert!(begun.elapsed() < Duration::from_secs(5), "byte {at} as {value} took {:?}", begun.elapsed());
            let words = said.err().unwrap_or_default();
            assert!(CANARIES.iter().all(|canary| !words.contains(canary)), "byte {at} as {value}: {words}");
        }
    }
}

#[test]
fn identifiers_that_are_none_make_no_reference() {
    for value in ["../../etc/passwd", "1.2.3/..", "1..2", "", "1.2.x", &"1.".repeat(40)] {
        let folder = tempfile::tempdir().unwrap();
        let change = text(tags::SOP_INSTANCE_UID, VR::UI, value);
        write(folder.path(), &change, uids::EXPLICIT_VR_LITTLE_ENDIAN, |_| {});
        let words = read_reference(&series_files(folder.path()), KeptReference::Patient).unwrap_err().to_string();
        assert!(words.contains("0002.dcm has no usable SOPInstanceUID"), "{value:?}: {words}");
    }
}
