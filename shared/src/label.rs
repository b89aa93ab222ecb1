//! What a voxel can be: labels, their names and colours. Background is 0.

use serde::{Deserialize, Serialize};

/// A label as stored in segmentations; 0 is background.
pub type Label = u8;

/// The label of everything that is not segmented.
pub const BACKGROUND: Label = 0;

/// One foreground label of a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LabelInfo {
    /// Value in segmentations, 1 or more.
    pub value: Label,
    /// The anatomist's name.
    pub name: String,
    /// Colour as `#RRGGBB`.
    pub colour: String,
    /// What it is in the words of a coding scheme, for DICOM; none if nobody has said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<LabelCode>,
}

/// A concept of a coding scheme.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Code {
    /// The scheme, such as `SCT` (SNOMED CT) or `DCM`.
    pub scheme: String,
    /// The concept's code in it.
    pub value: String,
    /// The concept in words.
    pub meaning: String,
}

/// What a label is in coded words (DICOM PS3.3, C.8.20.2): a category, a type within it, and what narrows the type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LabelCode {
    /// Such as a tissue or a lesion; an anatomical structure if none is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<Code>,
    /// Such as the hippocampus.
    #[serde(rename = "type")]
    pub kind: Code,
    /// Such as left, or anterior.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modifier: Option<Code>,
}

impl Code {
    /// Whether DICOM can hold it: short codes, a meaning of one line (PS3.5, SH and LO).
    pub fn is_valid(&self) -> bool {
        let fits = |text: &str, most: usize| {
            !text.trim().is_empty()
                && text.chars().count() <= most
                && !text.chars().any(|c| c.is_control() || c == '\\')
        };
        fits(&self.scheme, 16) && fits(&self.value, 16) && fits(&self.meaning, 64)
    }
}

impl LabelCode {
    /// The category, in words where none is said.
    pub fn category(&self) -> Code {
        self.category.clone().unwrap_or_else(|| Code {
            scheme: "SCT".to_owned(),
            value: "91723000".to_owned(),
            meaning: "Anatomical Structure".to_owned(),
        })
    }

    /// Whether DICOM can hold all of it.
    pub fn is_valid(&self) -> bool {
        [self.category.as_ref(), Some(&self.kind), self.modifier.as_ref()].into_iter().flatten().all(Code::is_valid)
    }
}

impl LabelInfo {
    /// The colour as red, green, blue; grey if it cannot be read.
    pub fn rgb(&self) -> [u8; 3] {
        let hex = self.colour.strip_prefix('#').unwrap_or(&self.colour);
        let channel = |at: usize| hex.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
        match (channel(0), channel(2), channel(4)) {
            (Some(r), Some(g), Some(b)) if hex.len() == 6 => [r, g, b],
            _ => [128, 128, 128],
        }
    }
}

/// The foreground labels of a task, ascending by value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(transparent)]
pub struct LabelSet(pub Vec<LabelInfo>);

impl LabelSet {
    /// The label with this value; background has none.
    pub fn find(&self, value: Label) -> Option<&LabelInfo> {
        self.0.iter().find(|label| label.value == value)
    }

    /// Whether a voxel may hold this value: background, or one of the labels.
    pub fn allows(&self, value: Label) -> bool {
        value == BACKGROUND || self.find(value).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_read_as_hex() {
        fn check(colour: &str, expected: [u8; 3]) {
            assert_eq!(LabelInfo { value: 1, name: String::new(), colour: colour.into(), code: None }.rgb(), expected);
        }
        check("#E69F00", [0xE6, 0x9F, 0x00]);
        check("56B4E9", [0x56, 0xB4, 0xE9]);
        check("#12", [128; 3]);
        check("#xxyyzz", [128; 3]);
        check("#éabcd", [128; 3]);
    }
}
