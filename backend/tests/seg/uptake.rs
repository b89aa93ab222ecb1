//! PET series as standardised uptake: slice by slice, or refused by what they lack.

use std::path::Path;

use dicom_core::value::DataSetSequence;
use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::{FileMetaTableBuilder, InMemDicomObject};
use i3deep::scan_io::{Intensities, read_scan, read_scan_as};

use crate::series::{CANARIES, Series};

/// Three slices of PET, each with a slope of its own; `weight` is the patient's.
fn write(folder: &Path, weight: &str) {
    let series = Series::tilted([8, 6, 3], 0.2);
    std::fs::create_dir_all(folder).unwrap();
    for z in 0..3 {
        let mut image = series.object(z, |[x, y, z]| (x + 10 * y + 100 * z) as i16);
        let put = |object: &mut InMemDicomObject, tag: Tag, vr: VR, text: &str| {
            object.put(DataElement::new(tag, vr, PrimitiveValue::from(text)));
        };
        let mut agent = InMemDicomObject::new_empty();
        put(&mut agent, tags::RADIONUCLIDE_TOTAL_DOSE, VR::DS, "350000000");
        put(&mut agent, tags::RADIONUCLIDE_HALF_LIFE, VR::DS, "6586.2");
        put(&mut agent, tags::RADIOPHARMACEUTICAL_START_TIME, VR::TM, "091500");
        let items = DataSetSequence::from(vec![agent]);
        image.put(DataElement::new(tags::RADIOPHARMACEUTICAL_INFORMATION_SEQUENCE, VR::SQ, items));
        for (tag, vr, text) in [
            (tags::MODALITY, VR::CS, "PT"),
            (tags::UNITS, VR::CS, "BQML"),
            (tags::CORRECTED_IMAGE, VR::CS, "DECY\\ATTN"),
            (tags::DECAY_CORRECTION, VR::CS, "START"),
            (tags::PATIENT_WEIGHT, VR::DS, weight),
            (tags::SERIES_DATE, VR::DA, "20240229"),
            (tags::SERIES_TIME, VR::TM, "101500"),
            (tags::RESCALE_SLOPE, VR::DS, &format!("{}", z + 1)),
            (tags::RESCALE_INTERCEPT, VR::DS, "0"),
        ] {
            put(&mut image, tag, vr, text);
        }
        let meta = FileMetaTableBuilder::new().transfer_syntax(uids::EXPLICIT_VR_LITTLE_ENDIAN);
        image.with_meta(meta).unwrap().write_to_file(folder.join(format!("{z}.dcm"))).unwrap();
    }
}

#[test]
fn every_slice_is_multiplied_by_its_own_slope_and_the_dose() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "70");
    let stored = read_scan(folder.path()).unwrap().volume;
    let uptake = read_scan_as(folder.path(), Intensities::SuvBw).unwrap().volume;
    // By hand: 70,000 g / (350e6 Bq × 2^(−3600/6586.2)).
    let factor = 2.921_273_5e-4_f32;
    for (stored, uptake) in stored.voxels().iter().zip(uptake.voxels()) {
        assert!((stored * factor - uptake).abs() <= 1e-6 * uptake.abs(), "{stored} is {uptake}");
    }
    assert_eq!(stored.voxels()[2 * 48 + 9], 3.0 * 211.0);
}

#[test]
fn what_uptake_cannot_be_computed_of_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "");
    assert!(read_scan(folder.path()).is_ok());
    let words = read_scan_as(folder.path(), Intensities::SuvBw).unwrap_err().to_string();
    assert!(words.contains(".dcm has no usable PatientWeight, of which SUV is computed"), "{words}");
    assert!(CANARIES.iter().all(|canary| !words.contains(canary)), "{words}");
}
