//! STOW-RS (PS3.18, 10.5), and the question whether it was stored: some answer well and store nothing.

use std::thread;
use std::time::Duration;

use serde_json::Value;
use shared::api::Sent;
use ureq::http::StatusCode;

use super::PacsError;
use super::find::find_instances;
use super::sources::{Archive, Source};
use crate::dimse::{self, SendError};

/// How long a PACS may take until what it stored is found there.
const WAITS: [Duration; 6] = [
    Duration::ZERO,
    Duration::from_millis(200),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(5),
];

/// Sends one object, and waits until the PACS has it.
///
/// # Errors
/// [`PacsError`]; [`PacsError::NotStored`] also where it says that it stored what it does not have.
pub fn send(source: &Source, object: &[u8], is: Sent) -> Result<Sent, PacsError> {
    let boundary = format!("i3deep-{}", uuid::Uuid::new_v4().simple());
    let kind = format!("multipart/related; type=\"application/dicom\"; boundary={boundary}");
    let head = format!("--{boundary}\r\nContent-Type: application/dicom\r\n\r\n");
    let body = [head.as_bytes(), object, format!("\r\n--{boundary}--\r\n").as_bytes()].concat();
    let web = &source.web;
    let (status, said) = web.send("/studies", &kind, &body)?;
    match status {
        StatusCode::OK | StatusCode::ACCEPTED => {}
        StatusCode::CONFLICT | StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => {
            return Err(web.not_stored(format!("HTTP {}{}", status.as_u16(), reason(&said))));
        }
        status => return Err(web.refused(status)),
    }
    if !reason(&said).is_empty() {
        return Err(web.not_stored(reason(&said).trim_start_matches(", ")));
    }
    for wait in WAITS {
        thread::sleep(wait);
        if find_instances(source, &is.study, &is.series)?.contains(&is.instance) {
            return Ok(is);
        }
    }
    Err(web.not_stored("it said that it did, and does not have it"))
}

/// Sends one object by C-STORE; that it is there is what the receiver says.
///
/// # Errors
/// [`PacsError::Away`] and [`PacsError::NotStored`].
pub fn send_by_dicom(archive: &Archive, object: &[u8]) -> Result<(), PacsError> {
    let source_name = archive.name.clone();
    dimse::send(&archive.to, object).map_err(|error| match error {
        SendError::Away(_) | SendError::Broken(_) => PacsError::Away { source_name, why: error.to_string() },
        SendError::Object(_) | SendError::Unreadable | SendError::NotTaken { .. } | SendError::Refused { .. } => {
            PacsError::NotStored { source_name, why: error.to_string() }
        }
    })
}

/// Why an object failed (PS3.18, table 10.5.3-1), if one did.
fn reason(said: &Value) -> String {
    let Some(failed) = said["00081198"]["Value"].as_array().and_then(|failed| failed.first()) else {
        return String::new();
    };
    match failed["00081197"]["Value"][0].as_u64() {
        Some(0xA700..=0xA7FF) => ", it is out of resources".to_owned(),
        Some(0x0122) => ", it does not store segmentations of this kind: try DICOM SEG (bits)".to_owned(),
        Some(0x0124) => ", this server may not store there".to_owned(),
        Some(code) => format!(", failure reason {code:04X}H"),
        None => ", it gives no reason".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_failure_is_said_in_words() {
        let failed = |code: Value| json!({"00081198": {"vr": "SQ", "Value": [{"00081197": {"Value": [code]}}]}});
        let check = |said: Value, expected: &str| assert_eq!(reason(&said), expected);
        check(json!({}), "");
        check(Value::Null, "");
        check(json!({"00081199": {"vr": "SQ", "Value": [{}]}}), "");
        check(failed(json!(0xA700)), ", it is out of resources");
        check(failed(json!(0x0122)), ", it does not store segmentations of this kind: try DICOM SEG (bits)");
        check(failed(json!(0x0110)), ", failure reason 0110H");
        check(json!({"00081198": {"Value": [{}]}}), ", it gives no reason");
    }
}
