//! NIfTI files, read as ITK and nibabel read them: versions 1 and 2, one file or two, packed or not, in either byte
//! order.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use shared::geometry::{Geometry, GeometryError, GridDifference};
use shared::volume::Volume;

use super::ScanError;
use super::gate::{Unpacked, damaged};
use super::header::{HEADER_BYTES, Header, LONGEST_HEADER, VOXELS_AT, Voxels};
use super::placing::Placings;
use super::voxels::{Decoded, decode, fill, voxel_size};

/// Largest extent along an axis; scanners stay below it, and WebGL textures end there.
const MAX_EXTENT: i64 = 2048;
/// Most voxels of a scan: 1024 × 1024 × 512.
pub(super) const MAX_VOXELS: usize = 1 << 29;
/// How far behind the header voxels may begin; extensions of connectomes fill a few megabytes.
const MAX_OFFSET: f64 = (64 << 20) as f64;

/// Where a scan comes from: what of its header places it, so that what is made from the scan lies where the scan lies.
/// Holds no text.
#[derive(Clone, Debug, PartialEq)]
pub struct Origin {
    pub(super) header: Header,
    pub(super) placings: Placings,
}

/// A scan as read.
#[derive(Clone, Debug)]
pub struct Scan {
    /// Intensities after the header's slope and intercept, x fastest.
    pub volume: Volume<f32>,
    /// For what is written on its grid.
    pub origin: Origin,
}

impl Origin {
    /// For a volume that comes from no scan.
    pub fn of_geometry(geometry: &Geometry) -> Self {
        Self { header: Header::of_geometry(geometry), placings: Placings::only(geometry.clone()) }
    }

    /// The scan's grid.
    pub fn geometry(&self) -> &Geometry {
        self.placings.own()
    }

    /// Whether the file holds one picture of two dimensions. It is read as a volume of one plane.
    pub fn is_flat(&self) -> bool {
        self.header.is_flat()
    }

    /// What in the scan's header contradicts itself, in words.
    pub fn contradictions(&self) -> Option<String> {
        self.placings.contradictions()
    }

    /// Whether labels from another file lie on this scan's voxels, in any place that this scan's header allows them.
    ///
    /// # Errors
    /// How they differ.
    pub fn accept(&self, labels: &Self) -> Result<(), GridDifference> {
        self.placings.accept(&labels.placings)
    }

    fn of(header: Header) -> Result<Self, ScanError> {
        let dims = dims(&header)?;
        let placings = Placings::of(&header, dims)?;
        check_voxels(placings.own())?;
        voxel_size(header.datatype)?;
        voxels_at(&header)?;
        Ok(Self { header, placings })
    }
}

/// Where the scan of a header comes from, and a reader that stands at its first voxel; `voxels` are those of a header
/// that stands alone.
fn open_scan(file: &Path, voxels: Option<&Path>) -> Result<(Origin, Unpacked<BufReader<File>>), ScanError> {
    let mut file = open(file)?;
    let (origin, read) = read_origin_of(&mut file)?;
    let at = voxels_at(&origin.header)?;
    if !origin.header.is_pair {
        skip(&mut file, read, at)?;
        return Ok((origin, file));
    }
    let mut voxels = open(voxels.ok_or(ScanError::NoVoxels)?)?;
    skip(&mut voxels, 0, at)?;
    Ok((origin, voxels))
}

fn open(path: &Path) -> Result<Unpacked<BufReader<File>>, ScanError> {
    Ok(Unpacked::new(BufReader::new(File::open(path)?))?)
}

/// Reads as much of a file as its header may be, in 352 bytes or, for NIfTI-2, 544.
fn read_origin_of(file: &mut impl Read) -> Result<(Origin, usize), ScanError> {
    let mut bytes = vec![0; VOXELS_AT];
    let mut got = fill(file, &mut bytes)?;
    if got >= 8 && matches!(&bytes[4..8], b"n+2\0" | b"ni2\0") {
        bytes.resize(LONGEST_HEADER, 0);
        got += fill(file, &mut bytes[VOXELS_AT..])?;
    }
    bytes.truncate(got);
    Ok((Origin::of(Header::parse(&bytes)?)?, got))
}

