//! The segments of a segmentation: names, codes, colours, and what made them.

use std::collections::BTreeMap;

use dicom_core::VR;
use dicom_dictionary_std::tags;
use shared::label::{Code, Label, LabelCode, LabelInfo, LabelSet};

use super::content::{Algorithm, SegContent, SegKind};
use super::elements::{Elements, LO_LETTERS, MAKER, dcm, fitted};

/// The number of each label's segment: its value, or, where values leave numbers out, its place among them, since the
/// segments of BINARY are numbered without gaps.
pub(super) fn numbers(names: &LabelSet, kind: SegKind) -> BTreeMap<Label, u16> {
    let number = |at: usize, label: &LabelInfo| match kind {
        SegKind::Labelmap => u16::from(label.value),
        SegKind::Binary => at as u16 + 1,
    };
    names.0.iter().enumerate().map(|(at, label)| (label.value, number(at, label))).collect()
}

/// The segments, with the background of a LABELMAP.
pub(super) fn segments(content: &SegContent<'_>) -> Vec<Elements> {
    let numbers = numbers(content.names, content.kind);
    let segment = |label: &LabelInfo| {
        let code = label.code.clone().unwrap_or_else(|| uncoded(label));
        described(content, numbers[&label.value], &label.name, &code)
            .items(tags::SEGMENTATION_ALGORITHM_IDENTIFICATION_SEQUENCE, vec![algorithm(content.algorithm)])
            .colour(cielab(label))
    };
    let background = dcm("125040", "Background");
    let background = LabelCode { category: Some(background.clone()), kind: background, modifier: None };
    let background = (content.kind == SegKind::Labelmap).then(|| described(content, 0, "Background", &background));
    background.into_iter().chain(content.names.0.iter().map(segment)).collect()
}

fn described(content: &SegContent<'_>, number: u16, name: &str, code: &LabelCode) -> Elements {
    let by = if content.corrected.is_empty() { "AUTOMATIC" } else { "SEMIAUTOMATIC" };
    let label = fitted(name, LO_LETTERS);
    let label = if label.is_empty() { format!("Segment {number}") } else { label };
    let mut kind = Elements::coded(&code.kind);
    if let Some(modifier) = &code.modifier {
        kind = kind.code(tags::SEGMENTED_PROPERTY_TYPE_MODIFIER_CODE_SEQUENCE, modifier);
    }
    Elements::new()
        .number(tags::SEGMENT_NUMBER, number)
        .text(tags::SEGMENT_LABEL, VR::LO, label)
        .text(tags::SEGMENT_ALGORITHM_TYPE, VR::CS, by)
        .text(tags::SEGMENT_ALGORITHM_NAME, VR::LO, fitted(&content.algorithm.name, LO_LETTERS))
        .code(tags::SEGMENTED_PROPERTY_CATEGORY_CODE_SEQUENCE, &code.category())
        .item(tags::SEGMENTED_PROPERTY_TYPE_CODE_SEQUENCE, kind)
}

/// What stands for a code that nobody has given: a private one, named as the label is.
fn uncoded(label: &LabelInfo) -> LabelCode {
    let meaning = fitted(&label.name, LO_LETTERS);
    let meaning = if meaning.is_empty() { format!("Label {}", label.value) } else { meaning };
    let kind = Code { scheme: "99I3DEEP".to_owned(), value: format!("LABEL{}", label.value), meaning };
    LabelCode { category: None, kind, modifier: None }
}

fn algorithm(algorithm: &Algorithm) -> Elements {
    Elements::new()
        .code(tags::ALGORITHM_FAMILY_CODE_SEQUENCE, &dcm("123110", "Artificial Intelligence"))
        .text(tags::ALGORITHM_NAME, VR::LO, fitted(&algorithm.name, LO_LETTERS))
        .text(tags::ALGORITHM_VERSION, VR::LO, fitted(&algorithm.version, LO_LETTERS))
        .text(tags::ALGORITHM_SOURCE, VR::LO, MAKER)
}

/// The colour as DICOM has it (PS3.3, C.10.7.1.1): CIELab for D50, each channel as 16 bits.
fn cielab(label: &LabelInfo) -> [u16; 3] {
    let linear = label.rgb().map(|channel| {
        let value = f64::from(channel) / 255.0;
        if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    });
    // sRGB to XYZ, adapted to D50 by Bradford's method; white of D50.
    const TO_XYZ: [[f64; 3]; 3] = [
        [0.436_074_7, 0.385_064_9, 0.143_080_4],
        [0.222_504_5, 0.716_878_6, 0.060_616_9],
        [0.013_932_2, 0.097_104_5, 0.714_173_3],
    ];
    const WHITE: [f64; 3] = [0.964_22, 1.0, 0.825_21];
    let [x, y, z] = [0, 1, 2].map(|row| {
        let value = TO_XYZ[row].iter().zip(linear).map(|(a, b)| a * b).sum::<f64>() / WHITE[row];
        if value > 216.0 / 24389.0 { value.cbrt() } else { (24389.0 / 27.0 * value + 16.0) / 116.0 }
    });
    let scaled = |value: f64, low: f64, span: f64| ((value - low) / span * 65535.0).round().clamp(0.0, 65535.0) as u16;
    [
        scaled(116.0 * y - 16.0, 0.0, 100.0),
        scaled(500.0 * (x - y), -128.0, 255.0),
        scaled(200.0 * (y - z), -128.0, 255.0),
    ]
}
