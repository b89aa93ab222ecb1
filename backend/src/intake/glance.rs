//! One file of a series as a picture, while the others are on their way: to look at, for nothing else.

use std::path::Path;

use shared::intensity::Window;

use super::IntakeError;
use crate::scan_io::{Intensities, Scan, ScanError, ScanFiles, read_origin, read_scan_files};

/// Most pixels along a side.
const SIDE: usize = 768;

/// Most voxels of a file that is read for its picture: one that holds a whole series is not.
const MOST_VOXELS: usize = 1 << 24;

/// A plane in greys, a byte a pixel, row by row, of square pixels.
#[derive(Debug, PartialEq, Eq)]
pub struct Glance {
    /// Columns and rows, 1 to 768.
    pub size: [usize; 2],
    /// From black to white.
    pub greys: Vec<u8>,
}

impl Glance {
    /// What was left by somebody who is not to be believed; nothing if it cannot be one.
    pub(super) fn believed(size: [usize; 2], greys: Vec<u8>) -> Option<Self> {
        let is_one = size.iter().all(|side| (1..=SIDE).contains(side)) && greys.len() == size[0] * size[1];
        is_one.then_some(Self { size, greys })
    }
}

/// Reads a file of a series: its plane, or the middle one of several, as it is stored, in a window of its own.
///
/// # Errors
/// As for any scan.
pub(super) fn glance(file: &Path) -> Result<Glance, IntakeError> {
    let voxels = read_origin(file)?.geometry().voxel_count();
    if voxels > MOST_VOXELS {
        return Err(ScanError::TooManyVoxels { got: voxels, limit: MOST_VOXELS }.into());
    }
    let files = ScanFiles::Series(vec![file.to_owned()]);
    let Scan { volume, .. } = read_scan_files(&files, Intensities::Stored)?;
    let ([columns, rows, planes], spacing_mm) = (volume.geometry().dims, volume.geometry().spacing_mm);
    let plane = &volume.voxels()[planes / 2 * columns * rows..][..columns * rows];
    let window = Window::automatic(plane);
    let extent_mm = [columns as f64 * spacing_mm[0], rows as f64 * spacing_mm[1]];
    let finest_mm = spacing_mm[0].min(spacing_mm[1]).max(extent_mm[0].max(extent_mm[1]) / SIDE as f64);
    let size = extent_mm.map(|mm| ((mm / finest_mm).round() as usize).clamp(1, SIDE));
    // The pixel that lies below the middle of each one that is shown.
    let nearest = |at: usize, shown: usize, stored: usize| (2 * at + 1) * stored / (2 * shown);
    let mut greys = Vec::with_capacity(size[0] * size[1]);
    for row in 0..size[1] {
        let row = &plane[nearest(row, size[1], rows) * columns..][..columns];
        greys.extend((0..size[0]).map(|column| window.grey(row[nearest(column, size[0], columns)])));
    }
    Ok(Glance { size, greys })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pictures_are_believed() {
        let check = |size: [usize; 2], bytes: usize, expected: bool| {
            assert_eq!(Glance::believed(size, vec![0; bytes]).is_some(), expected, "{size:?}");
        };
        check([3, 2], 6, true);
        check([3, 2], 7, false);
        check([0, 2], 0, false);
        check([769, 1], 769, false);
        check([usize::MAX, 2], 6, false);
    }
}