/// Goes from one byte of a file to where its voxels begin.
fn skip(file: &mut impl Read, from: usize, offset: usize) -> Result<(), ScanError> {
    let bytes = offset.saturating_sub(from) as u64;
    let skipped = io::copy(&mut file.take(bytes), &mut io::sink()).map_err(damaged)?;
    if skipped < bytes {
        return Err(ScanError::NoVoxelsAt { offset });
    }
    Ok(())
}

/// A volume's numbers before anything is asked of them.
pub(super) struct Raw {
    pub(super) origin: Origin,
    pub(super) decoded: Decoded,
}

/// Reads a file; `voxels` are those of a header that stands alone.
pub(super) fn read_raw(file: &Path, voxels: Option<&Path>) -> Result<Raw, ScanError> {
    let (origin, mut voxels) = open_scan(file, voxels)?;
    let decoded = decode(&mut voxels, &origin.header, voxels_at(&origin.header)?, origin.geometry().voxel_count())?;
    voxels.finish()?;
    Ok(Raw { origin, decoded })
}

impl Raw {
    pub(super) fn into_scan(self) -> Result<Scan, ScanError> {
        let Self { origin, decoded: Decoded { values, too_large } } = self;
        let dims = origin.geometry().dims;
        if let Some((at, value)) = too_large {
            return Err(ScanError::TooLargeForF32 { voxel: Geometry::voxel_at(at, dims), value });
        }
        if let Some(at) = values.iter().position(|v| !v.is_finite()) {
            return Err(ScanError::NotFinite { voxel: Geometry::voxel_at(at, dims), value: f64::from(values[at]) });
        }
        Ok(Scan { volume: Volume::new(origin.geometry().clone(), values)?, origin })
    }
}

/// Reads where a scan comes from, without its voxels.
pub(super) fn read_origin(file: &Path) -> Result<Origin, ScanError> {
    Ok(read_origin_of(&mut open(file)?)?.0)
}

/// Whether a file is the header of a scan whose voxels have a file of their own.
pub(super) fn is_header_alone(path: &Path) -> bool {
    let mut bytes = [0; VOXELS_AT];
    let got = open(path).and_then(|mut file| fill(&mut file, &mut bytes)).unwrap_or(0);
    (got >= HEADER_BYTES && bytes[344..348] == *b"ni1\0") || (got >= 8 && bytes[4..8] == *b"ni2\0")
}

/// Writes a scan's file again, packed, with its voxels as they are and nothing of its header but what places and scales
/// them.
pub(super) fn write_without_texts(file: &Path, voxels: Option<&Path>, out: impl Write) -> Result<(), ScanError> {
    let (origin, mut voxels) = open_scan(file, voxels)?;
    let header = &origin.header;
    let size = voxel_size(header.datatype)?;
    let kept =
        Voxels { datatype: header.datatype, bits: 8 * size as i16, slope: header.slope, intercept: header.intercept };
    let mut packed = GzEncoder::new(out, Compression::fast());
    packed.write_all(&header.written(kept))?;
    let mut left = origin.geometry().voxel_count() * size;
    let mut piece = vec![0; 1 << 16];
    while left > 0 {
        let wanted = piece.len().min(left);
        let got = fill(&mut voxels, &mut piece[..wanted])?;
        if got < wanted {
            let start = voxels_at(header)?;
            let expected = start + origin.geometry().voxel_count() * size;
            return Err(ScanError::Truncated { expected, got: expected - left + got });
        }
        if header.big_endian {
            piece[..got].chunks_exact_mut(size).for_each(<[u8]>::reverse);
        }
        packed.write_all(&piece[..got])?;
        left -= got;
    }
    Ok(packed.finish()?.flush()?)
}

/// Extents along x, y, z. Further dimensions of one point are how some tools write 3D; a picture of two dimensions is a
/// volume of one plane.
fn dims(header: &Header) -> Result<[usize; 3], ScanError> {
    let rank = header.dim[0];
    let claimed = &header.dim[1..=rank.clamp(1, 7) as usize];
    if !(2..=7).contains(&rank) || claimed.iter().skip(3).any(|&n| n != 1) {
        let written = if (1..=7).contains(&rank) { format!("{rank} ({claimed:?})") } else { rank.to_string() };
        return Err(ScanError::NotThreeDimensional(written));
    }
    let extent = |axis: usize| if axis as i64 <= rank { header.dim[axis] } else { 1 };
    extents([1, 2, 3].map(extent))
}

