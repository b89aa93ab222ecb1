//! The protocol of i3Deep's own client: one noun a file. [`serve!`] is the one list of handlers, from which both the routing and the OpenAPI document
//! are made, so that neither can know a route that the other does not.

mod bin;
mod bundles;
mod cases;
mod corrections;
mod events;
mod health;
mod jobs;
mod upload;
mod versions;
mod volumes;

use actix_web::Route as Handler;
use actix_web::guard;
use actix_web::web::{self, Json, ServiceConfig};
use shared::api::route::{self, Method};
use shared::api::{ApiError, ErrorCode};
use utoipa::OpenApi;

use super::{Parts, Refusal, upload_folder};

macro_rules! serve {
    ($($route:ident => $noun:ident::$handler:ident,)*) => {
        /// What the server answers, as it stands in its handlers.
        #[derive(OpenApi)]
        #[openapi(
            info(title = "i3Deep", description = "Segmentation of 3D medical images, corrected slice by slice."),
            paths(openapi, $($noun::$handler),*),
            components(schemas(ApiError, ErrorCode))
        )]
        struct Document;

        /// Every handler under its route.
        pub(super) fn routes(config: &mut ServiceConfig) {
            config.route(route::OPENAPI.path, asked(route::OPENAPI.method).to(openapi));
            $(config.route(route::$route.path, asked(route::$route.method).to($noun::$handler));)*
        }
    };
}

serve! {
    BUNDLES => bundles::list,
    CASES => cases::list,
    CREATE_CASE => upload::create,
    CASE => cases::show,
    DELETE_CASE => cases::delete,
    IMAGE => volumes::image,
    UNCERTAINTY => volumes::uncertainty,
    SEGMENTATION => volumes::segmentation,
    NIFTI => volumes::nifti,
    CORRECTED_NIFTI => volumes::corrected_nifti,
    PROVENANCE => volumes::provenance,
    CORRECTIONS => corrections::list,
    SAVE_CORRECTION => corrections::save,
    VERSIONS => versions::list,
    VERSION => versions::show,
    BRING_BACK => versions::bring_back,
    BIN => bin::list,
    RESTORE => bin::restore,
    PURGE => bin::purge,
    REFINE => jobs::refine,
    BEGIN_ROUND => cases::begin_round,
    CANCEL => jobs::cancel,
    EVENTS => events::stream,
    HEALTH => health::show,
    READY => health::ready,
}

/// Answers to a method; whoever may look may also ask for the head alone.
fn asked(method: Method) -> Handler {
    match method {
        Method::Get => web::route().guard(guard::Any(guard::Get()).or(guard::Head())),
        Method::Post => web::post(),
        Method::Put => web::put(),
        Method::Delete => web::delete(),
    }
}

/// This server for programs.
#[utoipa::path(get, path = route::OPENAPI.path, responses((status = 200, description = "OpenAPI 3.1", content_type = "application/json")))]
async fn openapi() -> Json<utoipa::openapi::OpenApi> {
    Json(Document::openapi())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_document_has_every_route_and_no_other() {
        let document = serde_json::to_value(Document::openapi()).unwrap();
        let mut described = BTreeSet::new();
        for (path, operations) in document["paths"].as_object().unwrap() {
            for method in operations.as_object().unwrap().keys() {
                described.insert(format!("{} {path}", method.to_uppercase()));
            }
        }
        let routes: BTreeSet<String> = route::ALL.iter().map(|(method, path)| format!("{} {path}", method.name())).collect();
        assert_eq!(described, routes);
    }

    #[test]
    fn every_operation_says_what_it_takes_and_gives() {
        let document = serde_json::to_value(Document::openapi()).unwrap();
        for (path, operations) in document["paths"].as_object().unwrap() {
            for (method, operation) in operations.as_object().unwrap() {
                let named = path.matches('{').count();
                assert_eq!(operation["parameters"].as_array().map_or(0, Vec::len), named, "{method} {path}");
                let answers = operation["responses"].as_object().unwrap();
                assert!(answers.keys().any(|status| status.starts_with('2')), "{method} {path}");
                assert!(operation["description"].is_string() || operation["summary"].is_string(), "{method} {path}");
            }
        }
    }
}
