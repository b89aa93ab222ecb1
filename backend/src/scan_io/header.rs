//! What a NIfTI header says, in versions 1 and 2 alike, and what is kept of it: numbers that place voxels. Texts,
//! extensions, intents and everything else that may name a patient are never read.

use nifti::{Endianness, NiftiHeader};
use shared::geometry::{Affine, Geometry};

use super::ScanError;

/// Bytes of a NIfTI-1 header.
pub(super) const HEADER_BYTES: usize = 348;
/// Header and the flag of the extensions that may follow.
pub(super) const VOXELS_AT: usize = 352;
/// Bytes of a NIfTI-2 header.
const SECOND_HEADER_BYTES: usize = 540;
/// The longest beginning that [`Header::parse`] wants to see.
pub(super) const LONGEST_HEADER: usize = SECOND_HEADER_BYTES;

/// A header's numbers, in the file's own unit.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Header {
    /// Number of dimensions, then extents.
    pub(super) dim: [i64; 8],
    pub(super) pixdim: [f64; 8],
    pub(super) datatype: i16,
    pub(super) vox_offset: f64,
    pub(super) slope: f64,
    pub(super) intercept: f64,
    pub(super) units: u8,
    pub(super) qform_code: i32,
    pub(super) sform_code: i32,
    pub(super) quatern: [f64; 3],
    pub(super) offset: [f64; 3],
    pub(super) srow: Affine,
    pub(super) big_endian: bool,
    /// Whether voxels are in a file of their own (`.hdr` and `.img`).
    pub(super) is_pair: bool,
    /// NIfTI-2.
    pub(super) is_second: bool,
}

impl Header {
    /// Reads the header at a file's beginning.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, ScanError> {
        if bytes.len() < HEADER_BYTES {
            return Err(ScanError::NotNifti(format!(
                "it holds {} bytes, a NIfTI header alone has {HEADER_BYTES}",
                bytes.len()
            )));
        }
        if let b"n+2\0" | b"ni2\0" = &bytes[4..8] {
            return Self::parse_second(bytes);
        }
        match &bytes[344..348] {
            b"n+1\0" | b"ni1\0" => {}
            _ if [348_i32.to_le_bytes(), 348_i32.to_be_bytes()].iter().any(|size| bytes.starts_with(size)) => {
                return Err(ScanError::NotNifti(
                    "it is an Analyze 7.5 header, which does not say which side is left".into(),
                ));
            }
            _ if bytes.get(128..132) == Some(b"DICM") => {
                return Err(ScanError::NotNifti("it is a DICOM file".into()));
            }
            _ => return Err(ScanError::NotNifti(what_it_is(bytes).into())),
        }
        let header = NiftiHeader::from_reader(bytes).map_err(|error| ScanError::NotNifti(error.to_string()))?;
        Ok(Self {
            dim: header.dim.map(|n| i64::from(n.cast_signed())),
            pixdim: header.pixdim.map(f64::from),
            datatype: header.datatype,
            vox_offset: f64::from(header.vox_offset),
            slope: f64::from(header.scl_slope),
            intercept: f64::from(header.scl_inter),
            units: header.xyzt_units,
            qform_code: i32::from(header.qform_code),
            sform_code: i32::from(header.sform_code),
            quatern: [header.quatern_b, header.quatern_c, header.quatern_d].map(f64::from),
            offset: [header.quatern_x, header.quatern_y, header.quatern_z].map(f64::from),
            srow: [header.srow_x, header.srow_y, header.srow_z].map(|row| row.map(f64::from)),
            big_endian: header.endianness == Endianness::Big,
            is_pair: bytes[344..348] == *b"ni1\0",
            is_second: false,
        })
    }

    /// NIfTI-2, by the offsets of nifti2.h; the `nifti` crate reads version 1 alone.
    fn parse_second(bytes: &[u8]) -> Result<Self, ScanError> {
        if bytes.len() < SECOND_HEADER_BYTES {
            return Err(ScanError::NotNifti(format!(
                "it holds {} bytes, a NIfTI-2 header alone has {SECOND_HEADER_BYTES}",
                bytes.len()
            )));
        }
        let big_endian = match bytes[..4] {
            [0x1c, 2, 0, 0] => false,
            [0, 0, 2, 0x1c] => true,
            _ => return Err(ScanError::NotNifti("its NIfTI-2 header has a wrong size".into())),
        };
        let field = Field { bytes, big_endian };
        let floats = |at: usize| [0, 1, 2].map(|i| field.double(at + 8 * i));
        Ok(Self {
            dim: std::array::from_fn(|i| field.long(16 + 8 * i)),
            pixdim: std::array::from_fn(|i| field.double(104 + 8 * i)),
            datatype: field.short(12),
            vox_offset: field.long(168) as f64,
            slope: field.double(176),
            intercept: field.double(184),
            units: (field.int(500) & 0xff) as u8,
            qform_code: field.int(344),
            sform_code: field.int(348),
            quatern: floats(352),
            offset: floats(376),
            srow: std::array::from_fn(|row| std::array::from_fn(|column| field.double(400 + 32 * row + 8 * column))),
            big_endian,
            is_pair: bytes[4..8] == *b"ni2\0",
            is_second: true,
        })
    }

    /// A header for a volume that comes from no scan: millimetres, sform holds scanner coordinates.
    pub(super) fn of_geometry(geometry: &Geometry) -> Self {
        let mut dim = [1; 8];
        dim[0] = 3;
        let mut pixdim = [0.0; 8];
        pixdim[0] = 1.0;
        for axis in 0..3 {
            dim[axis + 1] = geometry.dims[axis] as i64;
            pixdim[axis + 1] = geometry.spacing_mm[axis];
        }
        Self {
            dim,
            pixdim,
            datatype: 0,
            vox_offset: VOXELS_AT as f64,
            slope: 1.0,
            intercept: 0.0,
            units: 2,
            qform_code: 0,
            sform_code: 1,
            quatern: [0.0; 3],
            offset: [0.0; 3],
            srow: geometry.world_from_voxel,
            big_endian: false,
            is_pair: false,
            is_second: false,
        }
    }

    /// Whether the file holds one plane: two dimensions, as nnU-Net's 2D data sets have it.
    pub(super) fn is_flat(&self) -> bool {
        self.dim[0] == 2
    }

    /// Millimetres from the file's unit; an unknown unit is millimetres, as ITK has it.
    pub(super) fn mm_per_unit(&self) -> f64 {
        match self.units & 7 {
            1 => 1000.0,
            3 => 1e-3,
            _ => 1.0,
        }
    }

    /// The 352 bytes of a NIfTI-1 file before its voxels: the same place in space, three dimensions (two if the scan
    /// has two), nothing else.
    pub(super) fn written(&self, voxels: Voxels) -> [u8; VOXELS_AT] {
        let mut bytes = [0; VOXELS_AT];
        let mut put = |offset: usize, field: &[u8]| bytes[offset..offset + field.len()].copy_from_slice(field);
        let rank = if self.is_flat() { 2 } else { 3 };
        put(0, &348_i32.to_le_bytes());
        put(38, b"r");
        put(40, &(rank as i16).to_le_bytes());
        for axis in 1..8 {
            let extent = if axis <= rank { self.dim[axis] as i16 } else { 1 };
            put(40 + 2 * axis, &extent.to_le_bytes());
        }
        put(70, &voxels.datatype.to_le_bytes());
        put(72, &voxels.bits.to_le_bytes());
        for (at, size) in self.pixdim[..4].iter().enumerate() {
            put(76 + 4 * at, &(*size as f32).to_le_bytes());
        }
        put(108, &(VOXELS_AT as f32).to_le_bytes());
        put(112, &(voxels.slope as f32).to_le_bytes());
        put(116, &(voxels.intercept as f32).to_le_bytes());
        put(123, &[self.units & 7]);
        // Codes below 0 mean what 0 means.
        put(252, &(self.qform_code.max(0) as i16).to_le_bytes());
        put(254, &(self.sform_code.max(0) as i16).to_le_bytes());
        for (at, value) in self.quatern.iter().chain(&self.offset).chain(self.srow.iter().flatten()).enumerate() {
            put(256 + 4 * at, &(*value as f32).to_le_bytes());
        }
        put(344, b"n+1\0");
        bytes
    }
}

