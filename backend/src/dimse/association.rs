//! One association (PS3.8): from its request to its end, message by message.

use std::net::TcpStream;
use std::time::Duration;

use dicom_dictionary_std::uids;
use dicom_object::FileMetaTableBuilder;
use dicom_ul::association::Association;
use dicom_ul::pdu::{PDataValue, PDataValueType, PresentationContextResultReason};
use dicom_ul::{Pdu, ServerAssociation, ServerAssociationOptions};

use super::arriving::{Arriving, Incoming};
use super::message::{Command, Store, echoed, stored};

/// How long a sender may be silent.
const SILENCE_LIMIT: Duration = Duration::from_secs(30);
/// Longest piece of a message.
const PDU_LIMIT_BYTES: u32 = 128 << 10;
/// Longest command.
const COMMAND_LIMIT_BYTES: usize = 64 << 10;
/// Of an unencrypted file: what comes before its attributes.
const PREAMBLE: [u8; 132] = {
    let mut bytes = [0; 132];
    bytes[128] = b'D';
    bytes[129] = b'I';
    bytes[130] = b'C';
    bytes[131] = b'M';
    bytes
};

/// What lies as slices, and whether anybody is there.
const CLASSES: [&str; 10] = [
    uids::VERIFICATION,
    uids::CT_IMAGE_STORAGE,
    uids::ENHANCED_CT_IMAGE_STORAGE,
    uids::LEGACY_CONVERTED_ENHANCED_CT_IMAGE_STORAGE,
    uids::MR_IMAGE_STORAGE,
    uids::ENHANCED_MR_IMAGE_STORAGE,
    uids::LEGACY_CONVERTED_ENHANCED_MR_IMAGE_STORAGE,
    uids::POSITRON_EMISSION_TOMOGRAPHY_IMAGE_STORAGE,
    uids::ENHANCED_PET_IMAGE_STORAGE,
    uids::LEGACY_CONVERTED_ENHANCED_PET_IMAGE_STORAGE,
];

/// Those that are read here; a sender that has others packs anew, or is told so.
const SYNTAXES: [&str; 16] = [
    uids::EXPLICIT_VR_LITTLE_ENDIAN,
    uids::IMPLICIT_VR_LITTLE_ENDIAN,
    // Explicit VR big endian: retired, and still sent.
    "1.2.840.10008.1.2.2",
    uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    uids::RLE_LOSSLESS,
    uids::JPEG_BASELINE8_BIT,
    uids::JPEG_EXTENDED12_BIT,
    uids::JPEG_LOSSLESS,
    uids::JPEG_LOSSLESS_SV1,
    uids::JPEGLS_LOSSLESS,
    uids::JPEGLS_NEAR_LOSSLESS,
    uids::JPEG2000_LOSSLESS,
    uids::JPEG2000,
    uids::HTJ2K_LOSSLESS,
    uids::HTJ2K_LOSSLESS_RPCL,
    uids::HTJ2K,
];

/// Serves one sender until it has no more.
///
/// # Errors
/// Why it ended otherwise, in words that name no patient.
pub(super) fn serve(stream: TcpStream, ae_title: &str, arriving: &Arriving) -> Result<(), String> {
    let mut options = ServerAssociationOptions::new()
        .accept_called_ae_title()
        .ae_title(ae_title)
        .max_pdu_length(PDU_LIMIT_BYTES)
        .read_timeout(SILENCE_LIMIT)
        .write_timeout(SILENCE_LIMIT);
    for class in CLASSES {
        options = options.with_abstract_syntax(class);
    }
    for syntax in SYNTAXES {
        options = options.with_transfer_syntax(syntax);
    }
    let association = options.establish(stream).map_err(|_| "it was not agreed upon".to_owned())?;
    let sender = association.peer_ae_title().trim().chars().filter(char::is_ascii_graphic).take(16).collect();
    Talk { association, arriving, sender, command: Vec::new(), storing: None }.run()
}

