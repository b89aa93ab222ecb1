//! Objects of an answer of WADO-RS, each to a file, under a limit that all share.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use super::progress::Progress;
use super::related::{Parts, boundary};
use super::web::Web;
use super::{PacsError, uid};

/// As much of an object as says what it is called.
const HEAD_BYTES: usize = 1024;

/// What all files together may take, as long as they are wanted.
pub(super) struct Room<'a> {
    left: AtomicU64,
    limit_bytes: u64,
    pub(super) progress: &'a Progress,
}

impl<'a> Room<'a> {
    pub(super) fn new(limit_bytes: u64, progress: &'a Progress) -> Self {
        Self { left: AtomicU64::new(limit_bytes), limit_bytes, progress }
    }
}

/// The objects of an answer.
pub(super) struct Objects<'a> {
    body: Body<'a>,
    room: &'a Room<'a>,
    web: &'a Web,
}

enum Body<'a> {
    Parts(Box<Parts<Box<dyn Read + 'a>>>),
    /// Some send a single object as it is.
    One(Option<Box<dyn Read + 'a>>),
}

impl<'a> Objects<'a> {
    /// Of an answer of this media type; nothing if it holds no objects.
    pub(super) fn of(kind: &str, body: Box<dyn Read + 'a>, room: &'a Room<'a>, web: &'a Web) -> Option<Self> {
        let body = match boundary(kind) {
            Some(boundary) => Body::Parts(Box::new(Parts::new(body, &boundary))),
            None if kind.starts_with("application/dicom") => Body::One(Some(body)),
            None => return None,
        };
        Some(Self { body, room, web })
    }

    /// Writes the next object to a file; what it is called, as far as it says that. Nothing behind the last.
    ///
    /// # Errors
    /// [`PacsError::Stopped`], [`PacsError::TooLarge`], [`PacsError::Files`], or [`PacsError::Away`] if the answer
    /// breaks off.
    pub(super) fn next(&mut self, file: &Path) -> Result<Option<Option<String>>, PacsError> {
        let mut to = Counted { to: None, file, taken: 0, head: Vec::new(), room: self.room };
        let written = match &mut self.body {
            Body::One(body) => match body.take() {
                None => return Ok(None),
                Some(mut body) => io::copy(&mut body, &mut to).map(|_| true),
            },
            Body::Parts(parts) => parts.next().and_then(|is_one| {
                if is_one {
                    parts.copy(&mut to)?;
                }
                Ok(is_one)
            }),
        };
        match written {
            Ok(false) => Ok(None),
            Ok(true) => Ok(Some(name(&to.head))),
            Err(error) => {
                // What will be fetched again is not counted twice.
                self.room.left.fetch_add(to.taken, Ordering::Relaxed);
                Err(self.reason(error))
            }
        }
    }

    /// What an error of reading and writing means here.
    fn reason(&self, error: io::Error) -> PacsError {
        match error.kind() {
            _ if self.room.progress.is_stopped() => PacsError::Stopped,
            io::ErrorKind::QuotaExceeded => PacsError::TooLarge { limit_bytes: self.room.limit_bytes },
            _ if crate::store::is_full(&error) => PacsError::Files(error),
            _ => self.web.cut_off(),
        }
    }
}

/// A file that takes no more than all files may.
struct Counted<'a> {
    to: Option<File>,
    file: &'a Path,
    taken: u64,
    head: Vec<u8>,
    room: &'a Room<'a>,
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.room.progress.is_stopped() {
            return Err(io::ErrorKind::Other.into());
        }
        let less = |left: u64| left.checked_sub(bytes.len() as u64);
        if self.room.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_err() {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        self.taken += bytes.len() as u64;
        let wanting = HEAD_BYTES.saturating_sub(self.head.len()).min(bytes.len());
        self.head.extend_from_slice(&bytes[..wanting]);
        let to = match &mut self.to {
            Some(to) => to,
            none => none.insert(File::create(self.file)?),
        };
        to.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What an object is called, by the beginning of its file: its own group (PS3.10, 7.1), explicit and little-endian.
fn name(head: &[u8]) -> Option<String> {
    let mut rest = head.get(132..).filter(|_| head[128..132] == *b"DICM")?;
    loop {
        let (tag, kind) = (rest.get(..4)?, rest.get(4..6)?);
        let (at, length): (usize, usize) = match kind {
            b"OB" | b"UN" => (12, u32::from_le_bytes(rest.get(8..12)?.try_into().ok()?) as usize),
            _ => (8, usize::from(u16::from_le_bytes(rest.get(6..8)?.try_into().ok()?))),
        };
        let value = rest.get(at..at.checked_add(length)?)?;
        match tag {
            [2, 0, 3, 0] => {
                let text = std::str::from_utf8(value).ok()?.trim_end_matches(['\0', ' ']);
                return uid(text).ok().map(str::to_owned);
            }
            [2, 0, ..] => rest = &rest[at + length..],
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_says_what_it_is_called() {
        let file = |elements: &[&[u8]]| [&[0; 128][..], b"DICM", &elements.concat()].concat();
        let length = b"\x02\0\0\0UL\x04\0\x40\0\0\0";
        let version = b"\x02\0\x01\0OB\0\0\x02\0\0\0\0\x01";
        let class = b"\x02\0\x02\0UI\x04\x001.2\0";
        let check = |elements: &[&[u8]], expected: Option<&str>| {
            assert_eq!(name(&file(elements)).as_deref(), expected);
        };
        check(&[length, version, class, b"\x02\0\x03\0UI\x06\x001.2.3\0"], Some("1.2.3"));
        check(&[b"\x02\0\x03\0UI\x06\x001.2.33"], Some("1.2.33"));
        check(&[length, version, class], None);
        check(&[length, b"\x08\0\x18\0UI\x04\x001.23"], None);
        check(&[b"\x02\0\x03\0UI\x06\0../../"], None);
        check(&[b"\x02\0\x03\0UI\xff\xff1.2"], None);
        check(&[b"\x02\0\x01\0OB\0\0\xff\xff\xff\xff"], None);
        assert_eq!(name(b"DICM"), None);
    }
}
