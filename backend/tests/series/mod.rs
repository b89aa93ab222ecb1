//! A DICOM series to be written: any size, any direction, and a patient whose name must not get about.

use std::path::Path;

use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::{FileMetaTableBuilder, InMemDicomObject};

/// What of the patient stands in every file; nothing of it may stand anywhere else.
pub(crate) const CANARIES: [&str; 5] = ["CANARY^JANE", "PAT-CANARY-7", "19700131", "ACC-CANARY", "DR^CANARY"];

/// A series of 16-bit slices, in LPS.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    /// Columns, rows, slices.
    pub(crate) dims: [usize; 3],
    /// Of columns, rows, slices, in mm.
    pub(crate) spacing: [f64; 3],
    /// Where columns and rows run to.
    pub(crate) along: [[f64; 3]; 2],
    /// The first pixel.
    pub(crate) origin: [f64; 3],
}

impl Series {
    /// Slices that are tilted about the x axis by this angle, as those of heads are.
    pub(crate) fn tilted(dims: [usize; 3], angle: f64) -> Self {
        let along = [[1.0, 0.0, 0.0], [0.0, angle.cos(), angle.sin()]];
        Self { dims, spacing: [0.7, 0.9, 2.5], along, origin: [-41.3, 17.25, -300.125] }
    }

    fn normal(&self) -> [f64; 3] {
        let [a, b] = self.along;
        [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
    }

    /// Unique identifier of a slice.
    pub(crate) fn instance(z: usize) -> String {
        format!("1.2.826.0.1.77.{}", z + 1)
    }

    /// Writes a file a slice; names and instance numbers run against the order in space.
    pub(crate) fn write(&self, folder: &Path, pixel: impl Fn([usize; 3]) -> i16) {
        std::fs::create_dir_all(folder).unwrap();
        let slices = self.dims[2];
        for z in 0..slices {
            let meta = FileMetaTableBuilder::new().transfer_syntax(uids::EXPLICIT_VR_LITTLE_ENDIAN);
            let file = self.object(z, &pixel).with_meta(meta).unwrap();
            file.write_to_file(folder.join(format!("{:04}.dcm", slices - z))).unwrap();
        }
    }

    /// The z-th slice.
    pub(crate) fn object(&self, z: usize, pixel: impl Fn([usize; 3]) -> i16) -> InMemDicomObject {
        let [columns, rows, _] = self.dims;
        let position: [f64; 3] =
            std::array::from_fn(|axis| self.origin[axis] + z as f64 * self.spacing[2] * self.normal()[axis]);
        let pixels = (0..columns * rows).map(|at| pixel([at % columns, at / columns, z]).cast_unsigned()).collect();
        self.slice(z, position, pixels)
    }

    fn slice(&self, z: usize, position: [f64; 3], pixels: Vec<u16>) -> InMemDicomObject {
        let [columns, rows, slices] = self.dims;
        let mut object = InMemDicomObject::new_empty();
        let mut text = |tag: Tag, vr, value: &str| {
            object.put(DataElement::new(tag, vr, PrimitiveValue::from(value)));
        };
        let numbers = |values: &[f64]| {
            // Sixteen letters each, as the standard has it.
            let words: Vec<String> = values.iter().map(|v| format!("{v:.10}").chars().take(16).collect()).collect();
            words.join("\\")
        };
        text(tags::SPECIFIC_CHARACTER_SET, VR::CS, "ISO_IR 192");
        text(tags::SOP_CLASS_UID, VR::UI, uids::MR_IMAGE_STORAGE);
        text(tags::SOP_INSTANCE_UID, VR::UI, &Self::instance(z));
        text(tags::STUDY_INSTANCE_UID, VR::UI, "1.2.826.0.1.75");
        text(tags::SERIES_INSTANCE_UID, VR::UI, "1.2.826.0.1.76");
        text(tags::FRAME_OF_REFERENCE_UID, VR::UI, "1.2.826.0.1.78");
        text(tags::STUDY_DATE, VR::DA, "20240229");
        text(tags::STUDY_TIME, VR::TM, "101500");
        text(tags::STUDY_ID, VR::SH, "S1");
        text(tags::ACCESSION_NUMBER, VR::SH, CANARIES[3]);
        text(tags::REFERRING_PHYSICIAN_NAME, VR::PN, CANARIES[4]);
        text(tags::PATIENT_NAME, VR::PN, CANARIES[0]);
        text(tags::PATIENT_ID, VR::LO, CANARIES[1]);
        text(tags::PATIENT_BIRTH_DATE, VR::DA, CANARIES[2]);
        text(tags::PATIENT_SEX, VR::CS, "F");
        text(tags::MODALITY, VR::CS, "MR");
        text(tags::IMAGE_TYPE, VR::CS, "ORIGINAL\\PRIMARY");
        text(tags::INSTANCE_NUMBER, VR::IS, &(slices - z).to_string());
        text(tags::IMAGE_POSITION_PATIENT, VR::DS, &numbers(&position));
        text(tags::IMAGE_ORIENTATION_PATIENT, VR::DS, &numbers(self.along.as_flattened()));
        text(tags::PIXEL_SPACING, VR::DS, &numbers(&[self.spacing[1], self.spacing[0]]));
        text(tags::SLICE_THICKNESS, VR::DS, &numbers(&[self.spacing[2]]));
        text(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME2");
        let mut number = |tag: Tag, value: u16| {
            object.put(DataElement::new(tag, VR::US, PrimitiveValue::from(value)));
        };
        number(tags::SAMPLES_PER_PIXEL, 1);
        number(tags::ROWS, rows as u16);
        number(tags::COLUMNS, columns as u16);
        number(tags::BITS_ALLOCATED, 16);
        number(tags::BITS_STORED, 16);
        number(tags::HIGH_BIT, 15);
        number(tags::PIXEL_REPRESENTATION, 1);
        object.put(DataElement::new(tags::PIXEL_DATA, VR::OW, PrimitiveValue::U16(pixels.into())));
        object
    }
}
