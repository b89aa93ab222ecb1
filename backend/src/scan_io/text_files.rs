//! Files whose header is text, NRRD and MetaImage: the one who knows which is which, and reads their voxels.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use flate2::bufread::ZlibDecoder;

use super::format::Format;
use super::gate::{Unpacked, damaged};
use super::nifti::Raw;
use super::raster::{Layout, NamedSegment, Packing, Skip};
use super::voxels::{Decoded, decode, voxel_size};
use super::{ScanError, metaimage, nrrd};

/// What may follow packed voxels.
const TRAILER_BYTES: u64 = 16 << 20;

/// Reads a header and leaves the file at what follows it.
fn layout_of(file: &Path) -> Result<(Layout, BufReader<File>), ScanError> {
    let mut reader = BufReader::new(File::open(file)?);
    let layout = match Format::of(file) {
        Format::MetaImage => metaimage::layout(&mut reader)?,
        _ => nrrd::layout(&mut reader)?,
    };
    Ok((layout, reader))
}

/// What a header says, without its voxels.
pub(super) fn read_layout(file: &Path) -> Result<Layout, ScanError> {
    layout_of(file).map(|(layout, _)| layout)
}

/// The file that holds the voxels of a header whose voxels lie beside it, if it is there.
pub(super) fn voxels_beside(file: &Path) -> Option<PathBuf> {
    let beside = file.with_file_name(read_layout(file).ok()?.detached?);
    beside.is_file().then_some(beside)
}

/// Whether a file is a header whose voxels have a file of their own.
pub(super) fn is_header_alone(file: &Path) -> bool {
    read_layout(file).is_ok_and(|layout| layout.detached.is_some())
}

/// Reads a file; `voxels` are those of a header that stands alone.
pub(super) fn read_raw(file: &Path, voxels: Option<&Path>) -> Result<(Raw, Vec<NamedSegment>), ScanError> {
    let (layout, mut behind) = layout_of(file)?;
    if layout.detached.is_some() {
        behind = BufReader::new(File::open(voxels.ok_or(ScanError::NoVoxels)?)?);
    }
    skip(&mut behind, &layout)?;
    let decoded = unpacked(behind, &layout)?;
    Ok((Raw { origin: layout.origin, decoded }, layout.segments))
}

/// Goes to the first voxel.
fn skip(behind: &mut BufReader<File>, layout: &Layout) -> Result<(), ScanError> {
    let bytes = layout.origin.geometry().voxel_count() * voxel_size(layout.origin.header.datatype)?;
    match layout.skip {
        Skip::Bytes(0) => {}
        Skip::Bytes(bytes) => drop(behind.seek_relative(i64::try_from(bytes).unwrap_or(i64::MAX))?),
        Skip::ToTheEnd => {
            let length = behind.get_ref().metadata()?.len();
            let start = length.checked_sub(bytes as u64);
            let start = start.ok_or(ScanError::Truncated { expected: bytes, got: length as usize })?;
            behind.seek(SeekFrom::Start(start))?;
        }
    }
    Ok(())
}

/// The voxels, unpacked to the end of their stream, where its checksum stands.
fn unpacked(behind: BufReader<File>, layout: &Layout) -> Result<Decoded, ScanError> {
    let (header, count) = (&layout.origin.header, layout.origin.geometry().voxel_count());
    match layout.packing {
        Packing::None => decode(behind, header, 0, count),
        Packing::Gzip => {
            let mut unpacked = Unpacked::new(behind)?;
            if let Unpacked::Plain(_) = unpacked {
                return Err(ScanError::Damaged("the voxels are said to be packed with gzip, and are not".to_owned()));
            }
            let decoded = decode(&mut unpacked, header, 0, count)?;
            unpacked.finish()?;
            Ok(decoded)
        }
        Packing::Zlib => {
            let mut unpacked = ZlibDecoder::new(behind);
            let decoded = decode(&mut unpacked, header, 0, count)?;
            let more = std::io::copy(&mut unpacked.take(TRAILER_BYTES + 1), &mut std::io::sink()).map_err(damaged)?;
            if more > TRAILER_BYTES {
                return Err(ScanError::TooLarge { limit_mib: (TRAILER_BYTES >> 20) as usize });
            }
            Ok(decoded)
        }
    }
}
