//! C-STORE to others (PS3.7, 9.1.1): one object, over an association of its own. That it is there is what the receiver
//! says of it; DIMSE has no way to look without one more role.

use std::io::Write;
use std::time::Duration;

use dicom_ul::Pdu;
use dicom_ul::association::{self, client::ClientAssociationOptions};
use dicom_ul::pdu::{PDataValue, PDataValueType, PresentationContextResultReason};
use thiserror::Error;

use super::message::{Store, answered, asked};
use crate::scan_io::{ScanError, Wrapping, wrapping};

/// How long a receiver may take to take up a connection, and be silent afterwards.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
const SILENCE_LIMIT: Duration = Duration::from_secs(60);
/// Where the letters that mark a file end; its own group follows.
const PREAMBLE_BYTES: usize = 128;

/// Who takes objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// `host:port`
    pub address: String,
    /// What it is called.
    pub called: String,
    /// What this program is called there.
    pub calling: String,
}

/// Why an object was not taken. Nothing that the receiver says itself is quoted.
#[derive(Debug, Error)]
pub enum SendError {
    /// What is to be sent cannot be read.
    #[error(transparent)]
    Object(#[from] ScanError),
    /// What is to be sent is no file of DICOM.
    #[error("the object cannot be read as DICOM")]
    Unreadable,
    /// No association.
    #[error("{0} takes up no association: nobody listens there, or it knows neither the called nor the calling title")]
    Away(String),
    /// Another kind of object, or packed otherwise.
    #[error(
        "{called} takes no objects of this kind ({class}) as they are packed ({syntax}). Try --binary, or DICOM SEG \
         (bits)"
    )]
    NotTaken {
        /// Who.
        called: String,
        /// The object's SOP class.
        class: String,
        /// Its transfer syntax.
        syntax: String,
    },
    /// It broke.
    #[error("the connection to {0} broke while it was sent to")]
    Broken(String),
    /// It did not store.
    #[error("{called} did not store the object (status {status:04X}H{})", why(*status))]
    Refused {
        /// Who.
        called: String,
        /// As PS3.4, table B.2-1, has it.
        status: u16,
    },
}

fn why(status: u16) -> &'static str {
    match status {
        0xA700..=0xA7FF => ", it is out of resources",
        0xA900..=0xA9FF => ", it is not of its class",
        0xC000..=0xCFFF => ", it cannot be understood",
        0x0124 => ", this program may not store there",
        _ => "",
    }
}

/// Sends a file's object, and waits until the receiver says that it has it.
///
/// # Errors
/// [`SendError`].
pub fn send(to: &Destination, file: &[u8]) -> Result<(), SendError> {
    // Before anything is opened to a receiver, by the door that every file of others comes through.
    let Wrapping { class, instance, syntax } = wrapping(file)?;
    let store = Store { message: 1, class, instance };
    // The data set as it stands in the file: behind the group of the file's own.
    let data = file.get(data_set_at(file).ok_or(SendError::Unreadable)?..).ok_or(SendError::Unreadable)?;

    let not_taken =
        || SendError::NotTaken { called: to.called.clone(), class: store.class.clone(), syntax: syntax.clone() };
    let broken = |_| SendError::Broken(to.called.clone());
    let mut association = ClientAssociationOptions::new()
        .calling_ae_title(to.calling.as_str())
        .called_ae_title(to.called.as_str())
        .connection_timeout(CONNECT_LIMIT)
        .read_timeout(SILENCE_LIMIT)
        .write_timeout(SILENCE_LIMIT)
        .with_presentation_context(store.class.clone(), vec![syntax.clone()])
        .establish(to.address.as_str())
        .map_err(|error| match error {
            association::Error::NoAcceptedPresentationContexts { .. } => not_taken(),
            _ => SendError::Away(to.called.clone()),
        })?;
    let agreed = association.presentation_contexts().iter().find(|context| {
        let agreed = context.transfer_syntax.trim_end_matches(['\0', ' ']);
        context.reason == PresentationContextResultReason::Acceptance && agreed == syntax
    });
    let Some(context) = agreed.map(|context| context.id) else {
        let _ = association.release();
        return Err(not_taken());
    };
    let command = asked(&store).map_err(|_| SendError::Unreadable)?;
    let value = PDataValue {
        presentation_context_id: context,
        value_type: PDataValueType::Command,
        is_last: true,
        data: command,
    };
    association.send(&Pdu::PData { data: vec![value] }).map_err(broken)?;
    let mut out = association.send_pdata(context);
    let sent = out.write_all(data).and_then(|()| out.finish());
    sent.map_err(|_| SendError::Broken(to.called.clone()))?;
    let mut answer = Vec::new();
    let status = loop {
        let Pdu::PData { data } = association.receive().map_err(broken)? else {
            return Err(SendError::Broken(to.called.clone()));
        };
        let mut is_last = false;
        for value in data {
            answer.extend(value.data);
            is_last |= value.is_last;
        }
        if is_last {
            break answered(&answer).ok_or_else(|| SendError::Broken(to.called.clone()))?;
        }
    };
    // The object is there, whatever becomes of the association.
    let _ = association.release();
    // Warnings (PS3.7, C.4): it is stored, and something of it was changed.
    if status == 0 || (0xB000..=0xBFFF).contains(&status) {
        return Ok(());
    }
    Err(SendError::Refused { called: to.called.clone(), status })
}

/// Where the data set begins: behind the group whose length its first element says (PS3.10, 7.1).
fn data_set_at(file: &[u8]) -> Option<usize> {
    let letters = file.get(PREAMBLE_BYTES..PREAMBLE_BYTES + 4)?;
    let group = PREAMBLE_BYTES + 4;
    let head = file.get(group..group + 12)?;
    if letters != b"DICM" || head[..8] != [2, 0, 0, 0, b'U', b'L', 4, 0] {
        return None;
    }
    Some(group + 12 + u32::from_le_bytes(head[8..12].try_into().ok()?) as usize)
}