/// Extents that a scan can have.
pub(super) fn extents(claimed: [i64; 3]) -> Result<[usize; 3], ScanError> {
    if claimed.iter().any(|n| *n < 1) {
        return Err(ScanError::Geometry(format!("a volume of {claimed:?} voxels has no content")));
    }
    if claimed.iter().any(|n| *n > MAX_EXTENT) {
        return Err(ScanError::Extents { got: claimed, limit: MAX_EXTENT });
    }
    Ok(claimed.map(|n| n as usize))
}

/// Refuses a grid of more voxels than can be worked on.
pub(super) fn check_voxels(grid: &Geometry) -> Result<(), ScanError> {
    let voxels = grid.voxel_count();
    if voxels > MAX_VOXELS { Err(ScanError::TooManyVoxels { got: voxels, limit: MAX_VOXELS }) } else { Ok(()) }
}

/// Where the voxels begin: behind the header, unless the header says otherwise and can be right.
fn voxels_at(header: &Header) -> Result<usize, ScanError> {
    let least = match (header.is_pair, header.is_second) {
        (true, _) => 0,
        (false, false) => VOXELS_AT,
        (false, true) => LONGEST_HEADER + 4,
    };
    let offset = header.vox_offset;
    if offset == 0.0 {
        // What writers leave who do not care.
        return Ok(least);
    }
    if !(least as f64..=MAX_OFFSET).contains(&offset) {
        return Err(ScanError::Offset { offset, least, most: MAX_OFFSET as usize });
    }
    Ok(offset as usize)
}

impl From<GeometryError> for ScanError {
    fn from(error: GeometryError) -> Self {
        Self::Geometry(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::{read_labels, read_scan, write_f32, write_labels};
    use super::*;

    fn read_bytes(bytes: &[u8]) -> Result<Scan, ScanError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scan");
        fs::write(&path, bytes).unwrap();
        read_scan(&path)
    }

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
        let image = read_bytes(&file(|_| {})).unwrap();
        let geometry = image.volume.geometry();
        assert_eq!(geometry.dims, [2, 3, 4]);
        assert_eq!(geometry.spacing_mm[0], f64::from(0.7_f32));
        assert_eq!(geometry.world_from_voxel[1], [0.0, 1.0, 0.0, 6.0]);
        assert_eq!(image.volume.get([1, 2, 3]), Some(23.0));
    }

    #[test]
    fn slope_and_intercept_are_applied_in_f64() {
        let image = read_bytes(&file(|b| {
            b[112..116].copy_from_slice(&0.1_f32.to_le_bytes());
            b[116..120].copy_from_slice(&(-3.0_f32).to_le_bytes());
        }));
        assert_eq!(image.unwrap().volume.voxels()[7], (7.0 * f64::from(0.1_f32) - 3.0) as f32);
    }

    #[test]
    fn bad_files_are_refused_with_a_reason() {
        fn check(bytes: &[u8], words: &str) {
            let message = read_bytes(bytes).unwrap_err().to_string();
            assert!(message.contains(words), "'{message}' does not say '{words}'");
        }
        check(b"hello", "not a NIfTI");
        check(&[0; 400], "not a NIfTI");
        check(&file(|b| b.truncate(380)), "promises 400 bytes, it holds 380");
        check(&file(|b| b[40] = 1), "1 ([2]) dimensions");
        check(&file(|b| (b[40], b[48]) = (4, 5)), "dimensions, a scan has 3");
        check(&file(|b| b[40] = 0), "0 dimensions");
        check(&file(|b| b[42] = 0), "no content");
        check(&file(|b| b[43] = 0x80), "[-32766, 3, 4] voxels has no content");
        check(&file(|b| b[70] = 32), "its voxels are complex numbers (NIfTI data type 32)");
        check(&file(|b| b[70] = 128), "its voxels are RGB colours (NIfTI data type 128)");
        check(&file(|b| b[76 + 4..76 + 8].copy_from_slice(&1e30_f32.to_le_bytes())), "spacing");
        check(&file(|b| b[108..112].copy_from_slice(&300_f32.to_le_bytes())), "begin at byte 300 (vox_offset)");
        check(&file(|b| b[108..112].copy_from_slice(&(-8_f32).to_le_bytes())), "begin at byte -8 (vox_offset)");
        check(&file(|b| b[108..112].copy_from_slice(&3e9_f32.to_le_bytes())), "begin at byte 3000000000 (vox_offset)");
        check(&file(|b| b[108..112].copy_from_slice(&1e6_f32.to_le_bytes())), "begin at byte 1000000, behind its end");
        check(&file(|b| b[344..348].copy_from_slice(b"ni1\0")), "its voxels (.img) are missing");
        check(&file(|b| b[344..348].fill(0)), "Analyze 7.5");
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
        assert!(read_bytes(&file(|b| b[40] = 4)).is_ok());
    }

