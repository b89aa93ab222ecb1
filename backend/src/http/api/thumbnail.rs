//! A case in small, for the list: one plane of its first channel, with what is segmented there.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path};
use shared::api::{CaseDetail, route};
use shared::case::CaseId;
use shared::geometry::{Axis, Plane};
use shared::label::{BACKGROUND, Label, LabelInfo};

use super::{Parts, Refusal};

/// Pixels along each side: twice what the list shows.
const SIDE: usize = 112;
/// How much of a label's colour lies over the scan.
const OPACITY: f64 = 0.55;

/// A small picture of a case.
#[utoipa::path(
    get,
    path = route::THUMBNAIL.path,
    params(("id" = CaseId, Path, description = "The case")),
    responses((status = 200, description = "A picture", content_type = "image/png"))
)]
pub(crate) async fn show(parts: Data<Parts>, id: Path<CaseId>) -> Result<HttpResponse, Refusal> {
    let detail = parts.store.case(&id).await?;
    let plane = plane(&detail);
    // Planes along the last stored axis lie together on the disk: only this one is read, however large the scan.
    let count = (detail.geometry.dims[0] * detail.geometry.dims[1]) as u64;
    let part = plane.index as u64 * count..(plane.index as u64 + 1) * count;
    let blobs = parts.store.blobs();
    let image = blobs.part(&parts.store.image(&id, 0).await?, 2 * part.start..2 * part.end).await?;
    let labels = match detail.versions.last() {
        Some(version) => blobs.part(&parts.store.segmentation(&id, version).await?.labels, part).await?,
        None => Default::default(),
    };
    let voxels: Vec<u16> = image.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    let picture = picture(&detail, plane.axis, &voxels, &labels).map_err(|error| Refusal::internal(&error))?;
    Ok(HttpResponse::Ok().content_type("image/png").body(picture))
}

/// The slice of the first rank that lies together on the disk, else the middle.
fn plane(detail: &CaseDetail) -> Plane {
    let axis = detail.geometry.axis_of_stored(2);
    let offered = detail.slices.iter().flat_map(|list| &list.slices).map(|slice| slice.plane());
    offered
        .into_iter()
        .find(|plane| plane.axis == axis && detail.geometry.check_plane(*plane).is_ok())
        .unwrap_or(Plane { axis, index: detail.geometry.dims[2] / 2 })
}

/// A plane along the last stored axis as readers see it, in a square, as PNG.
fn picture(detail: &CaseDetail, axis: Axis, voxels: &[u16], labels: &[Label]) -> Result<Vec<u8>, png::EncodingError> {
    let view = detail.geometry.plane_view(axis);
    let (across, down) = (view.horizontal, view.vertical);
    let dims = detail.geometry.dims;
    let extent_mm = [across, down].map(|stored| dims[stored] as f64 * detail.geometry.spacing_mm[stored]);
    let longer_mm = extent_mm[0].max(extent_mm[1]);
    // The cells that a pixel covers along one side, from the first to the one after the last.
    let covered = |stored: usize, extent_mm: f64, flipped: bool, pixel: usize| {
        let cell = |pixel: f64| {
            let at_mm = pixel / SIDE as f64 * longer_mm - (longer_mm - extent_mm) / 2.0;
            at_mm / detail.geometry.spacing_mm[stored]
        };
        let (from, to) = (cell(pixel as f64), cell(pixel as f64 + 1.0));
        let is_inside = (from + to) / 2.0 >= 0.0 && (from + to) / 2.0 < dims[stored] as f64;
        let first = (from.max(0.0) as usize).min(dims[stored] - 1);
        let end = (to.ceil().max(0.0) as usize).clamp(first + 1, dims[stored]);
        let range = if flipped { dims[stored] - end..dims[stored] - first } else { first..end };
        is_inside.then_some(range)
    };
    let columns: Vec<_> = (0..SIDE).map(|pixel| covered(across, extent_mm[0], view.flip_horizontal, pixel)).collect();
    let image = detail.images.first();
    let grey = |voxel: u16| image.map_or(0, |image| image.window.grey(image.minimum + image.step * f32::from(voxel)));
    let mut pixels = vec![0; 3 * SIDE * SIDE];
    for (number, pixel) in pixels.chunks_exact_mut(3).enumerate() {
        let rows = covered(down, extent_mm[1], view.flip_vertical, number / SIDE);
        let (Some(columns), Some(rows)) = (columns[number % SIDE].clone(), rows) else { continue };
        let offset = |column: usize, row: usize| {
            let mut at = [0; 3];
            (at[across], at[down]) = (column, row);
            at[0] + at[1] * dims[0]
        };
        let all = || rows.clone().flat_map(|row| columns.clone().map(move |column| (column, row)));
        let greys: usize = all()
            .filter_map(|(column, row)| voxels.get(offset(column, row)))
            .map(|voxel| usize::from(grey(*voxel)))
            .sum();
        let mean = (greys / (rows.len() * columns.len())) as f64;
        let label =
            all().find_map(|(column, row)| labels.get(offset(column, row)).filter(|label| **label != BACKGROUND));
        let rgb = label.and_then(|label| detail.labels.find(*label)).map(LabelInfo::rgb);
        for (channel, value) in pixel.iter_mut().enumerate() {
            *value = match rgb {
                Some(rgb) => mean * (1.0 - OPACITY) + f64::from(rgb[channel]) * OPACITY,
                None => mean,
            } as u8;
        }
    }
    encoded(&pixels)
}

fn encoded(pixels: &[u8]) -> Result<Vec<u8>, png::EncodingError> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, SIDE as u32, SIDE as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.write_header()?.write_image_data(pixels)?;
    Ok(bytes)
}
