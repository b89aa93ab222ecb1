//! `multipart/related` (RFC 2387), as WADO-RS sends objects: the first part, copied as it comes. Objects are not held
//! in memory.

use std::io::{self, BufRead, Read, Write};

/// How much is looked at at once; a boundary has 70 letters at most (RFC 2046, 5.1.1).
const PIECE_BYTES: u64 = 64 << 10;
/// Longest head of a part.
const HEAD_LIMIT_BYTES: u64 = 16 << 10;

/// What parts are parted by, from a media type.
pub(super) fn boundary(kind: &str) -> Option<String> {
    let parameters = kind.split_once(';')?.1;
    let at = parameters.to_ascii_lowercase().find("boundary=")? + "boundary=".len();
    let rest = &parameters[at..];
    let quoted = rest.strip_prefix('"').and_then(|rest| rest.split('"').next());
    let boundary = quoted.unwrap_or_else(|| rest.split([';', ' ']).next().unwrap_or_default());
    (1..=70).contains(&boundary.len()).then(|| boundary.to_owned())
}

/// Copies the body of the first part; what follows it is not read.
///
/// # Errors
/// [`io::ErrorKind::UnexpectedEof`] if it ends before its end; whatever reading and writing end in.
pub(super) fn first_part(mut from: impl BufRead, boundary: &str, to: &mut impl Write) -> io::Result<()> {
    let delimiter = format!("--{boundary}");
    skip_head(&mut from, delimiter.as_bytes())?;
    // A line's end belongs to the boundary behind it, if there is one.
    let (mut held, mut line): (&[u8], Vec<u8>) = (b"\r\n", Vec::new());
    let mut is_first = true;
    loop {
        line.clear();
        if (&mut from).take(PIECE_BYTES).read_until(b'\n', &mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if held == b"\r\n" && line.starts_with(delimiter.as_bytes()) {
            return Ok(());
        }
        if held == b"\r" && line == b"\n" {
            held = b"\r\n";
            continue;
        }
        if !is_first {
            to.write_all(held)?;
        }
        is_first = false;
        held = if line.ends_with(b"\r\n") {
            b"\r\n"
        } else if line.ends_with(b"\r") {
            b"\r"
        } else {
            b""
        };
        to.write_all(&line[..line.len() - held.len()])?;
    }
}

/// Goes to the first part's body: past what stands before it, and past its headers.
fn skip_head(from: &mut impl BufRead, delimiter: &[u8]) -> io::Result<()> {
    let mut head = from.take(HEAD_LIMIT_BYTES);
    let (mut line, mut within) = (Vec::new(), false);
    loop {
        line.clear();
        if head.read_until(b'\n', &mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if within && line == b"\r\n" {
            return Ok(());
        }
        within |= line.starts_with(delimiter);
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use proptest::prelude::*;

    use super::*;

    fn part(body: &[u8], boundary: &str) -> io::Result<Vec<u8>> {
        let mut got = Vec::new();
        first_part(BufReader::with_capacity(7, body), boundary, &mut got)?;
        Ok(got)
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
        let check = |body: &str, expected: Result<&str, io::ErrorKind>| {
            let got = part(body.as_bytes(), "B").map(|body| String::from_utf8(body).unwrap());
            assert_eq!(got.map_err(|error| error.kind()), expected.map(str::to_owned), "{body:?}");
        };
        check("--B\r\nContent-Type: a\r\n\r\nbody\r\n--B--", Ok("body"));
        check("\r\n--B\r\n\r\nx\r\n--Bnext", Ok("x"));
        check("--B\r\n\r\n\r\n--B--\r\n", Ok(""));
        check("--B\r\n\r\na\n--B\r\r\n\r\n--B--", Ok("a\n--B\r\r\n"));
        check("--B\r\n\r\nbody\r\n--", Err(io::ErrorKind::UnexpectedEof));
        check("--B\r\nContent-Type: a", Err(io::ErrorKind::UnexpectedEof));
        check("", Err(io::ErrorKind::UnexpectedEof));
    }

    proptest! {
        #[test]
        fn any_bytes_come_through(body in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'-'),
                                                                               any::<u8>()], 0..300)) {
            prop_assume!(!body.windows(7).any(|window| window == b"\r\n--B42"));
            let whole = [b"--B42\r\nA: b\r\n\r\n", &body[..], b"\r\n--B42--"].concat();
            prop_assert_eq!(part(&whole, "B42").unwrap(), body);
        }

        #[test]
        fn lines_of_any_length_come_through(length in 65_530_usize..65_550) {
            let body = [vec![b'x'; length], b"\r\n".to_vec(), vec![b'y'; length], b"\r".to_vec()].concat();
            let whole = [b"--B\r\n\r\n", &body[..], b"\r\n--B--"].concat();
            let mut got = Vec::new();
            first_part(&whole[..], "B", &mut got).unwrap();
            prop_assert_eq!(got, body);
        }
    }
}
