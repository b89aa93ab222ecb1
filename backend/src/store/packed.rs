//! Volumes as the browser gets them (see `shared::packed`), deflated: each part is made once, soon after the volume
//! came or when it is first asked for, and kept beside the blobs. All of it can be made again at any time.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use miniz_oxide::DataFormat;
use miniz_oxide::deflate::core::{CompressionStrategy, CompressorOxide, TDEFLFlush, compress_to_output};
use shared::packed::{Coarse, Packable, Slabs, pack};
use shared::volume::PlaneLayout;

use super::{Digest, Store, StoreError, folder};

/// As hard as deflate tries: residuals repeat at once or not at all.
const LEVEL: u8 = 6;
const WINDOW_BITS: u8 = 15;

/// A volume of the store, x fastest, little-endian.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredVolume {
    /// Its blob.
    pub digest: Digest,
    /// Voxels along each stored axis.
    pub dims: [usize; 3],
    /// 1 or 2.
    pub voxel_bytes: usize,
}

/// What is asked for of a volume.
#[derive(Clone, Copy, Debug)]
pub enum Part {
    /// A slab, see [`Slabs`].
    Slab(usize),
    /// The means of the cells, see [`Coarse`]; of 16-bit voxels.
    Coarse,
    /// One plane. It is made each time, and cannot be compared with the blob's name: a picture until its slabs come.
    Plane(PlaneLayout),
}

/// The folder of what is packed; clones share it.
#[derive(Clone, Debug)]
pub(super) struct Packed {
    folder: PathBuf,
    /// Blobs that this process has read whole and found to be what their names say.
    whole: Arc<Mutex<BTreeSet<Digest>>>,
}

impl Packed {
    /// In a folder, from which goes what no blob is there of any more.
    pub(super) fn open(folder: PathBuf, blobs: &Path) -> Result<Self, StoreError> {
        fs::create_dir_all(&folder)?;
        for place in folder::files(&folder)? {
            if Digest::from_file_name(&place).is_none_or(|digest| !digest.file_in(blobs).is_file()) {
                remove(&place)?;
            }
        }
        Ok(Self { folder, whole: Arc::default() })
    }

    /// Forgets what was made of a blob.
    pub(super) fn forget(&self, digest: &Digest) -> io::Result<()> {
        self.whole.lock().unwrap_or_else(PoisonError::into_inner).remove(digest);
        remove(&digest.file_in(&self.folder))
    }

    fn place(&self, volume: &StoredVolume, part: Part) -> Option<PathBuf> {
        let [x, y, z] = volume.dims;
        let name = match part {
            Part::Slab(slab) => format!("{x}x{y}x{z}-{slab}"),
            Part::Coarse => format!("{x}x{y}x{z}-coarse"),
            Part::Plane(_) => return None,
        };
        Some(volume.digest.file_in(&self.folder).join(name))
    }

    /// Reads a blob whole, once, before anything that an expert goes on from is made of it.
    fn check(&self, digest: &Digest, blob: &Path) -> Result<(), StoreError> {
        let known = || self.whole.lock().unwrap_or_else(PoisonError::into_inner);
        if known().contains(digest) {
            return Ok(());
        }
        if Digest::of_file(blob)? != *digest {
            return Err(StoreError::Damaged(digest.clone()));
        }
        known().insert(digest.clone());
        Ok(())
    }

    fn made(&self, volume: &StoredVolume, part: Part, blob: &Path) -> Result<Vec<u8>, StoreError> {
        let place = self.place(volume, part);
        if let Some(kept) = place.as_ref().and_then(|place| fs::read(place).ok()) {
            return Ok(kept);
        }
        if place.is_some() {
            self.check(&volume.digest, blob)?;
        }
        let bytes = deflated(&packed(volume, part, &mut File::open(blob)?)?);
        if let Some(place) = place {
            // It is made anew the next time.
            let _ = keep(&place, &bytes).inspect_err(|error| tracing::warn!("what was packed is not kept: {error}"));
        }
        Ok(bytes)
    }
}

