//! Single-file NIfTI-1 volumes: read through the gate, written with the header of the scan they belong to.

use std::fs;
use std::io::{BufWriter, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use nifti::{Endianness, NiftiHeader};
use shared::geometry::Geometry;
use shared::label::Label;
use shared::volume::Volume;

use super::gate::unpack;
use super::{ScanError, affine};

const HEADER_BYTES: usize = 348;
/// Header and the empty extension flag.
const VOXELS_AT: usize = 352;

/// Where a scan comes from: its header, kept so that what is made from the scan lies where the scan lies. Free text is blanked: it may name the patient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    bytes: [u8; HEADER_BYTES],
    big_endian: bool,
}

/// A scan as read.
#[derive(Clone, Debug)]
pub struct Scan {
    /// Intensities after the header's slope and intercept (computed in f64, as SimpleITK and nibabel do), x fastest.
    pub volume: Volume<f32>,
    /// For what is written on its grid.
    pub origin: Origin,
}

/// Reads a scan.
///
/// # Errors
/// [`ScanError`] for anything that is not a complete, finite, three-dimensional NIfTI-1 volume.
pub fn read_scan(path: &Path) -> Result<Scan, ScanError> {
    read_scan_bytes(&fs::read(path)?)
}

/// Reads a scan from the bytes of a `.nii` or `.nii.gz` file.
///
/// # Errors
/// As [`read_scan`].
pub fn read_scan_bytes(bytes: &[u8]) -> Result<Scan, ScanError> {
    let bytes = unpack(bytes, VOXELS_AT, promised_bytes)?;
    let header = parse_header(&bytes)?;
    let geometry = geometry(&header)?;
    let big_endian = header.endianness == Endianness::Big;
    let volume = Volume::new(geometry, decode(&bytes, &header, big_endian)?)?;
    Ok(Scan { volume, origin: Origin::new(&bytes, big_endian) })
}

/// Reads a scan's header alone.
///
/// # Errors
/// As [`read_scan`].
pub fn read_origin(path: &Path) -> Result<Origin, ScanError> {
    // Whole, because a compressed file's beginning is only known to be right when its checksum is.
    let bytes = unpack(&fs::read(path)?, VOXELS_AT, promised_bytes)?;
    let header = parse_header(&bytes)?;
    Ok(Origin::new(&bytes, header.endianness == Endianness::Big))
}

/// Reads a label volume.
///
/// # Errors
/// As [`read_scan`], and [`ScanError::NotALabel`].
pub fn read_labels(path: &Path) -> Result<Volume<Label>, ScanError> {
    let volume = read_scan(path)?.volume;
    let dims = volume.geometry().dims;
    if let Some((at, value)) = volume.voxels().iter().enumerate().find(|(_, v)| v.fract() != 0.0 || !(0.0..=255.0).contains(*v)) {
        return Err(ScanError::NotALabel { voxel: Geometry::voxel_at(at, dims), value: *value });
    }
    Ok(volume.map(|v| v as Label))
}

/// Writes labels on the scan's grid, compressed if the name ends in `.gz`; the file appears whole or not at all.
///
/// # Errors
/// [`ScanError::Io`].
pub fn write_labels(path: &Path, labels: &Volume<Label>, origin: &Origin) -> Result<(), ScanError> {
    write(path, origin.with_type(UINT8), labels.voxels())
}

/// Writes f32 values on the scan's grid, compressed if the name ends in `.gz`; the file appears whole or not at all.
///
/// # Errors
/// [`ScanError::Io`].
pub fn write_f32(path: &Path, values: &Volume<f32>, origin: &Origin) -> Result<(), ScanError> {
    let bytes: Vec<u8> = values.voxels().iter().flat_map(|v| if origin.big_endian { v.to_be_bytes() } else { v.to_le_bytes() }).collect();
    write(path, origin.with_type(FLOAT32), &bytes)
}

/// Writes whole-numbered intensities on the scan's grid, compressed if the name ends in `.gz`; the file appears whole or not at all.
///
/// # Errors
/// [`ScanError::Io`].
pub fn write_i16(path: &Path, values: &Volume<i16>, origin: &Origin) -> Result<(), ScanError> {
    let bytes: Vec<u8> = values.voxels().iter().flat_map(|v| if origin.big_endian { v.to_be_bytes() } else { v.to_le_bytes() }).collect();
    write(path, origin.with_type(INT16), &bytes)
}

