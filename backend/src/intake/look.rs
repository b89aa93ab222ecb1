//! Every check that a scan has to pass before anything of it is kept.

use std::path::PathBuf;

use bytes::Bytes;
use shared::api::ImageInfo;
use shared::geometry::Geometry;
use shared::intensity::{Quantised, Window};

use super::IntakeError;
use crate::scan_io::read_scan_bytes;

/// A scan that has passed all checks.
#[derive(Debug)]
pub struct Looked {
    /// The grid that all channels share.
    pub geometry: Geometry,
    /// Channels in order.
    pub images: Vec<Channel>,
}

/// A channel as it is kept.
#[derive(Debug)]
pub struct Channel {
    /// How the browser shows it.
    pub info: ImageInfo,
    /// The scan's file.
    pub file: Bytes,
    /// Voxels for the browser: u16 little-endian, x fastest.
    pub voxels: Bytes,
}

/// Reads a scan's files, one a channel, and checks that they are scans on one grid.
///
/// # Errors
/// [`IntakeError::Scan`], [`IntakeError::GridsDiffer`], [`IntakeError::NoImage`] or [`IntakeError::Disk`].
pub fn look_through(files: &[PathBuf], channels: &[String]) -> Result<Looked, IntakeError> {
    let mut geometry: Option<Geometry> = None;
    let mut images = Vec::new();
    for (file, channel) in files.iter().zip(channels) {
        let bytes = std::fs::read(file).map_err(IntakeError::Disk)?;
        let volume = read_scan_bytes(&bytes).map_err(|error| IntakeError::Scan { channel: channel.clone(), error })?.volume;
        let first = geometry.get_or_insert_with(|| volume.geometry().clone());
        volume.geometry().check_same_grid(first).map_err(|difference| IntakeError::GridsDiffer { channel: channel.clone(), difference })?;
        let window = Window::from_percentiles(volume.voxels(), 0.5, 99.5);
        let packed = Quantised::new(volume.voxels());
        let info = ImageInfo { channel: channel.clone(), minimum: packed.minimum, step: packed.step, window };
        let voxels: Vec<u8> = packed.voxels.iter().flat_map(|voxel| voxel.to_le_bytes()).collect();
        images.push(Channel { info, file: bytes.into(), voxels: voxels.into() });
    }
    Ok(Looked { geometry: geometry.ok_or(IntakeError::NoImage)?, images })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use shared::volume::Volume;

    use super::*;
    use crate::scan_io::{Origin, write_f32};

    /// Writes a scan of zeros with these voxels and this spacing.
    fn scan(folder: &Path, name: &str, dims: [usize; 3], spacing_mm: f64) -> PathBuf {
        let geometry = Geometry::axis_aligned(dims, [spacing_mm; 3]).unwrap();
        let file = folder.join(name);
        write_f32(&file, &Volume::filled(geometry.clone(), 0.0), &Origin::of_geometry(&geometry)).unwrap();
        file
    }

    #[test]
    fn channels_must_share_a_grid() {
        let folder = tempfile::tempdir().unwrap();
        let channels = ["T1".to_owned(), "T2".to_owned()];
        let check = |dims: [usize; 3], spacing_mm: f64, expected: Result<usize, &str>| {
            let files = [scan(folder.path(), "1.nii.gz", [4, 5, 6], 1.0), scan(folder.path(), "2.nii.gz", dims, spacing_mm)];
            let got = look_through(&files, &channels).map(|scan| scan.images.len()).map_err(|error| error.to_string());
            assert_eq!(got, expected.map_err(str::to_owned));
        };
        check([4, 5, 6], 1.0, Ok(2));
        check(
            [4, 5, 7],
            1.0,
            Err("T2 has 4 × 5 × 7 voxels instead of 4 × 5 × 6. Channels must share one grid; resample it onto the first"),
        );
        check(
            [4, 5, 6],
            1.5,
            Err("T2 has voxels of 1.5 × 1.5 × 1.5 mm instead of 1 × 1 × 1. Channels must share one grid; resample it onto the first"),
        );
    }
}