/// A talk with a sender.
struct Talk<'a> {
    association: ServerAssociation<TcpStream>,
    arriving: &'a Arriving,
    sender: String,
    /// What has come of a command.
    command: Vec<u8>,
    /// The object that is coming.
    storing: Option<(Store, Incoming)>,
}

impl Talk<'_> {
    fn run(mut self) -> Result<(), String> {
        let outcome = self.listen();
        if let Some((_, incoming)) = self.storing.take() {
            incoming.forget();
        }
        if outcome.is_err() {
            let _ = self.association.abort();
        }
        outcome
    }

    fn listen(&mut self) -> Result<(), String> {
        loop {
            match self.association.receive().map_err(|_| "the connection broke".to_owned())? {
                Pdu::PData { data } => data.into_iter().try_for_each(|value| self.take(value))?,
                Pdu::ReleaseRQ => {
                    let _ = self.association.send(&Pdu::ReleaseRP);
                    return Ok(());
                }
                Pdu::AbortRQ { .. } => return Err("the sender gave up".to_owned()),
                _ => return Err("the sender does not keep to the protocol".to_owned()),
            }
        }
    }

    fn take(&mut self, value: PDataValue) -> Result<(), String> {
        let PDataValue { presentation_context_id: context, value_type, is_last, data } = value;
        match (value_type, &mut self.storing) {
            (PDataValueType::Data, Some((_, incoming))) => {
                incoming.add(&data);
                if is_last {
                    self.stored(context)?;
                }
                Ok(())
            }
            (PDataValueType::Command, None) => {
                self.command.extend(data);
                if self.command.len() > COMMAND_LIMIT_BYTES {
                    return Err("a command is too long".to_owned());
                }
                if is_last { self.obey(context) } else { Ok(()) }
            }
            _ => Err("the sender does not keep to the protocol".to_owned()),
        }
    }

    fn obey(&mut self, context: u8) -> Result<(), String> {
        let command = std::mem::take(&mut self.command);
        match Command::read(&command).ok_or("a command cannot be read")? {
            Command::Echo { message } => self.answer(context, echoed(message)?),
            Command::Store(store) => {
                let incoming = self.begin(context, &store)?;
                self.storing = Some((store, incoming));
                Ok(())
            }
            Command::Other => Err("only C-STORE and C-ECHO are spoken here".to_owned()),
        }
    }

    /// A file that begins as files of the object's syntax do (PS3.10, 7.1).
    fn begin(&self, context: u8, store: &Store) -> Result<Incoming, String> {
        let agreed = self.association.presentation_contexts().iter().find(|agreed| agreed.id == context);
        let agreed = agreed.filter(|agreed| agreed.reason == PresentationContextResultReason::Acceptance);
        let syntax = &agreed.ok_or("an object comes in a syntax that was not agreed upon")?.transfer_syntax;
        let meta = FileMetaTableBuilder::new()
            .media_storage_sop_class_uid(&store.class)
            .media_storage_sop_instance_uid(&store.instance)
            .transfer_syntax(syntax)
            .build()
            .map_err(|_| "an object is not named as it should be")?;
        let mut head = PREAMBLE.to_vec();
        meta.write(&mut head).map_err(|error| error.to_string())?;
        let mut incoming = self.arriving.begin().map_err(|error| error.to_string())?;
        incoming.add(&head);
        Ok(incoming)
    }

    fn stored(&mut self, context: u8) -> Result<(), String> {
        let Some((store, incoming)) = self.storing.take() else { return Ok(()) };
        let status = self.arriving.end(incoming, &store.instance, &self.sender);
        self.answer(context, stored(&store, status)?)
    }

    fn answer(&mut self, context: u8, data: Vec<u8>) -> Result<(), String> {
        let value =
            PDataValue { presentation_context_id: context, value_type: PDataValueType::Command, is_last: true, data };
        let answer = Pdu::PData { data: vec![value] };
        self.association.send(&answer).map_err(|_| "the connection broke".to_owned())
    }
}