/// What the voxels behind a written header are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Voxels {
    pub(super) datatype: i16,
    pub(super) bits: i16,
    pub(super) slope: f64,
    pub(super) intercept: f64,
}

impl Voxels {
    pub(super) const UINT8: Self = Self::plain(2, 8);
    pub(super) const INT16: Self = Self::plain(4, 16);
    pub(super) const FLOAT32: Self = Self::plain(16, 32);

    const fn plain(datatype: i16, bits: i16) -> Self {
        Self { datatype, bits, slope: 1.0, intercept: 0.0 }
    }
}

/// What a file without NIfTI's signature is, by its own.
fn what_it_is(bytes: &[u8]) -> &'static str {
    const KNOWN: [(&[u8], &str); 9] = [
        (b"\x1f\x8b", "it is a gzip file within a gzip file; unpack it once"),
        (b"BZh", "it is packed with bzip2; unpack it"),
        (b"\xfd7zXZ", "it is packed with xz; unpack it"),
        (b"\x28\xb5\x2f\xfd", "it is packed with zstd; unpack it"),
        (b"PK\x03\x04", "it is a zip archive; unpack it"),
        (b"\x89HDF", "it is an HDF5 file, such as MINC 2; save it as NIfTI"),
        (b"\x89PNG", "it is a PNG picture"),
        (b"II*\0", "it is a TIFF picture"),
        (b"MM\0*", "it is a TIFF picture"),
    ];
    let known = KNOWN.iter().find(|(signature, _)| bytes.starts_with(signature));
    known.map_or("the NIfTI signature is missing", |(_, words)| words)
}

struct Field<'a> {
    bytes: &'a [u8],
    big_endian: bool,
}

impl Field<'_> {
    fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        let mut array = [0; N];
        array.copy_from_slice(&self.bytes[at..at + N]);
        if self.big_endian {
            array.reverse();
        }
        array
    }

    fn short(&self, at: usize) -> i16 {
        i16::from_le_bytes(self.array(at))
    }

    fn int(&self, at: usize) -> i32 {
        i32::from_le_bytes(self.array(at))
    }

    fn long(&self, at: usize) -> i64 {
        i64::from_le_bytes(self.array(at))
    }

    fn double(&self, at: usize) -> f64 {
        f64::from_le_bytes(self.array(at))
    }
}