/// NIfTI data type codes and their bits.
const UINT8: (i16, i16) = (2, 8);
const INT16: (i16, i16) = (4, 16);
const FLOAT32: (i16, i16) = (16, 32);

impl Origin {
    fn new(file: &[u8], big_endian: bool) -> Self {
        let mut bytes = [0; HEADER_BYTES];
        bytes.copy_from_slice(&file[..HEADER_BYTES]);
        // data_type, db_name, descrip, aux_file, intent_name (offsets as in nifti1.h).
        for range in [4..32, 148..228, 228..252, 328..344] {
            bytes[range].fill(0);
        }
        Self { bytes, big_endian }
    }

    /// A header for a volume that comes from no scan; offsets as in nifti1.h.
    pub fn of_geometry(geometry: &Geometry) -> Self {
        let mut bytes = [0; HEADER_BYTES];
        let mut put = |offset: usize, field: &[u8]| bytes[offset..offset + field.len()].copy_from_slice(field);
        put(0, &348_i32.to_le_bytes());
        put(40, &3_i16.to_le_bytes());
        for (axis, n) in geometry.dims.iter().chain(&[1; 4]).enumerate() {
            put(42 + 2 * axis, &(*n as i16).to_le_bytes());
        }
        for (axis, spacing) in [1.0].iter().chain(&geometry.spacing_mm).enumerate() {
            put(76 + 4 * axis, &(*spacing as f32).to_le_bytes());
        }
        // Millimetres; sform holds scanner coordinates.
        put(123, &[2]);
        put(254, &1_i16.to_le_bytes());
        for (at, entry) in geometry.world_from_voxel.iter().flatten().enumerate() {
            put(280 + 4 * at, &(*entry as f32).to_le_bytes());
        }
        Self { bytes, big_endian: false }
    }

    /// The 352 bytes before the voxels, for three dimensions of another voxel type without scaling.
    fn with_type(&self, (code, bits): (i16, i16)) -> [u8; VOXELS_AT] {
        let mut header = [0; VOXELS_AT];
        header[..HEADER_BYTES].copy_from_slice(&self.bytes);
        let short = |v: i16| if self.big_endian { v.to_be_bytes() } else { v.to_le_bytes() };
        let float = |v: f32| if self.big_endian { v.to_be_bytes() } else { v.to_le_bytes() };
        header[40..42].copy_from_slice(&short(3));
        header[70..72].copy_from_slice(&short(code));
        header[72..74].copy_from_slice(&short(bits));
        header[108..112].copy_from_slice(&float(VOXELS_AT as f32));
        header[112..116].copy_from_slice(&float(1.0));
        header[116..120].copy_from_slice(&float(0.0));
        // cal_max and cal_min belong to the scan's intensities.
        header[124..132].fill(0);
        header[344..348].copy_from_slice(b"n+1\0");
        header
    }
}

fn write(path: &Path, header: [u8; VOXELS_AT], voxels: &[u8]) -> Result<(), ScanError> {
    let partial = path.with_extension("partial");
    let written = (|| -> std::io::Result<()> {
        let mut file = BufWriter::new(fs::File::create(&partial)?);
        // Readers go by the name's ending.
        if path.extension().is_some_and(|ending| ending == "gz") {
            let mut encoder = GzEncoder::new(file, Compression::fast());
            encoder.write_all(&header)?;
            encoder.write_all(voxels)?;
            file = encoder.finish()?;
        } else {
            file.write_all(&header)?;
            file.write_all(voxels)?;
        }
        file.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()?;
        fs::rename(&partial, path)
    })();
    if written.is_err() {
        // Best effort: the error that matters is the one that is returned.
        let _ = fs::remove_file(&partial);
    }
    Ok(written?)
}

/// How long a file with this beginning has to be, after all that can be said against its header.
fn promised_bytes(beginning: &[u8]) -> Result<usize, ScanError> {
    let header = parse_header(beginning)?;
    let voxels = geometry(&header)?.voxel_count();
    if voxels > MAX_VOXELS {
        return Err(ScanError::TooManyVoxels { got: voxels, limit: MAX_VOXELS });
    }
    Ok(voxels_at(&header).saturating_add(voxels * voxel_size(&header)?))
}

