//! Unpacking under a cap, front to back: nothing but the voxels is ever held. The header is read first and says how
//! much is to come, so that a small file that unpacks to gigabytes costs nothing. nifti-rs accepts a wrong checksum, a
//! missing trailer and several gzip members cut to one; this does not.

use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;

use super::ScanError;

/// What may follow the voxels; some writers pad their files.
const TRAILER_BYTES: u64 = 16 << 20;

/// A file's bytes, unpacked if it is gzip.
pub(super) enum Unpacked<R> {
    Plain(R),
    Packed(Box<Members<R>>),
}

impl<R: BufRead> Unpacked<R> {
    pub(super) fn new(mut file: R) -> io::Result<Self> {
        // A buffer's first filling holds more than two bytes of any file that has them.
        let packed = file.fill_buf()?.starts_with(&[0x1f, 0x8b]);
        Ok(if packed {
            Self::Packed(Box::new(Members { current: Some(GzDecoder::new(file)), may_be_padding: false }))
        } else {
            Self::Plain(file)
        })
    }

    /// Reads what is left, for the checksum behind it; says whether that is more than some padding.
    pub(super) fn finish(&mut self) -> Result<(), ScanError> {
        let Self::Packed(_) = self else { return Ok(()) };
        match io::copy(&mut self.take(TRAILER_BYTES + 1), &mut io::sink()).map_err(damaged)? {
            more if more > TRAILER_BYTES => Err(ScanError::TooLarge { limit_mib: (TRAILER_BYTES >> 20) as usize }),
            _ => Ok(()),
        }
    }
}

/// A stream that ended early or whose checksum is wrong, unless the system has failed.
pub(crate) fn damaged(error: io::Error) -> ScanError {
    if error.raw_os_error().is_some() { ScanError::Io(error) } else { ScanError::Damaged(error.to_string()) }
}

impl<R: BufRead> Read for Unpacked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.read(buffer),
            Self::Packed(members) => members.read(buffer),
        }
    }
}

/// Gzip members one after another; whatever stands behind the last one is padding, as gunzip, zlib and nibabel have it.
pub(super) struct Members<R> {
    /// Nothing behind the last.
    current: Option<GzDecoder<R>>,
    /// Whether only the first byte of the current member was seen before it was begun.
    may_be_padding: bool,
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let Some(decoder) = &mut self.current else { return Ok(0) };
            match decoder.read(buffer) {
                Ok(0) if !buffer.is_empty() => self.next_member()?,
                Ok(n) => {
                    self.may_be_padding = false;
                    return Ok(n);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) if self.may_be_padding && decoder.header().is_none() => self.current = None,
                Err(error) => return Err(error),
            }
        }
    }
}

impl<R: BufRead> Members<R> {
    fn next_member(&mut self) -> io::Result<()> {
        let Some(decoder) = self.current.take() else { return Ok(()) };
        let mut file = decoder.into_inner();
        let rest = file.fill_buf()?;
        // A buffer may end between the two bytes that begin a member.
        if rest.starts_with(&[0x1f, 0x8b]) || rest == [0x1f] {
            let first = rest.len() == 1;
            self.current = Some(GzDecoder::new(file));
            self.may_be_padding = first;
        }
        Ok(())
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

    /// Everything that a file unpacks to.
    fn check(bytes: &[u8]) -> Result<Vec<u8>, ScanError> {
        let mut file = Unpacked::new(bytes).unwrap();
        let mut all = Vec::new();
        file.read_to_end(&mut all).map_err(damaged)?;
        file.finish()?;
        Ok(all)
    }

    #[test]
    fn whole_files_unpack() {
        assert_eq!(check(b"plain").unwrap(), b"plain");
        assert_eq!(check(b"").unwrap(), b"");
        assert_eq!(check(&packed(b"abc")).unwrap(), b"abc");
        assert_eq!(check(&[packed(b"abc"), packed(b"def"), packed(b""), packed(b"g")].concat()).unwrap(), b"abcdefg");
    }

    #[test]
    fn what_stands_behind_the_last_member_is_padding() {
        for padding in [vec![0; 1], vec![0; 4096], b"garbage".to_vec(), vec![0x1f, 0]] {
            assert_eq!(check(&[packed(b"abc"), packed(b"def"), padding].concat()).unwrap(), b"abcdef");
        }
        // However the file is dealt into buffers.
        let bytes = [packed(b"abc"), packed(b"def"), vec![0; 9]].concat();
        for size in 2..bytes.len() {
            let mut all = Vec::new();
            Unpacked::new(io::BufReader::with_capacity(size, &bytes[..])).unwrap().read_to_end(&mut all).unwrap();
            assert_eq!(all, b"abcdef", "{size}");
        }
    }

    #[test]
    fn damage_is_noticed() {
        let good = packed(&[7; 1000]);
        let mut wrong_checksum = good.clone();
        let at = wrong_checksum.len() - 6;
        wrong_checksum[at] ^= 1;
        let second = [&packed(b"abc")[..], &good[..good.len() / 2]].concat();
        for bad in [&good[..good.len() - 4], &good[..good.len() / 2], &wrong_checksum, &second] {
            assert!(matches!(check(bad), Err(ScanError::Damaged(_))));
        }
    }

    #[test]
    fn much_behind_the_voxels_is_refused() {
        let bomb = packed(&vec![0; (16 << 20) + 600]);
        let after = |head: usize| {
            let mut file = Unpacked::new(&bomb[..]).unwrap();
            file.read_exact(&mut vec![0; head]).unwrap();
            file.finish()
        };
        assert!(matches!(after(500), Err(ScanError::TooLarge { .. })));
        assert!(after(600).is_ok());
    }
}
