//! Series whose pixels only a process that the kernel holds may decode ([`super::codecs`]), seen from one that it does
//! not hold: it starts this program's own `unpack`, which says where the volume lies and leaves its voxels in a folder.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};
use shared::api::ErrorCode;
use shared::geometry::Geometry;
use shared::volume::Volume;

use super::{DicomError, read_series};
use crate::scan_io::{Intensities, Origin, Scan, ScanError};

/// The program that has `unpack`.
static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// What `unpack` answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub enum Unpacked {
    /// The voxels lie in the folder.
    Read {
        /// Where they lie in space.
        geometry: Geometry,
    },
    /// They do not.
    Refused {
        /// For programs.
        code: ErrorCode,
        /// What, why, and what to do.
        message: String,
    },
}

/// Says which program has `unpack`; without, series that need it are refused.
pub fn unpack_with(program: PathBuf) {
    // Said once, at the start.
    let _ = PROGRAM.set(program);
}

/// Where the voxels lie: f32, little-endian, x fastest.
fn voxels_file(folder: &Path) -> PathBuf {
    folder.join("voxels")
}

/// Unpacks a series into a folder, in a process that is held.
///
/// # Errors
/// Only where the folder cannot be written.
pub fn unpack(files: &[PathBuf], intensities: Intensities, folder: &Path) -> io::Result<Unpacked> {
    let scan = match read_series(files, intensities) {
        Ok(scan) => scan,
        Err(error) => return Ok(Unpacked::Refused { code: error.code(), message: error.to_string() }),
    };
    let mut file = io::BufWriter::new(std::fs::File::create(voxels_file(folder))?);
    for voxel in scan.volume.voxels() {
        file.write_all(&voxel.to_le_bytes())?;
    }
    file.flush()?;
    Ok(Unpacked::Read { geometry: scan.volume.geometry().clone() })
}

/// Has a series unpacked.
pub(super) fn read_apart(files: &[PathBuf], intensities: Intensities) -> Result<Scan, ScanError> {
    let unable = |why: String| DicomError::Pixels { file: super::name(&files[0]), why };
    let program = PROGRAM.get().ok_or_else(|| unable("this program decodes none of its kind".to_owned()))?;
    let folder = tempfile::tempdir()?;
    let mut child = Command::new(program)
        .args(["unpack", "--out"])
        .arg(folder.path())
        .args((intensities == Intensities::SuvBw).then_some("--pet-suv"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(&serde_json::to_vec(files).map_err(io::Error::other)?)?;
    }
    let output = child.wait_with_output()?;
    let died = || unable("the process that decodes them stopped on these; they are damaged, or too large".to_owned());
    match serde_json::from_slice(&output.stdout).map_err(|_| died())? {
        Unpacked::Refused { code, message } => Err(DicomError::Apart { code, message }.into()),
        Unpacked::Read { geometry } => {
            let bytes = std::fs::read(voxels_file(folder.path()))?;
            let (voxels, _) = bytes.as_chunks::<4>();
            let voxels = voxels.iter().map(|voxel| f32::from_le_bytes(*voxel)).collect();
            let origin = Origin::of_geometry(&geometry);
            Ok(Scan { volume: Volume::new(geometry, voxels)?, origin })
        }
    }
}
