//! What went wrong, as an answer: a status, a word for programs, a sentence for the person at the screen.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};
use shared::api::ApiError;

use crate::intake::IntakeError;
use crate::scan_io::ScanError;
use crate::store::{StoreError, is_full};

/// An answer that is not the one hoped for.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl Refusal {
    /// Any refusal.
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    /// The request makes no sense as it stands.
    pub(super) fn bad(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// A body that is not what the route takes.
    pub(super) fn unreadable(why: &str) -> Self {
        Self::bad("unreadable_request", format!("the request cannot be read: {why}"))
    }

    /// A path that leads nowhere.
    pub(super) fn no_such_route() -> Self {
        Self::new(StatusCode::NOT_FOUND, "no_such_route", "there is nothing at this address; reload the page to get the current client")
    }

    /// The disk is full.
    pub(super) fn full() -> Self {
        Self::new(StatusCode::INSUFFICIENT_STORAGE, "disk_full", StoreError::Full.to_string())
    }

    /// Something that the person at the screen can do nothing about; the log says what.
    pub(super) fn internal(error: &dyn std::fmt::Display) -> Self {
        tracing::error!("a request failed: {error}");
        let message =
            "the server could not do this; nothing was changed. Try again; if it stays so, its operator finds the reason in the log";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
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
        HttpResponse::build(self.status).json(ApiError { code: self.code.to_owned(), message: self.message.clone() })
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        let (status, code) = match &error {
            StoreError::NotFound(_) => (StatusCode::NOT_FOUND, "not_found"),
            StoreError::Stale { .. } => (StatusCode::CONFLICT, "stale_correction"),
            StoreError::NotNow(_) => (StatusCode::CONFLICT, "not_now"),
            StoreError::Correction(_) => (StatusCode::UNPROCESSABLE_ENTITY, "correction_does_not_fit"),
            StoreError::Full => return Self::full(),
            StoreError::Damaged
            | StoreError::InUse(_)
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
        let status = match error {
            IntakeError::Store(error) => return error.into(),
            IntakeError::Scan { error: ScanError::Io(error), .. } if is_full(&error) => return Self::full(),
            IntakeError::Scan { error: ScanError::Io(error), .. } => return Self::internal(&error),
            IntakeError::UnknownBundle { .. } | IntakeError::WrongChannelCount { .. } | IntakeError::NoImage => StatusCode::BAD_REQUEST,
            IntakeError::BundleUnusable { .. } => StatusCode::CONFLICT,
            IntakeError::Scan { .. } | IntakeError::GridsDiffer { .. } => StatusCode::UNPROCESSABLE_ENTITY,
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
