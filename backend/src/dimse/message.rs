//! Commands of DIMSE (PS3.7, 9.3 and E), as far as a receiver needs them.

use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;
use dicom_transfer_syntax_registry::entries::IMPLICIT_VR_LITTLE_ENDIAN;

/// There is no data set behind the command.
const NO_DATA_SET: u16 = 0x0101;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// Whether anybody is there.
    Echo {
        /// Its number.
        message: u16,
    },
    /// To store the object that follows.
    Store(Store),
    /// Something else.
    Other,
}

/// A request to store an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Store {
    /// Its number.
    pub(super) message: u16,
    /// The object's SOP class.
    pub(super) class: String,
    /// The object.
    pub(super) instance: String,
}

/// How storing went (PS3.4, table B.2-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// It is here.
    Success = 0x0000,
    /// No room for it.
    OutOfResources = 0xA700,
    /// It is not what it is said to be.
    DoesNotMatch = 0xA900,
    /// It cannot be read.
    CannotUnderstand = 0xC000,
}

impl Command {
    /// Reads a command set.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let command = command_set(bytes)?;
        let number = |tag: Tag| command.get(tag)?.to_int::<u16>().ok();
        let text = |tag: Tag| {
            let text = command.get(tag)?.to_str().ok()?;
            Some(text.trim_end_matches(['\0', ' ']).to_owned())
        };
        let message = number(tags::MESSAGE_ID)?;
        Some(match number(tags::COMMAND_FIELD)? {
            0x0030 => Self::Echo { message },
            0x0001 if number(tags::COMMAND_DATA_SET_TYPE)? != NO_DATA_SET => {
                let (class, instance) = (text(tags::AFFECTED_SOP_CLASS_UID)?, text(tags::AFFECTED_SOP_INSTANCE_UID)?);
                Self::Store(Store { message, class, instance })
            }
            _ => Self::Other,
        })
    }
}

/// The answer to [`Command::Echo`].
pub(super) fn echoed(message: u16) -> Result<Vec<u8>, String> {
    let class = dicom_dictionary_std::uids::VERIFICATION;
    written(&[(tags::AFFECTED_SOP_CLASS_UID, class)], 0x8030, message, Status::Success)
}

/// The answer to [`Command::Store`].
pub(super) fn stored(store: &Store, status: Status) -> Result<Vec<u8>, String> {
    let names = [
        (tags::AFFECTED_SOP_CLASS_UID, store.class.as_str()),
        (tags::AFFECTED_SOP_INSTANCE_UID, store.instance.as_str()),
    ];
    written(&names, 0x8001, store.message, status)
}

/// The request to store an object that follows (PS3.7, 9.3.1.1).
pub(super) fn asked(store: &Store) -> Result<Vec<u8>, String> {
    const MEDIUM: u16 = 0;
    const A_DATA_SET: u16 = 1;
    let number = |tag: Tag, value: u16| DataElement::new(tag, VR::US, PrimitiveValue::from(value));
    let text = |tag: Tag, value: &str| DataElement::new(tag, VR::UI, PrimitiveValue::from(value));
    bytes([
        text(tags::AFFECTED_SOP_CLASS_UID, &store.class),
        number(tags::COMMAND_FIELD, 0x0001),
        number(tags::MESSAGE_ID, store.message),
        number(tags::PRIORITY, MEDIUM),
        number(tags::COMMAND_DATA_SET_TYPE, A_DATA_SET),
        text(tags::AFFECTED_SOP_INSTANCE_UID, &store.instance),
    ])
}

/// The status of an answer to [`asked`].
pub(super) fn answered(bytes: &[u8]) -> Option<u16> {
    command_set(bytes)?.get(tags::STATUS)?.to_int::<u16>().ok()
}

/// The elements of a command set (PS3.7, 6.3.1): those of group 0, none of which holds others. What else came would be
/// built by a parser that calls itself for sequences within sequences.
fn command_set(bytes: &[u8]) -> Option<InMemDicomObject> {
    let mut left = bytes;
    while let Some(([0, 0, _, _, length @ ..], behind)) = left.split_first_chunk::<8>() {
        left = behind.get(u32::from_le_bytes(*length) as usize..)?;
    }
    left.is_empty().then(|| InMemDicomObject::read_dataset_with_ts(bytes, &IMPLICIT_VR_LITTLE_ENDIAN.erased()).ok())?
}

fn bytes(elements: impl IntoIterator<Item = DataElement<InMemDicomObject>>) -> Result<Vec<u8>, String> {
    let command = InMemDicomObject::command_from_element_iter(elements);
    let mut bytes = Vec::new();
    let outcome = command.write_dataset_with_ts(&mut bytes, &IMPLICIT_VR_LITTLE_ENDIAN.erased());
    outcome.map(|()| bytes).map_err(|error| error.to_string())
}

fn written(names: &[(Tag, &str)], field: u16, message: u16, status: Status) -> Result<Vec<u8>, String> {
    let number = |tag: Tag, value: u16| DataElement::new(tag, VR::US, PrimitiveValue::from(value));
    let names = names.iter().map(|(tag, name)| DataElement::new(*tag, VR::UI, PrimitiveValue::from(*name)));
    let numbers = [
        number(tags::COMMAND_FIELD, field),
        number(tags::MESSAGE_ID_BEING_RESPONDED_TO, message),
        number(tags::COMMAND_DATA_SET_TYPE, NO_DATA_SET),
        number(tags::STATUS, status as u16),
    ];
    bytes(names.chain(numbers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_told_apart() {
        let store = Store { message: 7, class: "1.2".into(), instance: "1.2.3".into() };
        let request = |field: u16, data: u16| {
            let number = |tag: Tag, value: u16| DataElement::new(tag, VR::US, PrimitiveValue::from(value));
            let text = |tag: Tag, value: &str| DataElement::new(tag, VR::UI, PrimitiveValue::from(value));
            let command = InMemDicomObject::command_from_element_iter([
                text(tags::AFFECTED_SOP_CLASS_UID, "1.2"),
                number(tags::COMMAND_FIELD, field),
                number(tags::MESSAGE_ID, 7),
                number(tags::COMMAND_DATA_SET_TYPE, data),
                text(tags::AFFECTED_SOP_INSTANCE_UID, "1.2.3"),
            ]);
            let mut bytes = Vec::new();
            command.write_dataset_with_ts(&mut bytes, &IMPLICIT_VR_LITTLE_ENDIAN.erased()).unwrap();
            bytes
        };
        let check = |bytes: &[u8], expected: Option<Command>| assert_eq!(Command::read(bytes), expected);
        check(&request(0x0001, 0), Some(Command::Store(store)));
        check(&request(0x0001, NO_DATA_SET), Some(Command::Other));
        check(&request(0x0030, NO_DATA_SET), Some(Command::Echo { message: 7 }));
        check(&request(0x0020, 0), Some(Command::Other));
        check(b"nothing of the kind", None);
        check(b"", None);
        // Sequences within sequences, which would take this process along.
        let deep = b"\x08\0\x15\x11\xff\xff\xff\xff\xfe\xff\0\xe0\xff\xff\xff\xff".repeat(100_000);
        check(&deep, None);
        check(&[request(0x0030, NO_DATA_SET), deep].concat(), None);
    }
}