fn parse_header(bytes: &[u8]) -> Result<NiftiHeader, ScanError> {
    if bytes.len() < HEADER_BYTES {
        return Err(ScanError::NotNifti(format!("it holds {} bytes, a NIfTI header alone has {HEADER_BYTES}", bytes.len())));
    }
    match &bytes[344..348] {
        b"n+1\0" => {}
        b"ni1\0" => return Err(ScanError::NotNifti("it is the header of a two-file image (.hdr/.img)".into())),
        _ if bytes[4..8] == *b"n+2\0" => return Err(ScanError::NotNifti("it is NIfTI-2".into())),
        _ => return Err(ScanError::NotNifti("the NIfTI signature is missing".into())),
    }
    NiftiHeader::from_reader(bytes).map_err(|error| ScanError::NotNifti(error.to_string()))
}

/// Largest extent along an axis; scanners stay below it, and WebGL textures end there.
const MAX_EXTENT: u16 = 2048;
/// Most voxels of a scan: 1024 × 1024 × 512. An upload of f32 voxels then holds 2 GiB of file, 2 GiB of intensities and two copies in 16 bits: 6 GiB.
const MAX_VOXELS: usize = 1 << 29;

fn geometry(header: &NiftiHeader) -> Result<Geometry, ScanError> {
    let rank = header.dim[0];
    let extents = &header.dim[1..=usize::from(rank.clamp(1, 7))];
    // A fourth dimension of one point is how some tools write 3D.
    if !(3..=7).contains(&rank) || extents.iter().skip(3).any(|&n| n > 1) {
        let written = if (1..=7).contains(&rank) { format!("{rank} ({extents:?})") } else { rank.to_string() };
        return Err(ScanError::NotThreeDimensional(written));
    }
    let dims = [1, 2, 3].map(|i| usize::from(header.dim[i]));
    if header.dim[1..=3].iter().any(|&n| n == 0 || n > MAX_EXTENT) {
        return Err(shared::geometry::GeometryError::BadDims(dims).into());
    }
    let spacing_mm = [1, 2, 3].map(|i| f64::from(header.pixdim[i]).abs());
    Ok(Geometry::new(dims, spacing_mm, affine::world_from_voxel(header))?)
}

/// Where the voxels begin.
fn voxels_at(header: &NiftiHeader) -> usize {
    if header.vox_offset.is_finite() && header.vox_offset >= VOXELS_AT as f32 { header.vox_offset as usize } else { VOXELS_AT }
}

/// Bytes of a voxel, for the types that [`decode`] reads.
fn voxel_size(header: &NiftiHeader) -> Result<usize, ScanError> {
    match header.datatype {
        2 | 256 => Ok(1),
        4 | 512 => Ok(2),
        8 | 16 | 768 => Ok(4),
        64 | 1024 | 1280 => Ok(8),
        other => Err(ScanError::UnsupportedType(other)),
    }
}

fn decode(bytes: &[u8], header: &NiftiHeader, big_endian: bool) -> Result<Vec<f32>, ScanError> {
    let dims = [1, 2, 3].map(|i| usize::from(header.dim[i]));
    let count: usize = dims.iter().product();
    let start = voxels_at(header);
    macro_rules! values {
        ($kind:ty) => {{
            const SIZE: usize = size_of::<$kind>();
            let voxels = voxel_bytes(bytes, start, count * SIZE)?;
            scale(
                voxels.chunks_exact(SIZE).map(|chunk| {
                    let mut array = [0; SIZE];
                    array.copy_from_slice(chunk);
                    let value = if big_endian { <$kind>::from_be_bytes(array) } else { <$kind>::from_le_bytes(array) };
                    value as f64
                }),
                header,
            )
        }};
    }
    let values = match header.datatype {
        2 => values!(u8),
        4 => values!(i16),
        8 => values!(i32),
        16 => values!(f32),
        64 => values!(f64),
        256 => values!(i8),
        512 => values!(u16),
        768 => values!(u32),
        1024 => values!(i64),
        1280 => values!(u64),
        other => return Err(ScanError::UnsupportedType(other)),
    };
    match values.iter().position(|v| !v.is_finite()) {
        Some(at) => Err(ScanError::NotFinite { voxel: Geometry::voxel_at(at, dims), value: f64::from(values[at]) }),
        None => Ok(values),
    }
}

