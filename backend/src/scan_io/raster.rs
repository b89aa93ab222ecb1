//! What NRRD and MetaImage have in common: a header of text that says how voxels lie and are packed, under the same
//! limits as NIfTI's.

use std::io::{BufRead, Read};
use std::path::{Component, Path};

use serde::{Deserialize, Serialize};
use shared::geometry::{Affine, Geometry};

use super::ScanError;
use super::gate::damaged;
use super::header::Header;
use super::nifti::{Origin, check_voxels, extents};
use super::voxels::voxel_size;

/// The longest header; segmentations of a whole body fill some kilobytes.
const HEADER_LIMIT: u64 = 1 << 20;

/// NIfTI's code of a voxel type, and what NRRD and MetaImage call it when they write it.
pub(super) const TYPES: [(i16, &str, &str); 10] = [
    (2, "uint8", "MET_UCHAR"),
    (4, "int16", "MET_SHORT"),
    (8, "int32", "MET_INT"),
    (16, "float", "MET_FLOAT"),
    (64, "double", "MET_DOUBLE"),
    (256, "int8", "MET_CHAR"),
    (512, "uint16", "MET_USHORT"),
    (768, "uint32", "MET_UINT"),
    (1024, "int64", "MET_LONG_LONG"),
    (1280, "uint64", "MET_ULONG_LONG"),
];

/// How voxels are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    None,
    Gzip,
    Zlib,
}

/// Bytes between the beginning of the voxels' file, or the header's end, and the first voxel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Skip {
    Bytes(u64),
    /// The voxels end where the file ends.
    ToTheEnd,
}

/// A segment's name and the value of its voxels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedSegment {
    /// What its voxels hold.
    pub value: u8,
    /// What it is called.
    pub name: String,
}

/// What a header says.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub(super) origin: Origin,
    pub(super) packing: Packing,
    pub(super) skip: Skip,
    /// The name of the file that holds the voxels; none if they follow the header.
    pub(super) detached: Option<String>,
    /// The segments that it names.
    pub(super) segments: Vec<NamedSegment>,
}

/// What a format's header has to say for a [`Layout`].
pub(super) struct Said {
    /// In words.
    pub(super) format: &'static str,
    pub(super) sizes: Vec<i64>,
    /// World (LPS, mm) from voxel: columns for x, y and z, then the first voxel's place.
    pub(super) columns: [[f64; 3]; 4],
    /// NIfTI's code.
    pub(super) datatype: i16,
    pub(super) big_endian: bool,
    pub(super) packing: Packing,
    pub(super) skip: Skip,
    pub(super) detached: Option<String>,
    pub(super) segments: Vec<NamedSegment>,
}

/// A header that cannot be used, in words.
pub(super) fn bad(format: &'static str, problem: impl Into<String>) -> ScanError {
    ScanError::TextHeader { format, problem: problem.into() }
}

impl Said {
    pub(super) fn layout(self) -> Result<Layout, ScanError> {
        let Ok(sizes) = <[i64; 3]>::try_from(&self.sizes[..]) else {
            return Err(ScanError::NotThreeDimensional(format!("{} ({:?})", self.sizes.len(), self.sizes)));
        };
        let dims = extents(sizes)?;
        let spacing = [0, 1, 2].map(|axis| self.columns[axis].iter().map(|v| v * v).sum::<f64>().sqrt());
        let geometry = Geometry::new(dims, spacing, ras(self.columns))?;
        check_voxels(&geometry)?;
        voxel_size(self.datatype)?;
        if self.packing != Packing::None && self.skip != Skip::Bytes(0) {
            return Err(bad(self.format, "it skips bytes of a packed stream. Save it again"));
        }
        if let Some(name) = self.detached.as_ref().filter(|name| !is_plain(name)) {
            let problem = format!("its voxels are to lie in another folder ({name}). Put them beside it");
            return Err(bad(self.format, problem));
        }
        let mut origin = Origin::of_geometry(&geometry);
        origin.header = Header { datatype: self.datatype, big_endian: self.big_endian, ..origin.header };
        Ok(Layout { origin, packing: self.packing, skip: self.skip, detached: self.detached, segments: self.segments })
    }
}

/// Whether a name is that of a file and leads nowhere else.
fn is_plain(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None)) && !name.contains('\\')
}

/// From columns in LPS to an affine in RAS: x and y run the other way.
fn ras(columns: [[f64; 3]; 4]) -> Affine {
    std::array::from_fn(|row| columns.map(|column| if row < 2 { -column[row] } else { column[row] }))
}

/// Columns in LPS of a geometry's affine.
pub(super) fn lps_columns(geometry: &Geometry) -> [[f64; 3]; 4] {
    std::array::from_fn(|column| {
        std::array::from_fn(|row| {
            let value = geometry.world_from_voxel[row][column];
            // No negative zero: it would be written.
            if row < 2 { 0.0 - value } else { value }
        })
    })
}

/// The lines of a header up to the one that ends it.
pub(super) fn lines(
    file: &mut impl BufRead,
    format: &'static str,
    is_last: impl Fn(&str) -> bool,
) -> Result<Vec<String>, ScanError> {
    let mut left = file.take(HEADER_LIMIT);
    let mut lines = Vec::new();
    loop {
        let mut bytes = Vec::new();
        left.read_until(b'\n', &mut bytes).map_err(damaged)?;
        if bytes.last() != Some(&b'\n') {
            return Err(bad(format, "it does not end. The file is cut off, or is none; export it again"));
        }
        let line = String::from_utf8_lossy(&bytes).trim_end_matches(['\n', '\r']).to_owned();
        let last = is_last(&line);
        lines.push(line);
        if last {
            return Ok(lines);
        }
    }
}

/// Numbers between blanks, all of them finite.
pub(super) fn numbers(text: &str) -> Option<Vec<f64>> {
    text.split_whitespace().map(|word| word.parse().ok().filter(|value: &f64| value.is_finite())).collect()
}

/// Three of them.
pub(super) fn three(text: &str) -> Option<[f64; 3]> {
    numbers(text)?.try_into().ok()
}

/// As many whole numbers as there are.
pub(super) fn whole_numbers(text: &str) -> Option<Vec<i64>> {
    text.split_whitespace().map(|word| word.parse().ok()).collect()
}
