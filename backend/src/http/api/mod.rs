//! The protocol of i3Deep's own client: one noun a file. [`serve!`] is the one list of handlers, from which both the
//! routing and the OpenAPI document are made, so that neither can know a route that the other does not.

mod address;
mod bin;
mod bundles;
mod cases;
mod corrections;
mod decisions;
mod effort;
mod events;
mod export;
mod health;
mod jobs;
mod metrics;
pub(super) mod pacs;
mod refused;
mod review;
mod slabs;
mod thumbnail;
pub(super) mod upload;
mod versions;
pub(super) mod volumes;

use actix_web::body::BoxBody;
use actix_web::dev::ServiceRequest;
use actix_web::guard;
use actix_web::middleware::{Next, from_fn};
use actix_web::web::{self, Json, ServiceConfig};
use shared::api::route::{self, Method};
use shared::api::{ApiError, ErrorCode};
use utoipa::OpenApi;

use super::people::{self, Rule, admit};
use super::{Parts, Refusal, upload_folder};
use refused::Refused;

pub(super) use cases::visible;
pub(super) use jobs::check_agreement;

macro_rules! serve {
    ($($route:ident for $rule:ident => $($noun:ident)::+ . $handler:ident,)*) => {
        /// What the server answers, as it stands in its handlers.
        #[derive(OpenApi)]
        #[openapi(
            info(title = "i3Deep", description = "Segmentation of 3D medical images, corrected slice by slice."),
            paths($($($noun)::+::$handler),*),
            components(schemas(ApiError, ErrorCode)),
            modifiers(&Refused)
        )]
        struct Document;

        /// Every handler under its route, behind the route's rule.
        pub(super) fn routes(config: &mut ServiceConfig) {
            $(config.service(
                web::resource(route::$route.path)
                    .guard(guard::fn_guard(|request| is_asked(route::$route.method, &request.head().method)))
                    .wrap(from_fn(|request: ServiceRequest, next: Next<BoxBody>| admit(Rule::$rule, request, next)))
                    .route(web::route().to($($noun)::+::$handler)),
            );)*
        }

        /// Who may use which route.
        #[cfg(test)]
        const RULES: &[(&str, Rule)] = &[$((route::$route.path, Rule::$rule)),*];
    };
}

serve! {
    BUNDLES for Person => bundles.list,
    CASES for Person => cases.list,
    CREATE_CASE for Person => upload.create,
    CASE for Case => cases.show,
    NOTE for Case => cases.note,
    THUMBNAIL for Case => thumbnail.show,
    DELETE_CASE for Case => cases.delete,
    IMAGE for Case => volumes.image,
    IMAGE_SLAB for Case => slabs.image,
    IMAGE_PLANE for Case => slabs.plane,
    IMAGE_COARSE for Case => slabs.coarse,
    UNCERTAINTY for Case => volumes.uncertainty,
    UNCERTAINTY_SLAB for Case => slabs.uncertainty,
    SEGMENTATION for Case => volumes.segmentation,
    SEGMENTATION_SLAB for Case => slabs.segmentation,
    NIFTI for Case => volumes.nifti,
    CORRECTED_NIFTI for Case => volumes.corrected_nifti,
    EXPORT for Case => export.version,
    CORRECTED_EXPORT for Case => export.newest,
    PROVENANCE for Case => volumes.provenance,
    DECIDE for Case => decisions.decide,
    NOTE_EFFORT for Case => effort.note,
    EFFORT for Case => effort.log,
    CORRECTIONS for Case => corrections.list,
    SAVE_CORRECTION for Case => corrections.save,
    VERSIONS for Case => versions.list,
    VERSION for Case => versions.show,
    BRING_BACK for Case => versions.bring_back,
    BIN for Person => bin.list,
    RESTORE for Case => bin.restore,
    PURGE for Case => bin.purge,
    REFINE for Case => jobs.refine,
    BEGIN_ROUND for Case => cases.begin_round,
    CANCEL for Job => jobs.cancel,
    RETRY for Job => jobs.retry,
    FORECAST for Person => jobs.forecast,
    PACS for Person => pacs.list,
    FIND_STUDIES for Person => pacs.studies,
    PACS_SERIES for Person => pacs.series,
    OPEN_SERIES for Person => pacs.open,
    IMPORTS for Person => pacs.imports,
    STOP_IMPORT for Person => pacs.stop,
    IMPORT_PICTURE for Person => pacs.picture,
    SEND for Case => pacs.send,
    EVENTS for Person => events.stream,
    HEALTH for Anybody => health.show,
    READY for Anybody => health.ready,
    METRICS for Admin => metrics.show,
    ME for Person => people.me,
    SIGN_IN for Anybody => people.sign_in,
    SIGN_IN_WAYS for Anybody => people.sign_in_ways,
    GO_TO_PROVIDER for Anybody => people.go_to_provider,
    BACK_FROM_PROVIDER for Anybody => people.back_from_provider,
    SIGN_OUT for Person => people.sign_out,
    PEOPLE for Reviewer => people.people,
    ADD_PERSON for Admin => people.add_person,
    CHANGE_PERSON for Admin => people.change_person,
    ASSIGNED for Case => people.assigned,
    ASSIGN for Reviewer => people.assign,
    REVIEW for Case => review.show,
    HAND_IN for Case => review.hand_in,
    JUDGE for Reviewer => review.judge,
    ASK_READING for Reviewer => review.ask_reading,
    KEYS for Person => people.keys,
    ADD_KEY for Person => people.add_key,
    REVOKE_KEY for Person => people.revoke_key,
    OPENAPI for Anybody => program.openapi,
}

