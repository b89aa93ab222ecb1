//! MONAI Label's protocol, so that 3D Slicer's module and others that speak it work unchanged: the same intake, store
//! and work as the protocol of i3Deep's own client, under `/monailabel/{bundle}/`. An image is a case of that bundle.
//! What its clients really send and expect is in their sources, and differs from the protocol's documents; comments
//! say where.

mod auth;
mod cases;
mod datastore;
mod form;
mod infer;
mod info;
mod learning;
mod logs;
mod proxy;
mod reply;
mod session;

use actix_web::body::BoxBody;
use actix_web::dev::ServiceRequest;
use actix_web::middleware::{Next, from_fn};
use actix_web::web::{self, PayloadConfig, ServiceConfig};

use super::people::{Rule, admit};
use super::{Parts, Refusal, error};

/// Where the protocol lives; what follows is the bundle's name and the protocol's own paths.
const PREFIX: &str = "/monailabel/{bundle}";

/// Every address, with the slashes at the end that clients send, and who may use it. What is about an image asks
/// besides whether it is the asker's to see.
pub(super) fn routes(config: &mut ServiceConfig) {
    let person = || from_fn(|request: ServiceRequest, next: Next<BoxBody>| admit(Rule::Person, request, next));
    let signing_in = web::scope("/auth")
        .route("/", web::get().to(auth::show))
        .route("/token", web::post().to(auth::token))
        .service(web::resource("/token/valid").wrap(person()).route(web::get().to(auth::valid)));
    let known = web::scope("")
        .wrap(person())
        .route("/info/", web::get().to(info::show))
        .route("/infer/{model}", web::post().to(infer::infer))
        .route("/activelearning/{strategy}", web::post().to(learning::next))
        .route("/datastore/", web::get().to(datastore::list))
        // An alias of the address below that 3D Slicer uses.
        .route("/datastore/", web::put().to(datastore::put_image))
        .route("/datastore/image", web::put().to(datastore::put_image))
        .route("/datastore/image", web::get().to(datastore::image))
        .route("/datastore/image", web::head().to(datastore::image))
        .route("/datastore/image/info", web::get().to(datastore::image_info))
        .route("/datastore/label", web::put().to(datastore::put_label))
        .route("/datastore/label", web::get().to(datastore::label))
        .route("/datastore/label", web::head().to(datastore::label))
        .route("/session/", web::put().to(session::create))
        .route("/session/{id}", web::get().to(session::show))
        .route("/session/{id}", web::delete().to(session::end))
        .route("/train/", web::get().to(learning::no_training))
        .route("/train/", web::delete().to(learning::no_training))
        .route("/train/", web::post().to(learning::no_training))
        .route("/train/{model}", web::post().to(learning::no_training))
        .route("/logs/", web::get().to(logs::show))
        .default_service(web::to(error::no_such_route));
    let passed_on = web::scope("/proxy/dicom")
        .wrap(person())
        .app_data(PayloadConfig::new(proxy::STORE_LIMIT_BYTES))
        .route("/{operation:wado|qido}/{path:.+}", web::get().to(proxy::find))
        .route("/{operation:stow}/{path:.+}", web::post().to(proxy::store))
        .default_service(web::to(error::no_such_route));
    config.service(passed_on).service(web::scope(PREFIX).service(signing_in).service(known));
}
