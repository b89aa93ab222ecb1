//! Pixels to intensities: stored bits, sign, and each slice's own slope and intercept.

use std::sync::atomic::{AtomicBool, Ordering};

use dicom_dictionary_std::tags;
use dicom_encoding::adapters::PixelDataObject;
use dicom_object::DefaultDicomObject;
use dicom_pixeldata::{DecodedPixelData, PixelDecoder, PixelRepresentation};
use rayon::prelude::*;
use shared::geometry::Geometry;
use shared::volume::Volume;

use super::codecs::Codec;
use super::heads::{Slice, integer};
use super::object::{Part, chain, open};
use super::series::Stack;
use super::{DicomError, decoded, name};
use crate::scan_io::ScanError;
use crate::scan_io::voxels::zeros;

/// Reads every slice into its place.
pub(super) fn read(stack: &Stack, geometry: &Geometry) -> Result<Volume<f32>, ScanError> {
    let plane = geometry.dims[0] * geometry.dims[1];
    let mut voxels = zeros(geometry.voxel_count())?;
    let mut places: Vec<Option<&mut [f32]>> = voxels.chunks_mut(plane).map(Some).collect();
    // Each file takes the planes that its frames fill.
    let mut work = Vec::new();
    for (file, slices) in stack.by_file() {
        let targets: Vec<(&Slice, &mut [f32])> =
            slices.into_iter().filter_map(|(z, slice)| Some((slice, places[z].take()?))).collect();
        work.push((file, targets));
    }
    // Looked at while a slice is at hand: the whole volume once more takes long.
    let are_finite = AtomicBool::new(true);
    work.into_par_iter().try_for_each(|(file, targets)| {
        let object = open(file, Part::Whole)?;
        let codec = Codec::of(object.meta().transfer_syntax().trim_end_matches(['\0', ' ']));
        for (slice, target) in targets {
            if let Some(codec) = codec {
                decoded(file, || unpack(codec, &object, slice, target))?;
            } else {
                let decode = || object.decode_pixel_data_frame(slice.frame).map_err(|error| chain(&error));
                let pixels = decoded(file, decode)?;
                fill(&pixels, slice, target).map_err(|why| DicomError::Pixels { file: name(file), why })?;
            }
            if !target.iter().fold(true, |finite, value| finite & value.is_finite()) {
                are_finite.store(false, Ordering::Relaxed);
            }
        }
        Ok::<(), DicomError>(())
    })?;
    if !are_finite.into_inner()
        && let Some(at) = voxels.iter().position(|v| !v.is_finite())
    {
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
    let stored = Stored {
        bits: u32::from(pixels.bits_stored()),
        shift: u32::from(pixels.high_bit() + 1 - pixels.bits_stored()),
        is_signed: pixels.pixel_representation() == PixelRepresentation::Signed,
    };
    let scale = stored.scale(slice);
    match size {
        1 => fill_with(target, bytes.iter().map(|byte| u32::from(*byte)), scale),
        2 => fill_with(target, bytes.as_chunks().0.iter().map(|pair| u32::from(u16::from_le_bytes(*pair))), scale),
        _ => fill_with(target, bytes.as_chunks().0.iter().map(|four| u32::from_le_bytes(*four)), scale),
    }
    Ok(())
}

/// Decodes one frame and writes its intensities.
fn unpack(codec: Codec, object: &DefaultDicomObject, slice: &Slice, target: &mut [f32]) -> Result<(), String> {
    let packed = object.frame_pixel_data(slice.frame).ok_or("which of them are this frame's is not said")?;
    let frame = codec.decode(&packed, slice.columns, slice.rows)?;
    let said = integer(object, tags::BITS_STORED).and_then(|bits| u32::try_from(bits).ok());
    let said = said.filter(|bits| (1..=16).contains(bits)).ok_or("bits stored are not said, or not 1 to 16")?;
    let is_signed = match integer(object, tags::PIXEL_REPRESENTATION) {
        Some(0) => false,
        Some(1) => true,
        _ => return Err("whether pixels are signed is not said".to_owned()),
    };
    // Where the codestream holds numbers of the same kind, those that a lossy one made too large or too small are the
    // nearest that can be stored; else it holds stored bits, whatever they say.
    let same_kind = frame.is_signed == is_signed;
    let stored = Stored { bits: if same_kind { said } else { said.min(frame.bits) }, shift: 0, is_signed };
    let least = if is_signed { -(1 << (said - 1)) } else { 0 };
    let most = least + (1 << said) - 1;
    let samples = frame.samples.iter().map(|sample| if same_kind { (*sample).clamp(least, most) } else { *sample });
    fill_with(target, samples.map(i32::cast_unsigned), stored.scale(slice));
    Ok(())
}

/// Writes the intensities of words; what is the same for all of a slice is not asked of each.
fn fill_with(target: &mut [f32], words: impl Iterator<Item = u32>, scale: Scale) {
    let Scale { stored: Stored { bits, shift, is_signed }, sign, ends, slope, intercept } = scale;
    // The stored bits at the top, so that shifting back extends the sign and drops what is not the pixel's.
    let (up, down) = (32 - bits - shift, 32 - bits);
    let intensity = |pixel: f64| ((ends + sign * pixel) * slope + intercept) as f32;
    let pairs = target.iter_mut().zip(words);
    if is_signed {
        pairs.for_each(|(value, word)| *value = intensity(f64::from((word << up).cast_signed() >> down)));
    } else if bits < 32 {
        // As a signed number, which processors turn into a float at once.
        pairs.for_each(|(value, word)| *value = intensity(f64::from(((word << up) >> down).cast_signed())));
    } else {
        pairs.for_each(|(value, word)| *value = intensity(f64::from(word)));
    }
}

/// How a pixel is stored.
#[derive(Clone, Copy)]
struct Stored {
    bits: u32,
    /// Bits below it.
    shift: u32,
    is_signed: bool,
}

/// How a slice's pixels become intensities: `(ends + sign · pixel) · slope + intercept`.
#[derive(Clone, Copy)]
struct Scale {
    stored: Stored,
    sign: f64,
    ends: f64,
    slope: f64,
    intercept: f64,
}

impl Stored {
    fn scale(self, slice: &Slice) -> Scale {
        let (sign, ends) = match slice.inverted {
            // As ITK has it: the other end of the numbers that the stored bits can hold.
            true if self.is_signed => (-1.0, -1.0),
            true => (-1.0, 2.0_f64.powi(self.bits.cast_signed()) - 1.0),
            false => (1.0, 0.0),
        };
        Scale { stored: self, sign, ends, slope: slice.slope, intercept: slice.intercept }
    }
}
