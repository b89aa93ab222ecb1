//! Voxels as the workbench fetches them: slab by slab, packed, from where one looks outwards. A browser may keep them,
//! for this user alone, and asks each time whether it may still show them.

use std::io::Read;

use actix_web::http::header::{
    CacheControl, CacheDirective, ContentEncoding, ETag, EntityTag, Header, IfNoneMatch, VARY,
};
use actix_web::web::{Bytes, Data, Path, block};
use actix_web::{HttpRequest, HttpResponse};
use flate2::read::ZlibDecoder;
use serde::Deserialize;
use shared::api::route;
use shared::case::CaseId;
use shared::geometry::{Axis, Plane};
use shared::volume::PlaneLayout;
use utoipa::IntoParams;

use super::{Parts, Refusal};
use crate::http::client::takes;
use crate::store::{Digest, Part, StoredVolume};

/// A plane of a channel.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct OfPlane {
    /// The case.
    id: CaseId,
    /// 0 for the first.
    channel: u32,
    /// What the plane is perpendicular to.
    #[param(value_type = Axis)]
    axis: String,
    /// Which plane along it.
    index: usize,
}

/// A slab of a channel, packed (see `shared::packed`).
#[utoipa::path(
    get,
    path = route::IMAGE_SLAB.path,
    params(
        ("id" = CaseId, Path, description = "The case"),
        ("channel" = u32, Path, description = "0 for the first"),
        ("slab" = usize, Path, description = "0 for the first"),
    ),
    responses((status = 200, description = "Packed voxels", content_type = "application/octet-stream"))
)]
pub(crate) async fn image(
    parts: Data<Parts>,
    path: Path<(CaseId, u32, usize)>,
    request: HttpRequest,
) -> Result<HttpResponse, Refusal> {
    let (id, channel, slab) = path.into_inner();
    let digest = parts.store.image(&id, channel).await?;
    send(&parts, &id, (digest, 2), Part::Slab(slab), &request).await
}

/// A plane of a channel, packed, u fastest.
#[utoipa::path(
    get,
    path = route::IMAGE_PLANE.path,
    params(OfPlane),
    responses((status = 200, description = "Packed voxels", content_type = "application/octet-stream"))
)]
pub(crate) async fn plane(
    parts: Data<Parts>,
    of: Path<OfPlane>,
    request: HttpRequest,
) -> Result<HttpResponse, Refusal> {
    let axis: Axis = of.axis.parse().map_err(|_| Refusal::no_such_route())?;
    let geometry = parts.store.geometry(&of.id).await?;
    let layout = PlaneLayout::new(&geometry, Plane { axis, index: of.index }).map_err(|_| Refusal::no_such_route())?;
    let digest = parts.store.image(&of.id, of.channel).await?;
    send(&parts, &of.id, (digest, 2), Part::Plane(layout), &request).await
}

/// The means of a large channel's cells, packed.
#[utoipa::path(
    get,
    path = route::IMAGE_COARSE.path,
    params(("id" = CaseId, Path, description = "The case"), ("channel" = u32, Path, description = "0 for the first")),
    responses((status = 200, description = "Packed means", content_type = "application/octet-stream"))
)]
pub(crate) async fn coarse(
    parts: Data<Parts>,
    path: Path<(CaseId, u32)>,
    request: HttpRequest,
) -> Result<HttpResponse, Refusal> {
    let (id, channel) = path.into_inner();
    let digest = parts.store.image(&id, channel).await?;
    send(&parts, &id, (digest, 2), Part::Coarse, &request).await
}

/// A slab of the newest segmentation's uncertainty, packed.
#[utoipa::path(
    get,
    path = route::UNCERTAINTY_SLAB.path,
    params(
        ("id" = CaseId, Path, description = "The case"),
        ("slab" = usize, Path, description = "0 for the first"),
    ),
    responses((status = 200, description = "Packed voxels", content_type = "application/octet-stream"))
)]
pub(crate) async fn uncertainty(
    parts: Data<Parts>,
    path: Path<(CaseId, usize)>,
    request: HttpRequest,
) -> Result<HttpResponse, Refusal> {
    let (id, slab) = path.into_inner();
    let digest = parts.store.uncertainty(&id).await?;
    send(&parts, &id, (digest, 1), Part::Slab(slab), &request).await
}

/// A slab of a segmentation, packed.
#[utoipa::path(
    get,
    path = route::SEGMENTATION_SLAB.path,
    params(
        ("id" = CaseId, Path, description = "The case"),
        ("version" = String, Path, description = "`presegmentation` or `refinement-N`"),
        ("slab" = usize, Path, description = "0 for the first"),
    ),
    responses((status = 200, description = "Packed labels", content_type = "application/octet-stream"))
)]
pub(crate) async fn segmentation(
    parts: Data<Parts>,
    path: Path<(CaseId, String, usize)>,
    request: HttpRequest,
) -> Result<HttpResponse, Refusal> {
    let (id, version, slab) = path.into_inner();
    let digest = parts.store.segmentation(&id, &version).await?.labels;
    send(&parts, &id, (digest, 1), Part::Slab(slab), &request).await
}

async fn send(
    parts: &Parts,
    id: &CaseId,
    (digest, voxel_bytes): (Digest, usize),
    part: Part,
    request: &HttpRequest,
) -> Result<HttpResponse, Refusal> {
    // Blobs are named by what they hold, and the same part of the same blob is always packed alike.
    let tag = EntityTag::new_strong(digest.to_string());
    let mut answer = HttpResponse::Ok();
    answer
        .insert_header(CacheControl(vec![CacheDirective::Private, CacheDirective::NoCache]))
        .insert_header((VARY, "accept-encoding, cookie"))
        .insert_header(ETag(tag.clone()));
    let is_known = match IfNoneMatch::parse(request) {
        Ok(IfNoneMatch::Items(known)) => known.iter().any(|known| known.weak_eq(&tag)),
        _ => false,
    };
    if is_known {
        return Ok(answer.status(actix_web::http::StatusCode::NOT_MODIFIED).finish());
    }
    let dims = parts.store.dims(id).await?;
    let packed = parts.store.packed(StoredVolume { digest, dims, voxel_bytes }, part).await?;
    answer.content_type("application/octet-stream");
    if takes(request, ContentEncoding::Deflate) {
        return Ok(answer.insert_header(ContentEncoding::Deflate).body(packed));
    }
    let inflated = block(move || inflated(&packed)).await.map_err(|error| Refusal::internal(&error))?;
    Ok(answer.body(inflated.map_err(|error| Refusal::internal(&error))?))
}

fn inflated(packed: &Bytes) -> std::io::Result<Vec<u8>> {
    let mut inflated = Vec::new();
    ZlibDecoder::new(&packed[..]).read_to_end(&mut inflated)?;
    Ok(inflated)
}
