//! Volumes on a scan's grid, with what of its header places it.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use rayon::prelude::*;
use shared::label::{Label, LabelSet};
use shared::volume::Volume;

use super::format::{Format, is_segments_name};
use super::header::Voxels;
use super::nrrd::segment_pairs;
use super::{Origin, Scan, ScanError, metaimage, nrrd};

/// Writes labels on the scan's grid in the format that the name's ending says, compressed unless that is `.nii`; the
/// file appears whole or not at all.
///
/// # Errors
/// [`ScanError::Io`].
pub fn write_labels(path: &Path, labels: &Volume<Label>, origin: &Origin) -> Result<(), ScanError> {
    write(path, origin, Voxels::UINT8, labels.voxels(), &[])
}

/// As [`write_labels`]; a file whose name ends in `.seg.nrrd` names its segments.
///
/// # Errors
/// [`ScanError::Io`].
pub fn write_segmentation(
    path: &Path,
    labels: &Volume<Label>,
    origin: &Origin,
    names: &LabelSet,
) -> Result<(), ScanError> {
    let pairs = if is_segments_name(path) { segment_pairs(labels, names) } else { Vec::new() };
    write(path, origin, Voxels::UINT8, labels.voxels(), &pairs)
}

/// Labels as the bytes of an NRRD file that names its segments, packed or not.
///
/// # Errors
/// The system's.
pub fn nrrd_segmentation(labels: &Volume<Label>, names: &LabelSet, packed: bool) -> std::io::Result<Vec<u8>> {
    let (geometry, pairs) = (labels.geometry(), segment_pairs(labels, names));
    let header = nrrd::Written { geometry, datatype: Voxels::UINT8.datatype, packed, pairs: &pairs };
    let mut bytes = Vec::new();
    nrrd::write(&mut bytes, &header, labels.voxels())?;
    Ok(bytes)
}

/// Writes f32 values on the scan's grid, as [`write_labels`] does.
///
/// # Errors
/// [`ScanError::Io`].
pub fn write_f32(path: &Path, values: &Volume<f32>, origin: &Origin) -> Result<(), ScanError> {
    let bytes: Vec<u8> = values.voxels().iter().flat_map(|v| v.to_le_bytes()).collect();
    write(path, origin, Voxels::FLOAT32, &bytes, &[])
}

/// Writes whole-numbered intensities on the scan's grid, as [`write_labels`] does.
///
/// # Errors
/// [`ScanError::Io`].
pub fn write_i16(path: &Path, values: &Volume<i16>, origin: &Origin) -> Result<(), ScanError> {
    let bytes: Vec<u8> = values.voxels().iter().flat_map(|v| v.to_le_bytes()).collect();
    write(path, origin, Voxels::INT16, &bytes, &[])
}

/// `pairs` are what an NRRD file says beside.
fn write(path: &Path, origin: &Origin, kind: Voxels, voxels: &[u8], pairs: &[String]) -> Result<(), ScanError> {
    let (geometry, datatype) = (origin.geometry(), kind.datatype);
    Ok(whole(path, |file| {
        let mut file = BufWriter::new(file);
        match Format::named(path) {
            Format::Nifti => file = nifti(file, path, &origin.header.written(kind), voxels)?,
            Format::Nrrd => nrrd::write(&mut file, &nrrd::Written { geometry, datatype, packed: true, pairs }, voxels)?,
            Format::MetaImage => metaimage::write(&mut file, geometry, datatype, voxels)?,
        }
        file.flush()
    })?)
}

/// Readers go by the name's ending.
fn nifti<W: Write>(mut file: W, path: &Path, header: &[u8], voxels: &[u8]) -> std::io::Result<W> {
    if path.extension().is_some_and(|ending| ending == "gz") {
        let mut encoder = GzEncoder::new(file, Compression::fast());
        encoder.write_all(header)?;
        encoder.write_all(voxels)?;
        return encoder.finish();
    }
    file.write_all(header)?;
    file.write_all(voxels)?;
    Ok(file)
}

/// Writes a packed file, a piece at a time: of whole numbers of 16 bits where all voxels are such, in gzip's wrapping
/// but as they are, since deflating them takes longer than fetching them; else of f32.
pub(super) fn pack(out: impl Write, scan: &Scan) -> std::io::Result<()> {
    const PIECE: usize = 1 << 16;
    let (voxels, header) = (scan.volume.voxels(), &scan.origin.header);
    let is_short = |piece: &[f32]| piece.iter().fold(true, |all, v| all & (f32::from(*v as i16) == *v));
    if voxels.par_chunks(PIECE).all(is_short) {
        let mut encoder = GzEncoder::new(out, Compression::none());
        encoder.write_all(&header.written(Voxels::INT16))?;
        let mut bytes = vec![0; 2 * PIECE];
        for piece in voxels.chunks(PIECE) {
            let bytes = &mut bytes[..2 * piece.len()];
            bytes.as_chunks_mut().0.iter_mut().zip(piece).for_each(|(two, v)| *two = (*v as i16).to_le_bytes());
            encoder.write_all(bytes)?;
        }
        return encoder.finish()?.flush();
    }
    let mut encoder = GzEncoder::new(out, Compression::fast());
    encoder.write_all(&header.written(Voxels::FLOAT32))?;
    for part in voxels.chunks(PIECE) {
        encoder.write_all(&part.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>())?;
    }
    encoder.finish()?.flush()
}

/// Writes a file that appears whole or not at all: under a name that nobody has, then renamed.
///
/// # Errors
/// The system's, or what `fill` says.
pub fn whole(path: &Path, fill: impl FnOnce(&File) -> std::io::Result<()>) -> std::io::Result<()> {
    // A device or a pipe would be gone, with a file in its place.
    if path.metadata().is_ok_and(|there| !there.is_file()) {
        return Err(std::io::Error::new(std::io::ErrorKind::AlreadyExists, "what is there is no regular file"));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let partial = tempfile::Builder::new()
        .prefix(".i3deep-")
        .suffix(".partial")
        .permissions(permissions())
        .tempfile_in(folder)?;
    fill(partial.as_file())?;
    partial.as_file().sync_all()?;
    partial.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// As any new file: what the umask leaves of read and write.
#[cfg(unix)]
fn permissions() -> std::fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o666)
}