impl Store {
    /// A part of a volume, packed and deflated (a zlib stream).
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if the volume has no such part, [`StoreError::Damaged`], [`StoreError::Files`].
    pub async fn packed(&self, volume: StoredVolume, part: Part) -> Result<Bytes, StoreError> {
        // Nothing is made of a blob that is just being deleted.
        let keep = self.keep_blobs().await;
        let (packed, blob) = (self.packed.clone(), self.blobs.path(&volume.digest));
        let made = tokio::task::spawn_blocking(move || {
            let made = packed.made(&volume, part, &blob);
            drop(keep);
            made
        });
        Ok(made.await.map_err(|error| StoreError::Files(io::Error::other(error)))??.into())
    }

    /// Makes all parts of a volume that will be asked for, while nobody waits for them.
    pub async fn pack_ahead(&self, volume: StoredVolume) {
        let slabs = Slabs::new(volume.dims, volume.voxel_bytes).count();
        let coarse = Coarse::of(volume.dims, volume.voxel_bytes).map(|_| Part::Coarse);
        for part in coarse.into_iter().chain((0..slabs).map(Part::Slab)) {
            // Deleted meanwhile, or the disk is full: whoever asks is told.
            if self.packed(volume.clone(), part).await.is_err() {
                return;
            }
        }
    }
}

