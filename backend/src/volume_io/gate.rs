//! Unpacking under a cap. nifti-rs accepts a wrong checksum, a missing trailer and several gzip members cut to one; this does not.

use std::io::Read;

use flate2::read::MultiGzDecoder;

use super::VolumeError;

/// What a file may unpack to: 2^30 voxels of the widest type would be 8 GiB; 4 GiB is a 1024³ scan of f32.
pub(super) const LIMIT_BYTES: usize = 4 << 30;

/// The bytes of a `.nii` or `.nii.gz` file, unpacked to the end so that length and checksum are verified.
///
/// # Errors
/// [`VolumeError::Damaged`] or [`VolumeError::TooLarge`].
pub(super) fn unpack(bytes: &[u8], limit: usize) -> Result<Vec<u8>, VolumeError> {
    let too_large = VolumeError::TooLarge { limit_mib: limit >> 20 };
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return if bytes.len() > limit { Err(too_large) } else { Ok(bytes.to_vec()) };
    }
    let mut unpacked = Vec::new();
    let read = MultiGzDecoder::new(bytes).take(limit as u64 + 1).read_to_end(&mut unpacked);
    match read {
        Err(error) => Err(VolumeError::Damaged(error.to_string())),
        Ok(n) if n > limit => Err(too_large),
        Ok(_) => Ok(unpacked),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn whole_files_unpack() {
        assert_eq!(unpack(b"plain", 100).unwrap(), b"plain");
        assert_eq!(unpack(&packed(b"abc"), 100).unwrap(), b"abc");
        assert_eq!(unpack(&[packed(b"abc"), packed(b"def")].concat(), 100).unwrap(), b"abcdef");
    }

    #[test]
    fn damage_is_noticed() {
        let good = packed(&[7; 1000]);
        let mut wrong_checksum = good.clone();
        let at = wrong_checksum.len() - 6;
        wrong_checksum[at] ^= 1;
        for bad in [&good[..good.len() - 4], &good[..good.len() / 2], &wrong_checksum] {
            assert!(matches!(unpack(bad, 10_000), Err(VolumeError::Damaged(_))));
        }
    }

    #[test]
    fn bombs_stop_at_the_limit() {
        assert!(matches!(unpack(&packed(&[0; 5000]), 4999), Err(VolumeError::TooLarge { .. })));
        assert!(unpack(&packed(&[0; 5000]), 5000).is_ok());
    }
}