/// Whether a request asks a route's method; whoever may look may also ask for the head alone.
fn is_asked(method: Method, by: &actix_web::http::Method) -> bool {
    by.as_str() == method.name() || (method == Method::Get && by == actix_web::http::Method::HEAD)
}

mod program {
    //! This server for programs.

    use super::*;

    /// Every route with its rule, what it takes and what it gives.
    #[utoipa::path(
        get,
        path = route::OPENAPI.path,
        responses((status = 200, description = "OpenAPI 3.1", content_type = "application/json"))
    )]
    pub(super) async fn openapi() -> Json<utoipa::openapi::OpenApi> {
        Json(Document::openapi())
    }
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
        let routes: BTreeSet<String> =
            route::ALL.iter().map(|(method, path)| format!("{} {path}", method.name())).collect();
        assert_eq!(described, routes);
    }

    #[test]
    fn what_is_about_a_case_is_for_those_whose_case_it_is() {
        for (path, rule) in RULES {
            let about_a_case = path.starts_with(&route::CASE.path.to_owned());
            assert!(!about_a_case || matches!(rule, Rule::Case | Rule::Reviewer), "{path} is for {rule:?}");
            assert!(*rule != Rule::Job || path.starts_with("/api/jobs/{id}"), "{path}");
        }
        let open: Vec<&str> = RULES.iter().filter(|(_, rule)| *rule == Rule::Anybody).map(|(path, _)| *path).collect();
        let expected = [
            route::HEALTH,
            route::READY,
            route::SIGN_IN,
            route::SIGN_IN_WAYS,
            route::GO_TO_PROVIDER,
            route::BACK_FROM_PROVIDER,
            route::OPENAPI,
        ];
        assert_eq!(open, expected.map(|route| route.path));
    }

    #[test]
    fn every_operation_says_what_it_takes_and_gives() {
        let document = serde_json::to_value(Document::openapi()).unwrap();
        for (path, operations) in document["paths"].as_object().unwrap() {
            for (method, operation) in operations.as_object().unwrap() {
                let named = path.matches('{').count();
                let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
                let in_path = parameters.iter().filter(|parameter| parameter["in"] == "path").count();
                assert_eq!(in_path, named, "{method} {path}");
                let answers = operation["responses"].as_object().unwrap();
                // A browser that signs in with a provider is sent on.
                let good = if path.starts_with(route::GO_TO_PROVIDER.path) { "303" } else { "2" };
                assert!(answers.keys().any(|status| status.starts_with(good)), "{method} {path}");
                let refused = &answers["default"]["content"]["application/json"]["schema"]["$ref"];
                assert_eq!(refused, "#/components/schemas/ApiError", "{method} {path}");
                assert!(operation["description"].is_string() || operation["summary"].is_string(), "{method} {path}");
            }
        }
    }
}