fn voxel_bytes(bytes: &[u8], start: usize, length: usize) -> Result<&[u8], ScanError> {
    let expected = start.saturating_add(length);
    bytes.get(start..expected).ok_or(ScanError::Truncated { expected, got: bytes.len() })
}

/// Slope and intercept in f64, then f32. A slope of 0 means that the header gives none.
fn scale(raw: impl Iterator<Item = f64>, header: &NiftiHeader) -> Vec<f32> {
    let slope = f64::from(header.scl_slope);
    let intercept = f64::from(header.scl_inter);
    let identity = slope == 0.0 || !slope.is_finite() || !intercept.is_finite() || (slope == 1.0 && intercept == 0.0);
    if identity { raw.map(|v| v as f32).collect() } else { raw.map(|v| (v * slope + intercept) as f32).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A 2 × 3 × 4 int16 scan of the numbers 0 to 23 with a shifted affine, as bytes.
    fn file(change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut bytes = vec![0; VOXELS_AT];
        bytes[..4].copy_from_slice(&348_i32.to_le_bytes());
        for (at, n) in [3_i16, 2, 3, 4, 1, 1, 1, 1].iter().enumerate() {
            bytes[40 + 2 * at..42 + 2 * at].copy_from_slice(&n.to_le_bytes());
        }
        bytes[70..72].copy_from_slice(&4_i16.to_le_bytes());
        bytes[72..74].copy_from_slice(&16_i16.to_le_bytes());
        for (at, s) in [1_f32, 0.7, 1.0, 2.5].iter().enumerate() {
            bytes[76 + 4 * at..80 + 4 * at].copy_from_slice(&s.to_le_bytes());
        }
        bytes[108..112].copy_from_slice(&352_f32.to_le_bytes());
        bytes[148..156].copy_from_slice(b"JohnDoe\0");
        bytes[254..256].copy_from_slice(&1_i16.to_le_bytes());
        for (at, v) in [0.7_f32, 0.0, 0.0, -5.0, 0.0, 1.0, 0.0, 6.0, 0.0, 0.0, 2.5, 7.0].iter().enumerate() {
            bytes[280 + 4 * at..284 + 4 * at].copy_from_slice(&v.to_le_bytes());
        }
        bytes[344..348].copy_from_slice(b"n+1\0");
        bytes.extend((0..24_i16).flat_map(i16::to_le_bytes));
        change(&mut bytes);
        bytes
    }

    #[test]
    fn voxels_and_geometry_are_read() {
        let image = read_scan_bytes(&file(|_| {})).unwrap();
        let geometry = image.volume.geometry();
        assert_eq!(geometry.dims, [2, 3, 4]);
        assert_eq!(geometry.spacing_mm[0], f64::from(0.7_f32));
        assert_eq!(geometry.world_from_voxel[1], [0.0, 1.0, 0.0, 6.0]);
        assert_eq!(image.volume.get([1, 2, 3]), Some(23.0));
    }

    #[test]
    fn slope_and_intercept_are_applied_in_f64() {
        let image = read_scan_bytes(&file(|b| {
            b[112..116].copy_from_slice(&0.1_f32.to_le_bytes());
            b[116..120].copy_from_slice(&(-3.0_f32).to_le_bytes());
        }));
        assert_eq!(image.unwrap().volume.voxels()[7], (7.0 * f64::from(0.1_f32) - 3.0) as f32);
    }

    #[test]
    fn bad_files_are_refused_with_a_reason() {
        fn check(bytes: &[u8], words: &str) {
            let message = read_scan_bytes(bytes).unwrap_err().to_string();
            assert!(message.contains(words), "'{message}' does not say '{words}'");
        }
        check(b"hello", "not a NIfTI");
        check(&[0; 400], "not a NIfTI");
        check(&file(|b| b.truncate(380)), "promises 400 bytes, it holds 380");
        check(&file(|b| b[40] = 2), "2 ([2, 3]) dimensions");
        check(&file(|b| (b[40], b[48]) = (4, 5)), "dimensions, a scan has 3");
        check(&file(|b| b[40] = 0), "0 dimensions");
        check(&file(|b| b[42] = 0), "no content");
        check(&file(|b| b[70] = 32), "data type 32");
        check(&file(|b| b[76 + 4..76 + 8].fill(0)), "spacing");
        check(&file(|b| b[280..328].fill(0)), "affine is not invertible");
        check(
            &file(|b| {
                b[70..72].copy_from_slice(&16_i16.to_le_bytes());
                b.resize(352 + 96, 0);
                b[352 + 4 * 7..352 + 4 * 8].copy_from_slice(&f32::NAN.to_le_bytes());
            }),
            "voxel [1, 0, 1] is NaN",
        );
    }

    #[test]
    fn a_fourth_dimension_of_one_is_three_dimensional() {
        assert!(read_scan_bytes(&file(|b| b[40] = 4)).is_ok());
    }

    #[test]
    fn labels_come_back_on_the_scans_grid_without_its_free_text() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels.nii.gz");
        let image = read_scan_bytes(&file(|_| {})).unwrap();
        let labels = image.volume.map(|v| (v as u8) % 3);
        write_labels(&path, &labels, &image.origin).unwrap();
        assert_eq!(read_labels(&path).unwrap(), labels);
        let bytes = unpack(&fs::read(&path).unwrap(), VOXELS_AT, promised_bytes).unwrap();
        assert!(!bytes.windows(4).any(|w| w == b"John"));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn files_are_compressed_as_their_names_say() {
        let folder = tempfile::tempdir().unwrap();
        let image = read_scan_bytes(&file(|_| {})).unwrap();
        let labels = image.volume.map(|v| v as u8);
        let check = |name: &str, compressed: bool| {
            let path = folder.path().join(name);
            write_labels(&path, &labels, &image.origin).unwrap();
            assert_eq!(fs::read(&path).unwrap().starts_with(&[0x1f, 0x8b]), compressed, "{name}");
            assert_eq!(read_labels(&path).unwrap(), labels, "{name}");
        };
        check("a.nii.gz", true);
        check("b.nii", false);
    }

    #[test]
    fn a_header_that_promises_too_much_is_refused_before_anything_is_unpacked() {
        let scan = file(|b| {
            b[42..48].copy_from_slice(&[0, 8, 0, 8, 0, 8]);
            b.truncate(352);
        });
        let message = read_scan_bytes(&scan).unwrap_err().to_string();
        assert_eq!(
            message,
            "the scan has 8589934592 voxels, more than 536870912, which is the limit. Crop it or resample it to coarser voxels"
        );
    }

    #[test]
    fn big_endian_files_are_read_and_written() {
        let little = file(|_| {});
        let mut big = little.clone();
        let swap = |bytes: &mut [u8], from: usize, count: usize, size: usize| {
            bytes[from..from + count * size].chunks_exact_mut(size).for_each(<[u8]>::reverse);
        };
        // sizeof_hdr; dim; datatype, bitpix; pixdim, vox_offset; sform_code; srow; voxels.
        for (from, count, size) in [(0, 1, 4), (40, 8, 2), (70, 2, 2), (76, 9, 4), (254, 1, 2), (280, 12, 4), (VOXELS_AT, 24, 2)] {
            swap(&mut big, from, count, size);
        }
        let (little, big) = (read_scan_bytes(&little).unwrap(), read_scan_bytes(&big).unwrap());
        assert_eq!(big.volume, little.volume);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("again.nii.gz");
        write_f32(&path, &big.volume, &big.origin).unwrap();
        assert_eq!(read_scan(&path).unwrap().volume, little.volume);
    }

    #[test]
    fn fractions_are_not_labels() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("u.nii.gz");
        let image = read_scan_bytes(&file(|_| {})).unwrap();
        write_f32(&path, &image.volume.map(|v| v / 2.0), &image.origin).unwrap();
        assert_eq!(read_labels(&path).unwrap_err().to_string(), "voxel [1, 0, 0] is 0.5, but labels are whole numbers from 0 to 255");
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(at in 0_usize..352, value: u8) {
            let _ = read_scan_bytes(&file(|b| b[at] = value));
        }
    }
}
