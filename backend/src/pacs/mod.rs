//! The PACS on the other end, by DICOMweb (PS3.18): search (QIDO-RS), fetch (WADO-RS), send (STOW-RS; or by C-STORE, by
//! way of `dimse`). Only sources that the operator has named are ever asked ([`Sources`]); `web` is the one door to
//! them. Knows nothing of cases: what is fetched goes through the intake as any other scan does.

mod fetch;
mod find;
mod imports;
mod objects;
mod pass;
mod progress;
mod related;
mod send;
mod sources;
mod web;

use shared::api::ErrorCode;
use thiserror::Error;

pub use fetch::{Fetch, fetch, glimpse};
pub use find::{find_series, find_studies};
pub use imports::{Imports, Outcome, Ticket};
pub use pass::{pass, pass_in, study_of};
pub use progress::Progress;
pub use send::{send, send_by_dicom};
pub use sources::{Archive, Source, Sources};
pub use web::Passed;

/// Why a PACS was of no use, in words for the person who asked. Nothing that it said itself is quoted: that may name
/// patients.
#[derive(Debug, Error)]
pub enum PacsError {
    /// Nothing to look for.
    #[error("say whom to look for: a patient, an accession number, a date, or a modality with a date")]
    EmptyQuery,
    /// A day that is none.
    #[error("{0:?} is no day; write it as 2024-02-29")]
    Day(String),
    /// An identifier that is none.
    #[error("{0:?} is no unique identifier of DICOM")]
    Uid(String),
    /// No answer.
    #[error("the PACS {source_name} does not answer ({why}). Try again; if it stays so, ask who runs it")]
    Away {
        /// Which.
        source_name: String,
        /// Why.
        why: String,
    },
    /// It does not let this server in.
    #[error("the PACS {source_name} does not let this server in (HTTP {status}). Its operator has to set the account")]
    NotLetIn {
        /// Which.
        source_name: String,
        /// HTTP status.
        status: u16,
    },
    /// It has no such thing.
    #[error("the PACS {0} has no such study or series any more. Search again")]
    NotThere(String),
    /// Another answer than the protocol's.
    #[error("the PACS {source_name} gave no answer that can be used ({why})")]
    Odd {
        /// Which.
        source_name: String,
        /// What is wrong with it.
        why: String,
    },
    /// It did not take what was sent.
    #[error(
        "the PACS {source_name} did not store the segmentation ({why}). Nothing was sent; download it instead, or \
             ask who runs the PACS"
    )]
    NotStored {
        /// Which.
        source_name: String,
        /// Why.
        why: String,
    },
    /// Larger than this server takes.
    #[error("the series is larger than {} MiB, which is this server's limit (--upload-limit-mib)", limit_bytes >> 20)]
    TooLarge {
        /// The limit.
        limit_bytes: u64,
    },
    /// More images than any series has.
    #[error("the series has more than {0} images")]
    TooMany(usize),
    /// Whoever asked does not want it any more.
    #[error("stopped")]
    Stopped,
    /// Files that cannot be written.
    #[error("the files cannot be kept: {0}")]
    Files(#[from] std::io::Error),
}

impl PacsError {
    /// For programs.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::EmptyQuery | Self::Day(_) | Self::Uid(_) => ErrorCode::UnreadableRequest,
            Self::Away { .. } => ErrorCode::PacsAway,
            Self::NotThere(_) => ErrorCode::NotFound,
            Self::NotLetIn { .. } | Self::Odd { .. } | Self::NotStored { .. } => ErrorCode::PacsRefused,
            Self::TooLarge { .. } | Self::TooMany(_) => ErrorCode::TooLarge,
            Self::Stopped => ErrorCode::NotNow,
            Self::Files(_) => ErrorCode::Internal,
        }
    }

    /// Whether asking once more may do.
    fn may_pass(&self) -> bool {
        matches!(self, Self::Away { .. })
    }
}

/// A unique identifier (PS3.5, 9.1), which may stand in an address.
///
/// # Errors
/// [`PacsError::Uid`].
fn uid(text: &str) -> Result<&str, PacsError> {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if text.len() <= 64 && text.split('.').all(digits) { Ok(text) } else { Err(PacsError::Uid(text.into())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_digits_and_dots() {
        let check = |text: &str, expected: bool| assert_eq!(uid(text).is_ok(), expected, "{text}");
        check("1.2.840.10008.1.1", true);
        check("2.25.329800735698586629295641978511506172918", true);
        check("", false);
        check("1..2", false);
        check("1.2/../../instances", false);
        check("1.2?limit=1", false);
        check(&"1.".repeat(40), false);
    }
}
