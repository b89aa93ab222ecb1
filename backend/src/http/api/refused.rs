//! What every route may answer.

use shared::api::ApiError;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::{Content, OpenApi, Ref, Response, ResponseBuilder};
use utoipa::{Modify, ToSchema};

/// Says of each operation that does not say it itself that it may be refused, and with what.
pub(super) struct Refused;

impl Modify for Refused {
    fn modify(&self, document: &mut OpenApi) {
        for operation in document.paths.paths.values_mut().flat_map(operations) {
            let answers = &mut operation.responses.responses;
            answers.entry("default".to_owned()).or_insert_with(|| refused().into());
        }
    }
}

fn operations(path: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut path.get, &mut path.put, &mut path.post, &mut path.delete].into_iter().flatten()
}

fn refused() -> Response {
    let body = Content::new(Some(Ref::from_schema_name(ApiError::name())));
    ResponseBuilder::new().description("Refused").content("application/json", body).build()
}
