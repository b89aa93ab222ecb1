//! `multipart/related` (RFC 2387), as WADO-RS sends objects: part after part, each copied as it comes. Objects are not
//! held in memory.

use std::io::{self, Read, Write};

use memchr::memmem::{Finder, find};

/// How much is looked at at once; a boundary has 70 letters at most (RFC 2046, 5.1.1).
const PIECE_BYTES: usize = 256 << 10;
/// Longest head of a part, and most that may stand before the first.
const HEAD_LIMIT_BYTES: usize = 16 << 10;

/// What parts are parted by, from a media type.
pub(super) fn boundary(kind: &str) -> Option<String> {
    let parameters = kind.split_once(';')?.1;
    let at = parameters.to_ascii_lowercase().find("boundary=")? + "boundary=".len();
    let rest = &parameters[at..];
    let quoted = rest.strip_prefix('"').and_then(|rest| rest.split('"').next());
    let boundary = quoted.unwrap_or_else(|| rest.split([';', ' ']).next().unwrap_or_default());
    (1..=70).contains(&boundary.len()).then(|| boundary.to_owned())
}

/// The parts of an answer.
pub(super) struct Parts<R> {
    from: R,
    /// A line's end, and the boundary behind it.
    delimiter: Finder<'static>,
    /// What has been read and not been looked at lies in `here`.
    buffer: Vec<u8>,
    here: std::ops::Range<usize>,
    has_begun: bool,
}

impl<R: Read> Parts<R> {
    /// Of an answer whose parts are parted so.
    pub(super) fn new(from: R, boundary: &str) -> Self {
        let delimiter = Finder::new(format!("\r\n--{boundary}").as_bytes()).into_owned();
        let mut buffer = vec![0; PIECE_BYTES];
        // The first boundary may stand at the very beginning: as if a line had ended before.
        buffer[..2].copy_from_slice(b"\r\n");
        Self { from, delimiter, buffer, here: 0..2, has_begun: false }
    }

    /// Goes to the next part's body, past its headers; false behind the last.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] if the answer ends before its end, [`io::ErrorKind::InvalidData`] if it is none
    /// of this kind; whatever reading ends in.
    pub(super) fn next(&mut self) -> io::Result<bool> {
        if !self.has_begun {
            let before = self.until(|this| this.delimiter.find(this.here()))?;
            self.here.start += before + self.delimiter.needle().len();
            self.has_begun = true;
        }
        self.until(|this| (this.here.len() >= 2).then_some(0))?;
        if self.here().starts_with(b"--") {
            return Ok(false);
        }
        let head = self.until(|this| find(this.here(), b"\r\n\r\n"))?;
        self.here.start += head + 4;
        Ok(true)
    }

    /// Copies the body of the part.
    ///
    /// # Errors
    /// As [`Parts::next`]; whatever writing ends in.
    pub(super) fn copy(&mut self, to: &mut impl Write) -> io::Result<()> {
        let length = self.delimiter.needle().len();
        loop {
            if let Some(at) = self.delimiter.find(self.here()) {
                to.write_all(&self.here()[..at])?;
                self.here.start += at + length;
                return Ok(());
            }
            // What is left may be the beginning of the boundary.
            let body = self.here.len().saturating_sub(length - 1);
            to.write_all(&self.here()[..body])?;
            self.here.start += body;
            self.more()?;
        }
    }

    fn here(&self) -> &[u8] {
        &self.buffer[self.here.clone()]
    }

    /// Reads until something is found, near.
    fn until(&mut self, found: impl Fn(&Self) -> Option<usize>) -> io::Result<usize> {
        loop {
            match found(self) {
                Some(at) => return Ok(at),
                None if self.here.len() > HEAD_LIMIT_BYTES => return Err(io::ErrorKind::InvalidData.into()),
                None => self.more()?,
            }
        }
    }

