//! Requests of a viewer that are passed on to a PACS as they are: to DICOMweb's own addresses below the configured base
//! and to no other, with this server's account there.

use ureq::http::StatusCode;

use super::PacsError;
use super::find::find_values;
use super::sources::Source;
use super::web::Passed;

/// Longest part of an address: a list of frames.
const PART_LIMIT: usize = 512;
/// Most parts of an address, and of a question.
const PARTS_LIMIT: usize = 16;
const QUESTIONS_LIMIT: usize = 64;

/// Passes a request on; `accept` is what the viewer takes.
///
/// # Errors
/// [`PacsError`]; [`PacsError::Odd`] also for what is no address of DICOMweb.
pub fn pass(source: &Source, path: &str, query: &[(String, String)], accept: &str) -> Result<Passed, PacsError> {
    if !is_address(path) || query.len() > QUESTIONS_LIMIT || !query.iter().all(|(key, _)| is_part(key)) {
        return Err(PacsError::NotThere(source.name.clone()));
    }
    let query: Vec<(&str, &str)> = query.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    source.web.pass(&format!("/{path}"), &query, accept)
}

/// Stores what a viewer sends, below a study or none; whether the PACS took it, and what it says in DICOM's JSON.
///
/// # Errors
/// [`PacsError`].
pub fn pass_in(source: &Source, path: &str, kind: &str, bytes: &[u8]) -> Result<(u16, String), PacsError> {
    if !(path == "studies" || path.strip_prefix("studies/").is_some_and(|study| super::uid(study).is_ok())) {
        return Err(PacsError::NotThere(source.name.clone()));
    }
    let (status, said) = source.web.send(&format!("/{path}"), kind, bytes)?;
    match status {
        StatusCode::OK | StatusCode::ACCEPTED | StatusCode::CONFLICT | StatusCode::BAD_REQUEST => {
            Ok((status.as_u16(), said.to_string()))
        }
        status => Err(source.web.refused(status)),
    }
}

/// The study that a series belongs to; nothing if the PACS has no such series.
///
/// # Errors
/// [`PacsError`].
pub fn study_of(source: &Source, series: &str) -> Result<Option<String>, PacsError> {
    let studies = find_values(source, "/series", ("SeriesInstanceUID", super::uid(series)?), "0020000D")?;
    Ok(studies.into_iter().find(|study| super::uid(study).is_ok()))
}

/// Addresses of studies, series and instances, and what lies below them.
fn is_address(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    ["studies", "series", "instances"].contains(&parts[0])
        && parts.len() <= PARTS_LIMIT
        && parts.iter().all(|part| is_part(part))
}

fn is_part(part: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".,-_".contains(&byte);
    (1..=PART_LIMIT).contains(&part.len()) && part.bytes().all(is_plain) && !part.starts_with('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_dicomweb_are_passed_on() {
        let check = |path: &str, expected: bool| assert_eq!(is_address(path), expected, "{path}");
        check("studies", true);
        check("studies/1.2.3/series/1.2.4/instances/1.2.5/frames/1,2", true);
        check("studies/1.2.3/series/1.2.4/metadata", true);
        check("studies/1.2.3/../../../instances", false);
        check("studies/1.2.3/%2e%2e/instances", false);
        check("../instances", false);
        check("tools/execute-script", false);
        check("studies//series", false);
        check("studies/1.2.3?limit=1", false);
        check("studies/1.2.3@evil.example/", false);
        check("", false);
        check(&["studies"; 17].join("/"), false);
    }
}
