//! Other labels in the place of a segmentation's, on the same grid.

use std::io::{self, Read, Write};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use shared::label::Label;

/// Where voxels begin in a file that [`super::write_labels`] has written.
const VOXELS_AT: usize = 352;

/// The bytes of a `.nii.gz` with the header of one that [`super::write_labels`] has written, and these labels (x
/// fastest).
///
/// # Errors
/// What the decoder says of a file that is damaged, or holds another number of voxels.
pub fn relabelled(segmentation: &[u8], labels: &[Label]) -> io::Result<Vec<u8>> {
    let mut file = Vec::new();
    MultiGzDecoder::new(segmentation).read_to_end(&mut file)?;
    if file.len() != VOXELS_AT + labels.len() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the stored segmentation has another size than its case",
        ));
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&file[..VOXELS_AT])?;
    encoder.write_all(labels)?;
    encoder.finish()
}
