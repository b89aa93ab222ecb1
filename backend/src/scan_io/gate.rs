//! Unpacking under a cap. nifti-rs accepts a wrong checksum, a missing trailer and several gzip members cut to one; this does not. How much is unpacked
//! is decided by the header, which is read first: a small file that unpacks to gigabytes costs nothing.

use std::io::{self, Read};

use flate2::read::MultiGzDecoder;

use super::ScanError;

/// What a file may unpack to: 2^29 voxels of the widest type.
pub(super) const LIMIT_BYTES: usize = 4 << 30;
/// What may follow the voxels; some writers pad their files.
const TRAILER_BYTES: u64 = 16 << 20;

/// The bytes of a `.nii` or `.nii.gz` file as far as its header promises them, unpacked to the end so that length and checksum are verified. Shorter
/// files come as they are.
///
/// `promised` reads the first `head` bytes (fewer if the file is shorter) and says how many bytes the whole file needs.
///
/// # Errors
/// [`ScanError::Damaged`], [`ScanError::TooLarge`], or what `promised` says.
pub(super) fn unpack(bytes: &[u8], head: usize, promised: impl FnOnce(&[u8]) -> Result<usize, ScanError>) -> Result<Vec<u8>, ScanError> {
    if bytes.starts_with(&[0x1f, 0x8b]) { read(MultiGzDecoder::new(bytes), head, promised) } else { read(bytes, head, promised) }
}

fn read(mut file: impl Read, head: usize, promised: impl FnOnce(&[u8]) -> Result<usize, ScanError>) -> Result<Vec<u8>, ScanError> {
    let damaged = |error: io::Error| ScanError::Damaged(error.to_string());
    let too_large = || ScanError::TooLarge { limit_mib: LIMIT_BYTES >> 20 };
    let mut unpacked = Vec::new();
    (&mut file).take(head as u64).read_to_end(&mut unpacked).map_err(damaged)?;
    let length = promised(&unpacked)?;
    if length > LIMIT_BYTES {
        return Err(too_large());
    }
    let rest = length.saturating_sub(unpacked.len());
    unpacked.try_reserve_exact(rest).map_err(|_| too_large())?;
    (&mut file).take(rest as u64).read_to_end(&mut unpacked).map_err(damaged)?;
    // To the very end: the checksum stands behind the last byte.
    match io::copy(&mut file.take(TRAILER_BYTES + 1), &mut io::sink()).map_err(damaged)? {
        more if more > TRAILER_BYTES => Err(too_large()),
        _ => Ok(unpacked),
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

    /// Unpacks a file whose header is its first two bytes and promises this length.
    fn check(bytes: &[u8], promised: usize) -> Result<Vec<u8>, ScanError> {
        unpack(bytes, 2, |_| Ok(promised))
    }

    #[test]
    fn whole_files_unpack() {
        assert_eq!(check(b"plain", 5).unwrap(), b"plain");
        assert_eq!(check(&packed(b"abc"), 3).unwrap(), b"abc");
        assert_eq!(check(&[packed(b"abc"), packed(b"def")].concat(), 6).unwrap(), b"abcdef");
        assert_eq!(check(&packed(b"abc and padding"), 3).unwrap(), b"abc");
        assert_eq!(check(&packed(b"a"), 3).unwrap(), b"a", "too short, which the header's reader notices");
    }

    #[test]
    fn damage_is_noticed() {
        let good = packed(&[7; 1000]);
        let mut wrong_checksum = good.clone();
        let at = wrong_checksum.len() - 6;
        wrong_checksum[at] ^= 1;
        for bad in [&good[..good.len() - 4], &good[..good.len() / 2], &wrong_checksum] {
            assert!(matches!(check(bad, 1000), Err(ScanError::Damaged(_))));
        }
    }

    #[test]
    fn bombs_stop_at_the_header_or_behind_the_voxels() {
        let bomb = packed(&vec![0; (16 << 20) + 600]);
        assert!(matches!(check(&bomb, LIMIT_BYTES + 1), Err(ScanError::TooLarge { .. })));
        assert!(matches!(check(&bomb, 500), Err(ScanError::TooLarge { .. })));
        assert!(matches!(unpack(&bomb, 2, |_| Err(ScanError::UnsupportedType(9))), Err(ScanError::UnsupportedType(9))));
        assert_eq!(check(&bomb, 600).unwrap().len(), 600);
    }
}
