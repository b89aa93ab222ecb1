//! Pixels to intensities: stored bits, sign, and each slice's own slope and intercept.

use dicom_object::OpenFileOptions;
use dicom_pixeldata::{DecodedPixelData, PixelDecoder, PixelRepresentation};
use rayon::prelude::*;
use shared::geometry::Geometry;
use shared::volume::Volume;

use super::heads::{Slice, chain};
use super::series::Stack;
use super::{DicomError, decoded, name};
use crate::scan_io::ScanError;

/// Reads every slice into its place.
pub(super) fn read(stack: &Stack, geometry: &Geometry) -> Result<Volume<f32>, ScanError> {
    let plane = geometry.dims[0] * geometry.dims[1];
    let mut voxels: Vec<f32> = Vec::new();
    voxels
        .try_reserve_exact(geometry.voxel_count())
        .map_err(|_| ScanError::NoMemory { mib: geometry.voxel_count() >> 18 })?;
    voxels.resize(geometry.voxel_count(), 0.0);
    let mut places: Vec<Option<&mut [f32]>> = voxels.chunks_mut(plane).map(Some).collect();
    // Each file takes the planes that its frames fill.
    let mut work = Vec::new();
    for (file, slices) in stack.by_file() {
        let targets: Vec<(&Slice, &mut [f32])> =
            slices.into_iter().filter_map(|(z, slice)| Some((slice, places[z].take()?))).collect();
        work.push((file, targets));
    }
    work.into_par_iter().try_for_each(|(file, targets)| {
        let unreadable = |error: &dyn std::error::Error| DicomError::Unreadable { file: name(file), why: chain(error) };
        let object = OpenFileOptions::new().open_file(file).map_err(|error| unreadable(&error))?;
        for (slice, target) in targets {
            let decode = || object.decode_pixel_data_frame(slice.frame).map_err(|error| chain(&error));
            let pixels = decoded(file, decode)?;
            fill(&pixels, slice, target).map_err(|why| DicomError::Pixels { file: name(file), why })?;
        }
        Ok::<(), DicomError>(())
    })?;
    if let Some(at) = voxels.iter().position(|v| !v.is_finite()) {
        return Err(ScanError::NotFinite {
            voxel: Geometry::voxel_at(at, geometry.dims),
            value: f64::from(voxels[at]),
        });
    }
    Ok(Volume::new(geometry.clone(), voxels)?)
}

/// Writes one frame's intensities.
fn fill(pixels: &DecodedPixelData<'_>, slice: &Slice, target: &mut [f32]) -> Result<(), String> {
    let size = usize::from(pixels.bits_allocated()) / 8;
    let bytes = pixels.data();
    if !matches!(size, 1 | 2 | 4)
        || pixels.bits_stored() == 0
        || pixels.bits_stored() > pixels.bits_allocated()
        || pixels.high_bit() >= pixels.bits_allocated()
        || pixels.high_bit() + 1 < pixels.bits_stored()
    {
        return Err(format!("pixels of {} bits in {}", pixels.bits_stored(), pixels.bits_allocated()));
    }
    if bytes.len() < target.len() * size {
        return Err(format!("{} bytes of pixels are there, {} are needed", bytes.len(), target.len() * size));
    }
    let (stored, shift) = (u32::from(pixels.bits_stored()), u32::from(pixels.high_bit() + 1 - pixels.bits_stored()));
    let signed = pixels.pixel_representation() == PixelRepresentation::Signed;
    // As ITK has it: the other end of the numbers that the stored bits can hold.
    let ends = if signed { -1.0 } else { 2.0_f64.powi(stored as i32) - 1.0 };
    for (value, chunk) in target.iter_mut().zip(bytes.chunks_exact(size)) {
        let mut wide = [0; 4];
        wide[..size].copy_from_slice(chunk);
        // The stored bits at the top, so that shifting back extends the sign and drops what is not the pixel's.
        let raised = u32::from_le_bytes(wide) << (32 - stored - shift);
        let pixel =
            if signed { f64::from(raised.cast_signed() >> (32 - stored)) } else { f64::from(raised >> (32 - stored)) };
        let pixel = if slice.inverted { ends - pixel } else { pixel };
        *value = (pixel * slice.slope + slice.intercept) as f32;
    }
    Ok(())
}
