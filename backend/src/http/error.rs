//! What went wrong, as an answer: a status, a word for programs, a sentence for the person at the screen.

use std::io::ErrorKind;

use actix_web::error::{JsonPayloadError, PayloadError};
use actix_web::http::StatusCode;
use actix_web::http::header::{CONNECTION, RETRY_AFTER};
use actix_web::{HttpResponse, ResponseError};
use shared::api::{ApiError, ErrorCode};

use crate::intake::{Fault, IntakeError};
use crate::pacs::PacsError;
use crate::store::{StoreError, is_full};

/// An answer that is not the one hoped for.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    code: ErrorCode,
    message: String,
}

impl Refusal {
    /// Any refusal.
    pub(super) fn new(status: StatusCode, code: ErrorCode, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    /// The request makes no sense as it stands.
    pub(super) fn bad(code: ErrorCode, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// A body that is not what the route takes.
    pub(super) fn unreadable(why: &str) -> Self {
        Self::bad(ErrorCode::UnreadableRequest, format!("the request cannot be read: {why}"))
    }

    /// A body that could not be taken in.
    pub(super) fn of_json(error: &JsonPayloadError) -> Self {
        match error {
            JsonPayloadError::OverflowKnownLength { limit, .. } | JsonPayloadError::Overflow { limit } => {
                Self::too_large(*limit as u64)
            }
            JsonPayloadError::Payload(error) => Self::of_payload(error),
            other => Self::unreadable(&other.to_string()),
        }
    }

    /// A body that did not arrive as it should.
    pub(super) fn of_payload(error: &PayloadError) -> Self {
        match error {
            PayloadError::Io(error) if error.kind() == ErrorKind::TimedOut => {
                let message = "the request came too slowly; check the network and send it again";
                Self::new(StatusCode::REQUEST_TIMEOUT, ErrorCode::TooSlow, message)
            }
            PayloadError::Io(error) if error.kind() == ErrorKind::ResourceBusy => {
                Self::busy("the server has more to do than it has memory for")
            }
            other => Self::unreadable(&other.to_string()),
        }
    }

    /// A body larger than this server takes.
    pub(super) fn too_large(limit_bytes: u64) -> Self {
        let message = format!("the request is larger than {} MiB, which is the limit", limit_bytes >> 20);
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::TooLarge, message)
    }

    /// Not now, because there is too much to do.
    pub(super) fn busy(why: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Busy, format!("{why}; try again in a moment"))
    }

    /// A path that leads nowhere.
    pub(super) fn no_such_route() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            ErrorCode::NoSuchRoute,
            "there is nothing at this address; reload the page to get the current client",
        )
    }

    /// The disk is full.
    pub(super) fn full() -> Self {
        Self::new(StatusCode::INSUFFICIENT_STORAGE, ErrorCode::DiskFull, StoreError::Full.to_string())
    }

    /// Something that the person at the screen can do nothing about; the log says what.
    pub(super) fn internal(error: &dyn std::fmt::Display) -> Self {
        tracing::error!("a request failed: {error}");
        let message = "the server could not do this; nothing was changed. Try again; if it stays so, its operator \
                       finds the reason in the log";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, ErrorCode::Internal, message)
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl ResponseError for Refusal {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut answer = HttpResponse::build(self.status);
        if self.code == ErrorCode::Busy {
            answer.insert_header((RETRY_AFTER, "2"));
        }
        if self.status == StatusCode::REQUEST_TIMEOUT {
            // What is still to come of the body will not be read.
            answer.force_close().insert_header((CONNECTION, "close"));
        }
        answer.json(ApiError { code: self.code, message: self.message.clone() })
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        let (status, code) = match &error {
            StoreError::NotFound(_) => (StatusCode::NOT_FOUND, ErrorCode::NotFound),
            StoreError::Stale { .. } => (StatusCode::CONFLICT, ErrorCode::StaleCorrection),
            StoreError::NotNow(_) => (StatusCode::CONFLICT, ErrorCode::NotNow),
            StoreError::Correction(_) | StoreError::Patch(_) => {
                (StatusCode::UNPROCESSABLE_ENTITY, ErrorCode::CorrectionDoesNotFit)
            }
            StoreError::Crowded(_) => (StatusCode::TOO_MANY_REQUESTS, ErrorCode::Busy),
            StoreError::Full => return Self::full(),
            StoreError::Damaged(_)
            | StoreError::InUse(_)
            | StoreError::Refused { .. }
            | StoreError::Slow
            | StoreError::Database(_)
            | StoreError::Migration(_)
            | StoreError::Files(_)
            | StoreError::Blobs(_)
            | StoreError::Record(_) => return Self::internal(&error),
        };
        Self::new(status, code, error.to_string())
    }
}

impl From<IntakeError> for Refusal {
    fn from(error: IntakeError) -> Self {
        let status = match error.fault() {
            Fault::Asker => StatusCode::BAD_REQUEST,
            Fault::Bundle => StatusCode::CONFLICT,
            Fault::Scan => StatusCode::UNPROCESSABLE_ENTITY,
            Fault::Size => StatusCode::PAYLOAD_TOO_LARGE,
            Fault::Disk => return Self::full(),
            Fault::Server => {
                return match error {
                    IntakeError::Store(error) => error.into(),
                    other => Self::internal(&other),
                };
            }
        };
        Self::new(status, error.code(), error.to_string())
    }
}

impl From<PacsError> for Refusal {
    fn from(error: PacsError) -> Self {
        let status = match &error {
            PacsError::Files(error) if is_full(error) => return Self::full(),
            PacsError::Files(error) => return Self::internal(error),
            PacsError::EmptyQuery | PacsError::Day(_) | PacsError::Uid(_) => StatusCode::BAD_REQUEST,
            PacsError::NotThere(_) => StatusCode::NOT_FOUND,
            PacsError::TooLarge { .. } | PacsError::TooMany(_) => StatusCode::PAYLOAD_TOO_LARGE,
            PacsError::Stopped => StatusCode::CONFLICT,
            PacsError::Away { .. }
            | PacsError::NotLetIn { .. }
            | PacsError::Odd { .. }
            | PacsError::NotStored { .. } => StatusCode::BAD_GATEWAY,
        };
        Self::new(status, error.code(), error.to_string())
    }
}

/// The answer for API paths that do not exist.
pub(super) async fn no_such_route() -> Refusal {
    Refusal::no_such_route()
}

impl actix_web::Responder for Refusal {
    type Body = actix_web::body::BoxBody;

    fn respond_to(self, _: &actix_web::HttpRequest) -> HttpResponse {
        self.error_response()
    }
}
