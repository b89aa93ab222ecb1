//! What OHIF asks of the PACS, under MONAI Label's addresses: passed on to the one that the visitor may search, with
//! this server's account there, and answered as it comes. The operation in the address says nothing: OHIF asks for
//! metadata as if it searched.

use std::io::Read;

use actix_web::http::StatusCode;
use actix_web::http::header::{ACCEPT, CONTENT_TYPE, ContentEncoding};
use actix_web::web::{self, Bytes, Data, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::stream;
use tokio::sync::mpsc::{Sender, channel};

use super::super::api::pacs::{ask, shown};
use super::super::people::Visitor;
use super::{Parts, Refusal};
use crate::pacs::{pass, pass_in};
use crate::store::Act;

/// What is on its way of an answer: so many pieces of so many bytes.
const PIECES: usize = 4;
const PIECE_BYTES: usize = 256 << 10;
/// Longest list of what a viewer takes.
const ACCEPT_LIMIT: usize = 1024;
/// Largest object that a viewer sends.
pub(super) const STORE_LIMIT_BYTES: usize = 256 << 20;

/// An answer of the PACS.
pub(super) async fn find(
    parts: Data<Parts>,
    visitor: Visitor,
    path: Path<(String, String)>,
    query: Query<Vec<(String, String)>>,
    request: HttpRequest,
) -> Result<HttpResponse, Refusal> {
    let (_, path) = path.into_inner();
    let source = shown(&parts, &visitor)?;
    let act = match path.as_str() {
        "studies" => Some(Act::SearchPacs),
        path if path.ends_with("/metadata") => Some(Act::OpenFromPacs),
        _ => None,
    };
    if let Some(act) = act {
        parts.store.note(&visitor.actor(), act, &source.name).await?;
    }
    let accept = request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok());
    let accept = accept.filter(|accept| accept.len() <= ACCEPT_LIMIT).unwrap_or("*/*").to_owned();
    let answer = ask(move || pass(&source, &path, &query, &accept)).await?;
    let status = StatusCode::from_u16(answer.status).map_err(|error| Refusal::internal(&error))?;
    let (to, pieces) = channel(PIECES);
    web::block(move || std::thread::Builder::new().name("pass".to_owned()).spawn(|| read(answer.body, to)))
        .await
        .map_err(|error| Refusal::internal(&error))?
        .map_err(|error| Refusal::internal(&error))?;
    let body = stream::unfold(pieces, |mut pieces| async { pieces.recv().await.map(|piece| (piece, pieces)) });
    Ok(HttpResponse::build(status)
        .insert_header((CONTENT_TYPE, answer.kind))
        .insert_header(ContentEncoding::Identity)
        .streaming(body))
}

/// Reads until nobody listens.
fn read(mut body: Box<dyn Read + Send>, to: Sender<std::io::Result<Bytes>>) {
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let got = match body.read(&mut piece) {
            Ok(0) => return,
            Ok(count) => Ok(Bytes::copy_from_slice(&piece[..count])),
            // The viewer sees an answer that is cut off, and no words of the PACS.
            Err(error) => Err(error.kind().into()),
        };
        let is_over = got.is_err();
        if to.blocking_send(got).is_err() || is_over {
            return;
        }
    }
}

/// Stores an object that the viewer has made.
pub(super) async fn store(
    parts: Data<Parts>,
    visitor: Visitor,
    path: Path<(String, String)>,
    request: HttpRequest,
    object: Bytes,
) -> Result<HttpResponse, Refusal> {
    let (_, path) = path.into_inner();
    let source = shown(&parts, &visitor)?;
    let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default().to_owned();
    parts.store.note(&visitor.actor(), Act::SendToPacs, &source.name).await?;
    let (status, said) = ask(move || pass_in(&source, &path, &kind, &object)).await?;
    let status = StatusCode::from_u16(status).map_err(|error| Refusal::internal(&error))?;
    Ok(HttpResponse::build(status).content_type("application/dicom+json").body(said))
}