fn remove(place: &Path) -> io::Result<()> {
    let removed = if place.is_dir() { fs::remove_dir_all(place) } else { fs::remove_file(place) };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Writes a file whole or not at all.
fn keep(place: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = place.parent().unwrap_or(place);
    fs::create_dir_all(folder)?;
    let mut partial = tempfile::NamedTempFile::new_in(folder)?;
    partial.write_all(bytes)?;
    partial.as_file().sync_all()?;
    partial.persist(place)?;
    Ok(())
}

fn packed(volume: &StoredVolume, part: Part, file: &mut File) -> Result<Vec<u8>, StoreError> {
    let missing = || StoreError::NotFound("such part of the volume");
    match part {
        Part::Slab(slab) => {
            let voxels = Slabs::new(volume.dims, volume.voxel_bytes).voxels(slab);
            if voxels.is_empty() {
                return Err(missing());
            }
            let columns = volume.dims[0];
            if volume.voxel_bytes == 1 {
                Ok(pack(&read(file, voxels, 1)?, columns))
            } else {
                Ok(pack(&wide(&read(file, voxels, 2)?), columns))
            }
        }
        Part::Coarse => {
            let coarse = Coarse::of(volume.dims, volume.voxel_bytes).filter(|_| volume.voxel_bytes == u16::BYTES);
            let coarse = coarse.ok_or_else(missing)?;
            let count = volume.dims[0] * volume.dims[1];
            let means = coarse
                .means(volume.dims, |z| Ok::<_, StoreError>(wide(&read(file, z * count..(z + 1) * count, 2)?)))?;
            Ok(pack(&means, coarse.dims[0]))
        }
        Part::Plane(layout) => Ok(pack(&plane(file, layout)?, layout.dims[0])),
    }
}

/// A plane of 16-bit voxels, u fastest. What lies between its voxels is read with them, a row at a time.
fn plane(file: &mut File, layout: PlaneLayout) -> Result<Vec<u16>, StoreError> {
    let [across, down] = layout.strides;
    let mut voxels = Vec::with_capacity(layout.dims[0] * layout.dims[1]);
    for row in 0..layout.dims[1] {
        let first = layout.start + row * down;
        let span = wide(&read(file, first..first + (layout.dims[0] - 1) * across + 1, 2)?);
        voxels.extend(span.into_iter().step_by(across));
    }
    Ok(voxels)
}

fn read(file: &mut File, voxels: Range<usize>, voxel_bytes: usize) -> Result<Vec<u8>, StoreError> {
    let mut bytes = vec![0; voxels.len() * voxel_bytes];
    file.seek(SeekFrom::Start((voxels.start * voxel_bytes) as u64))?;
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn wide(bytes: &[u8]) -> Vec<u16> {
    bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect()
}

/// A zlib stream. Run lengths and Huffman's codes alone: residuals of noise do not repeat, and looking for it takes ten
/// times as long.
fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut deflated = Vec::with_capacity(bytes.len() / 2);
    let mut compressor = CompressorOxide::with_params(DataFormat::Zlib, LEVEL, CompressionStrategy::RLE, WINDOW_BITS);
    compress_to_output(&mut compressor, bytes, TDEFLFlush::Finish, |piece| {
        deflated.extend_from_slice(piece);
        true
    });
    deflated
}

#[cfg(test)]
mod tests {
    use flate2::read::ZlibDecoder;
    use shared::geometry::{Axis, Geometry, Plane};
    use shared::packed::unpack;

    use super::*;
    use crate::store::Opening;

    fn inflated(bytes: &[u8]) -> Vec<u8> {
        let mut inflated = Vec::new();
        ZlibDecoder::new(bytes).read_to_end(&mut inflated).unwrap();
        inflated
    }

    /// A volume whose planes lie in more than one slab, with noise.
    fn volume(dims: [usize; 3]) -> Vec<u16> {
        let noise = |at: usize| (at.wrapping_mul(2_654_435_761) >> 7) as u16 % 40;
        (0..dims.iter().product()).map(|at| 900 + (at % dims[0]) as u16 + noise(at)).collect()
    }

    #[tokio::test]
    async fn parts_together_are_the_volume() {
        const DIMS: [usize; 3] = [256, 200, 60];
        let data = tempfile::tempdir().unwrap();
        let store = Store::open(data.path(), Opening::Checked).await.unwrap();
        let voxels = volume(DIMS);
        let bytes: Vec<u8> = voxels.iter().flat_map(|voxel| voxel.to_le_bytes()).collect();
        let digest = store.blobs().put(bytes).await.unwrap();
        let stored = StoredVolume { digest: digest.clone(), dims: DIMS, voxel_bytes: 2 };
        let slabs = Slabs::new(DIMS, 2);
        let mut back = vec![0_u16; voxels.len()];
        for slab in slabs.around(30) {
            let part = inflated(&store.packed(stored.clone(), Part::Slab(slab)).await.unwrap());
            assert!(unpack(&part, DIMS[0], &mut back[slabs.voxels(slab)]));
        }
        assert!(back == voxels && slabs.count() == 3);
        assert!(matches!(
            store.packed(stored.clone(), Part::Slab(3)).await,
            Err(StoreError::NotFound("such part of the volume"))
        ));

        let geometry = Geometry::axis_aligned(DIMS, [1.0; 3]).unwrap();
        for (axis, index) in [(Axis::Axial, 7), (Axis::Coronal, 199), (Axis::Sagittal, 100)] {
            let layout = PlaneLayout::new(&geometry, Plane { axis, index }).unwrap();
            let part = inflated(&store.packed(stored.clone(), Part::Plane(layout)).await.unwrap());
            let mut plane = vec![0_u16; layout.dims[0] * layout.dims[1]];
            assert!(unpack(&part, layout.dims[0], &mut plane));
            let expected: Vec<u16> = layout.offsets().map(|offset| voxels[offset]).collect();
            assert!(plane == expected, "{axis}");
        }

        let coarse = Coarse::of(DIMS, 2).unwrap();
        let part = inflated(&store.packed(stored.clone(), Part::Coarse).await.unwrap());
        assert_eq!(part.len(), 2 * coarse.dims.iter().product::<usize>());

        store.packed.forget(&digest).unwrap();
        std::fs::write(store.blobs().path(&digest), vec![0; 2 * voxels.len()]).unwrap();
        assert!(
            matches!(store.packed(stored, Part::Slab(0)).await, Err(StoreError::Damaged(named)) if named == digest)
        );
    }

    #[tokio::test]
    async fn nothing_is_kept_of_a_volume_that_is_gone() {
        let data = tempfile::tempdir().unwrap();
        let store = Store::open(data.path(), Opening::Checked).await.unwrap();
        let digest = store.blobs().put(vec![7; 27]).await.unwrap();
        store.pack_ahead(StoredVolume { digest: digest.clone(), dims: [3; 3], voxel_bytes: 1 }).await;
        let kept = digest.file_in(&data.path().join(folder::PACKED));
        assert!(kept.join("3x3x3-0").is_file());
        store.sweep().await.unwrap();
        assert!(!kept.exists());
    }
}
