//! Attributes put into a data set, a line each.

use dicom_core::value::DataSetSequence;
use dicom_core::{DataElement, Length, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;
use shared::label::Code;

/// Who makes the object.
pub(super) const MAKER: &str = "i3Deep";
/// Letters of an LO attribute.
pub(super) const LO_LETTERS: usize = 64;

/// Data that is being put together.
pub(super) struct Elements(pub(super) InMemDicomObject);

impl Elements {
    pub(super) fn new() -> Self {
        Self(InMemDicomObject::new_empty())
    }

    pub(super) fn text(mut self, tag: Tag, vr: VR, value: impl Into<String>) -> Self {
        self.0.put(DataElement::new(tag, vr, PrimitiveValue::from(value.into())));
        self
    }

    pub(super) fn number(mut self, tag: Tag, value: u16) -> Self {
        self.0.put(DataElement::new(tag, VR::US, PrimitiveValue::from(value)));
        self
    }

    pub(super) fn longs(mut self, tag: Tag, values: &[u32]) -> Self {
        self.0.put(DataElement::new(tag, VR::UL, PrimitiveValue::U32(values.iter().copied().collect())));
        self
    }

    pub(super) fn tag(mut self, tag: Tag, value: Tag) -> Self {
        self.0.put(DataElement::new(tag, VR::AT, PrimitiveValue::Tags([value].into_iter().collect())));
        self
    }

    /// Decimal strings.
    pub(super) fn decimals(self, tag: Tag, values: &[f64]) -> Self {
        let words: Vec<String> = values.iter().map(|value| decimal(*value)).collect();
        self.text(tag, VR::DS, words.join("\\"))
    }

    pub(super) fn items(mut self, tag: Tag, items: Vec<Elements>) -> Self {
        let items: Vec<InMemDicomObject> = items.into_iter().map(|item| item.0).collect();
        self.0.put(DataElement::new(tag, VR::SQ, DataSetSequence::new(items, Length::UNDEFINED)));
        self
    }

    pub(super) fn item(self, tag: Tag, item: Elements) -> Self {
        self.items(tag, vec![item])
    }

    pub(super) fn code(self, tag: Tag, code: &Code) -> Self {
        self.item(tag, Self::coded(code))
    }

    /// The attributes of a coded concept.
    pub(super) fn coded(code: &Code) -> Self {
        Self::new()
            .text(tags::CODE_VALUE, VR::SH, &code.value)
            .text(tags::CODING_SCHEME_DESIGNATOR, VR::SH, &code.scheme)
            .text(tags::CODE_MEANING, VR::LO, &code.meaning)
    }

    /// The colour that viewers should show a segment in.
    pub(super) fn colour(mut self, cielab: [u16; 3]) -> Self {
        let value = PrimitiveValue::U16(cielab.into_iter().collect());
        self.0.put(DataElement::new(tags::RECOMMENDED_DISPLAY_CIE_LAB_VALUE, VR::US, value));
        self
    }

    /// With more, if there is any.
    pub(super) fn also<T>(self, value: Option<T>, put: impl FnOnce(Self, T) -> Self) -> Self {
        match value {
            Some(value) => put(self, value),
            None => self,
        }
    }
}

/// A code of DICOM's own scheme.
pub(super) fn dcm(value: &str, meaning: &str) -> Code {
    Code { scheme: "DCM".to_owned(), value: value.to_owned(), meaning: meaning.to_owned() }
}

/// A number in the 16 letters that a decimal string has (PS3.5, 6.2), as near as they allow.
pub(super) fn decimal(value: f64) -> String {
    const LETTERS: usize = 16;
    let shortest = value.to_string();
    if shortest.len() <= LETTERS {
        return shortest;
    }
    let fixed = (0..LETTERS).rev().map(|digits| format!("{value:.digits$}")).find(|text| text.len() <= LETTERS);
    let scientific = (0..LETTERS).rev().map(|digits| format!("{value:.digits$e}")).find(|text| text.len() <= LETTERS);
    let error = |text: &String| text.parse::<f64>().map_or(f64::INFINITY, |read| (read - value).abs());
    fixed.into_iter().chain(scientific).min_by(|a, b| error(a).total_cmp(&error(b))).unwrap_or(shortest)
}

/// Text cut to what an attribute holds, without what would end or split it.
pub(super) fn fitted(text: &str, letters: usize) -> String {
    text.chars()
        .map(|c| if c.is_control() || c == '\\' { ' ' } else { c })
        .take(letters)
        .collect::<String>()
        .trim()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_have_sixteen_letters() {
        fn check(value: f64, expected: &str) {
            assert_eq!(decimal(value), expected);
        }
        check(0.5, "0.5");
        check(-186.371, "-186.371");
        check(1.0 / 3.0, "0.33333333333333");
        check(-0.666_666_686_534_882, "-0.6666666865349");
        check(1.234_567_890_123_4e-9, "1.23456789012e-9");
    }

    proptest::proptest! {
        #[test]
        fn decimals_are_as_near_as_they_can_be(value in -1e4_f64..1e4) {
            let text = decimal(value);
            proptest::prop_assert!(text.len() <= 16, "{}", text);
            let read: f64 = text.parse().unwrap();
            proptest::prop_assert!((read - value).abs() <= 1e-9, "{} is {}", value, text);
        }
    }
}
