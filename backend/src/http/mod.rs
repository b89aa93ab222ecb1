//! Routes to calls: one noun a file, errors mapped in one place. Knows HTTP, not how anything is done.

mod api;
mod bounds;
mod client;
mod error;
mod guard;
mod monailabel;
mod people;

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::middleware::{Compress, from_fn};
use actix_web::web::{self, Data, JsonConfig, PathConfig, QueryConfig, ServiceConfig};
use actix_web::{App, HttpServer};
use rustls::ServerConfig;
use shared::api::route::PREFIX;

use crate::bundle::Catalogue;
use crate::intake::Lookers;
use crate::pacs::{Imports, Sources};
use crate::scan_io::KeptReference;
use crate::store::{Store, StoreError};
use crate::work::Supervisor;

pub use client::Client;
use error::Refusal;
pub use people::{Access, Proxy};

/// What a slice's correction may weigh: a plane of 1024² in which every voxel differs from its neighbour, or one of
/// 4096² as experts draw.
const JSON_LIMIT_BYTES: usize = 8 << 20;
/// How long a client may leave what was sent to it unread.
const UNREAD_LIMIT: Duration = Duration::from_secs(20);
/// How long requests may take to finish when the server is asked to stop; event streams never do.
const STOP_LIMIT_S: u64 = 2;
/// How long a client may take to send a request's head, or keep an idle connection.
const HEAD_LIMIT: Duration = Duration::from_secs(15);

/// The parts that requests are answered with.
#[derive(Clone, Debug)]
pub struct Parts {
    /// What is known.
    pub store: Store,
    /// Where work is queued.
    pub supervisor: Supervisor,
    /// Where scans are looked through.
    pub lookers: Lookers,
    /// Bundles on offer.
    pub bundles: Arc<Catalogue>,
    /// The files of the browser's side.
    pub client: Arc<Client>,
    /// OHIF's files, served beside, if the operator has them.
    pub ohif: Option<Arc<Client>>,
    /// Largest upload.
    pub upload_limit_bytes: u64,
    /// Who is let in.
    pub access: Arc<Access>,
    /// What is kept of whom a DICOM series is.
    pub kept: KeptReference,
    /// The PACS that may be asked.
    pub sources: Sources,
    /// What is on its way from there.
    pub imports: Imports,
}

/// Goes on with what people were waiting for when the server ended.
///
/// # Errors
/// If the store cannot say what that is.
pub async fn go_on(parts: &Parts) -> Result<(), StoreError> {
    api::pacs::go_on(&Data::new(parts.clone())).await
}

/// A server that answers on a listener until it is stopped.
///
/// # Errors
/// If the listener cannot be used.
pub fn serve(parts: Parts, listener: TcpListener, tls: Option<ServerConfig>) -> std::io::Result<Server> {
    let held = Data::new(bounds::Held::default());
    let parts = Data::new(parts);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(parts.clone())
            .app_data(held.clone())
            .wrap(Compress::default())
            .wrap(from_fn(bounds::watch))
            .wrap(from_fn(guard::guard))
            .configure(routes)
    })
    .on_connect(|connection, data| {
        bounds::drop_unread(connection, UNREAD_LIMIT);
        if let Some(ends) = people::Ends::of(connection) {
            data.insert(ends);
        }
    })
    .client_request_timeout(HEAD_LIMIT)
    .keep_alive(HEAD_LIMIT)
    .shutdown_timeout(STOP_LIMIT_S);
    let server = match tls {
        None => server.listen(listener)?,
        Some(tls) => server.listen_rustls_0_23(listener, tls)?,
    };
    Ok(server.run())
}

/// Every route of [`shared::api`], and the client for all other paths.
fn routes(config: &mut ServiceConfig) {
    let json = JsonConfig::default().limit(JSON_LIMIT_BYTES).error_handler(|error, _| Refusal::of_json(&error).into());
    let path = PathConfig::default().error_handler(|_, _| Refusal::no_such_route().into());
    let query = QueryConfig::default().error_handler(|error, _| Refusal::unreadable(&error.to_string()).into());
    config.app_data(json).app_data(path).app_data(query).configure(api::routes).configure(monailabel::routes);
    config.service(web::scope(PREFIX).default_service(web::to(error::no_such_route)));
    config.service(web::resource("/ohif/{path:.*}").to(client::ohif));
    config.default_service(web::to(client::file));
}

/// Where an upload's files lie until they are stored.
fn upload_folder(store: &Store) -> PathBuf {
    store.work().join(format!("upload-{}", uuid::Uuid::new_v4().simple()))
}
