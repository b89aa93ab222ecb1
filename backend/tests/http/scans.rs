//! Scans to upload.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use i3deep::phantom::{PhantomParams, generate};

/// What a NIfTI-1 file holds; see nifti1.h.
#[derive(Clone)]
pub(crate) struct Nifti {
    pub(crate) dim: [i16; 8],
    pub(crate) spacing_mm: [f32; 3],
    pub(crate) voxels: Vec<f32>,
}

impl Nifti {
    /// A generated scan, small enough for a network on a busy machine.
    pub(crate) fn generated() -> Self {
        let case = generate(
            &PhantomParams { dims: [32, 32, 24], spacing_mm: [1.0, 1.0, 1.5], seed: 5, ..PhantomParams::default() },
            0,
        )
        .unwrap();
        Self { dim: [3, 32, 32, 24, 1, 1, 1, 1], spacing_mm: [1.0, 1.0, 1.5], voxels: case.image.into_voxels() }
    }

    /// The `.nii` file.
    pub(crate) fn plain(&self) -> Vec<u8> {
        let mut header = vec![0_u8; 352];
        let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &348_i32.to_le_bytes());
        for (i, n) in self.dim.iter().enumerate() {
            put(40 + 2 * i, &n.to_le_bytes());
        }
        put(70, &16_i16.to_le_bytes());
        put(72, &32_i16.to_le_bytes());
        for (i, spacing) in [1.0].iter().chain(&self.spacing_mm).enumerate() {
            put(76 + 4 * i, &spacing.to_le_bytes());
        }
        put(108, &352_f32.to_le_bytes());
        put(112, &1_f32.to_le_bytes());
        // A name where scanners and converters leave one; it must never come back out.
        put(148, b"DOE^JANE 1970-01-01");
        put(254, &1_i16.to_le_bytes());
        for (row, spacing) in self.spacing_mm.iter().enumerate() {
            put(280 + 16 * row + 4 * row, &spacing.to_le_bytes());
            put(280 + 16 * row + 12, &(10.0 * row as f32).to_le_bytes());
        }
        put(344, b"n+1\0");
        header.extend(self.voxels.iter().flat_map(|v| v.to_le_bytes()));
        header
    }

    /// The `.nii.gz` file.
    pub(crate) fn packed(&self) -> Vec<u8> {
        pack(&self.plain())
    }
}

/// Gzip.
pub(crate) fn pack(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