    #[test]
    fn labels_come_back_on_the_scans_grid_without_its_free_text() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels.nii.gz");
        let image = read_bytes(&file(|_| {})).unwrap();
        let labels = image.volume.map(|v| (v as u8) % 3);
        write_labels(&path, &labels, &image.origin).unwrap();
        assert_eq!(read_labels(&path).unwrap(), labels);
        let mut bytes = Vec::new();
        open(&path).unwrap().read_to_end(&mut bytes).unwrap();
        assert!(!bytes.windows(4).any(|w| w == b"John"));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn files_are_compressed_as_their_names_say() {
        let folder = tempfile::tempdir().unwrap();
        let image = read_bytes(&file(|_| {})).unwrap();
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
        let message = read_bytes(&scan).unwrap_err().to_string();
        assert_eq!(
            message,
            "the scan has 8589934592 voxels, more than 536870912, which is the limit. Crop it or resample it to \
             coarser voxels"
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
        for (from, count, size) in
            [(0, 1, 4), (40, 8, 2), (70, 2, 2), (76, 9, 4), (254, 1, 2), (280, 12, 4), (VOXELS_AT, 24, 2)]
        {
            swap(&mut big, from, count, size);
        }
        let (little, big) = (read_bytes(&little).unwrap(), read_bytes(&big).unwrap());
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
        let image = read_bytes(&file(|_| {})).unwrap();
        write_f32(&path, &image.volume.map(|v| v / 2.0), &image.origin).unwrap();
        assert_eq!(
            read_labels(&path).unwrap_err().to_string(),
            "voxel [1, 0, 0] is 0.5, but labels are whole numbers from 0 to 255"
        );
    }

    #[test]
    fn nothing_is_kept_that_could_name_a_patient() {
        const CANARY: &[u8] = b"DOE^JANE";
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scan.nii");
        // Everything that is neither size, nor type, nor place, nor scale; and an extension.
        let texts = [4..36, 38..39, 56..70, 74..76, 92..108, 120..123, 124..252, 328..344];
        let bytes = file(|b| {
            for range in &texts {
                b[range.clone()].iter_mut().zip(CANARY.iter().cycle()).for_each(|(byte, letter)| *byte = *letter);
            }
            b[108..112].copy_from_slice(&384_f32.to_le_bytes());
            let extension: Vec<u8> =
                [&[1, 0, 0, 0][..], &32_i32.to_le_bytes(), &6_i32.to_le_bytes(), CANARY, CANARY, CANARY].concat();
            let voxels = b.split_off(VOXELS_AT);
            b.truncate(HEADER_BYTES);
            b.extend(&extension[..36]);
            b.extend(voxels);
        });
        fs::write(&path, bytes).unwrap();
        let scan = read_scan(&path).unwrap();
        assert_eq!(scan.volume.get([1, 2, 3]), Some(23.0));
        let kept = folder.path().join("kept.nii.gz");
        write_without_texts(&path, None, File::create(&kept).unwrap()).unwrap();
        let written = folder.path().join("labels.nii.gz");
        write_labels(&written, &scan.volume.map(|v| v as u8), &scan.origin).unwrap();
        assert_eq!(read_scan(&kept).unwrap().volume, scan.volume);
        for file in [kept, written] {
            let mut bytes = Vec::new();
            open(&file).unwrap().read_to_end(&mut bytes).unwrap();
            for part in CANARY.windows(2) {
                assert!(!bytes[..VOXELS_AT].windows(2).any(|window| window == part), "{}", file.display());
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(at in 0_usize..352, value: u8) {
            let _ = read_bytes(&file(|b| b[at] = value));
        }
    }
}
