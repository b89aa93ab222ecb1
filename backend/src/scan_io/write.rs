//! Volumes on a scan's grid, with what of its header places it.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use shared::label::Label;
use shared::volume::Volume;

use super::header::Voxels;
use super::{Origin, ScanError};

/// Writes labels on the scan's grid, compressed if the name ends in `.gz`; the file appears whole or not at all.
///
/// # Errors
/// [`ScanError::Io`].
pub fn write_labels(path: &Path, labels: &Volume<Label>, origin: &Origin) -> Result<(), ScanError> {
    write(path, origin, Voxels::UINT8, labels.voxels())
}

/// Writes f32 values on the scan's grid, compressed if the name ends in `.gz`; the file appears whole or not at all.
///
/// # Errors
/// [`ScanError::Io`].
pub fn write_f32(path: &Path, values: &Volume<f32>, origin: &Origin) -> Result<(), ScanError> {
    let bytes: Vec<u8> = values.voxels().iter().flat_map(|v| v.to_le_bytes()).collect();
    write(path, origin, Voxels::FLOAT32, &bytes)
}

/// Writes whole-numbered intensities on the scan's grid, compressed if the name ends in `.gz`; the file appears whole
/// or not at all.
///
/// # Errors
/// [`ScanError::Io`].
pub fn write_i16(path: &Path, values: &Volume<i16>, origin: &Origin) -> Result<(), ScanError> {
    let bytes: Vec<u8> = values.voxels().iter().flat_map(|v| v.to_le_bytes()).collect();
    write(path, origin, Voxels::INT16, &bytes)
}

fn write(path: &Path, origin: &Origin, kind: Voxels, voxels: &[u8]) -> Result<(), ScanError> {
    let header = origin.header.written(kind);
    // Readers go by the name's ending.
    let packed = path.extension().is_some_and(|ending| ending == "gz");
    Ok(whole(path, |file| {
        let mut file = BufWriter::new(file);
        if packed {
            let mut encoder = GzEncoder::new(file, Compression::fast());
            encoder.write_all(&header)?;
            encoder.write_all(voxels)?;
            file = encoder.finish()?;
        } else {
            file.write_all(&header)?;
            file.write_all(voxels)?;
        }
        file.flush()
    })?)
}

/// A packed file of f32 in memory.
pub(super) fn packed_f32(values: &Volume<f32>, origin: &Origin) -> Result<Vec<u8>, ScanError> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&origin.header.written(Voxels::FLOAT32))?;
    for part in values.voxels().chunks(1 << 14) {
        encoder.write_all(&part.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>())?;
    }
    Ok(encoder.finish()?)
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