    fn more(&mut self) -> io::Result<()> {
        self.buffer.copy_within(self.here.clone(), 0);
        self.here = 0..self.here.len();
        loop {
            match self.from.read(&mut self.buffer[self.here.end..]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(got) => {
                    self.here.end += got;
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use proptest::prelude::*;

    use super::*;

    /// All parts of an answer that comes in pieces of so many bytes.
    fn parts(answer: &[u8], boundary: &str, piece: usize) -> io::Result<Vec<Vec<u8>>> {
        let (mut parts, mut all) = (Parts::new(BufReader::with_capacity(piece, answer), boundary), Vec::new());
        while parts.next()? {
            let mut body = Vec::new();
            parts.copy(&mut body)?;
            all.push(body);
        }
        Ok(all)
    }

    #[test]
    fn boundaries_are_found_however_they_are_written() {
        let check = |kind: &str, expected: Option<&str>| assert_eq!(boundary(kind).as_deref(), expected, "{kind}");
        check("multipart/related; type=\"application/dicom\"; boundary=a-b", Some("a-b"));
        check("multipart/related; Boundary=\"a b\"; type=x", Some("a b"));
        check("multipart/related; boundary=ab;type=x", Some("ab"));
        check("multipart/related; boundary=", None);
        check("application/dicom", None);
    }

    #[test]
    fn a_part_ends_where_its_boundary_stands() {
        let check = |answer: &str, expected: Result<&[&str], io::ErrorKind>| {
            for piece in [1, 2, 7, 1000] {
                let got = parts(answer.as_bytes(), "B", piece).map_err(|error| error.kind());
                let expected = expected.map(|all| all.iter().map(|body| body.as_bytes().to_vec()).collect::<Vec<_>>());
                assert_eq!(got, expected, "{answer:?}");
            }
        };
        check("--B\r\nContent-Type: a\r\n\r\nbody\r\n--B--", Ok(&["body"]));
        check("before\r\n--B\r\n\r\nx\r\n--B \r\nA: b\r\nC: d\r\n\r\ny\r\n\r\n--B--behind", Ok(&["x", "y\r\n"]));
        check("--B\r\n\r\n\r\n--B--\r\n", Ok(&[""]));
        check("--B\r\n\r\na\n--B\r\r\n\r\n--B--", Ok(&["a\n--B\r\r\n"]));
        check("\r\n--B--", Ok(&[]));
        check("--B\r\n\r\nbody\r\n--", Err(io::ErrorKind::UnexpectedEof));
        check("--B\r\n\r\nbody\r\n--B", Err(io::ErrorKind::UnexpectedEof));
        check("--B\r\nContent-Type: a", Err(io::ErrorKind::UnexpectedEof));
        check("", Err(io::ErrorKind::UnexpectedEof));
        check(&"no answer of this kind".repeat(1000), Err(io::ErrorKind::InvalidData));
    }

    proptest! {
        #[test]
        fn any_bytes_come_through(
            bodies in proptest::collection::vec(
                proptest::collection::vec(
                    prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'-'), any::<u8>()],
                    0..300,
                ),
                0..4,
            ),
            piece in 1_usize..50,
        ) {
            prop_assume!(bodies.iter().all(|body| !body.windows(7).any(|window| window == b"\r\n--B42")));
            let mut whole = Vec::new();
            for body in &bodies {
                whole.extend([b"\r\n--B42\r\nA: b\r\n\r\n", &body[..]].concat());
            }
            whole.extend(b"\r\n--B42--");
            prop_assert_eq!(parts(&whole, "B42", piece).unwrap(), bodies);
        }

        #[test]
        fn parts_of_any_length_come_through(length in PIECE_BYTES - 60..PIECE_BYTES + 60) {
            let body = [vec![b'x'; length], b"\r\n".to_vec(), vec![b'y'; length], b"\r".to_vec()].concat();
            let whole = [b"--B\r\n\r\n", &body[..], b"\r\n--B\r\n\r\nz\r\n--B--"].concat();
            prop_assert_eq!(parts(&whole, "B", 1 << 20).unwrap(), vec![body, b"z".to_vec()]);
        }
    }
}
