//! What a file claims of itself is compared with its size before it is parsed: the parser takes memory for every length
//! that it reads, and a header of a few bytes can claim gigabytes.

use std::io::{self, ErrorKind, Read, Seek, SeekFrom};

/// Value representations with a length of 16 bits (PS3.5, 7.1.2); all others have one of 32, and so the parser takes
/// what it does not know.
const SHORT: [&[u8; 2]; 21] = [
    b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FL", b"FD", b"IS", b"LO", b"LT", b"PN", b"SH", b"SL", b"SS",
    b"ST", b"TM", b"UI", b"UL", b"US",
];
/// No length: to the next delimiter.
const UNDEFINED: u32 = u32::MAX;
/// Items and delimiters.
const ITEMS: u16 = 0xfffe;
const ITEM: u16 = 0xe000;
const PIXELS: (u16, u16) = (0x7fe0, 0x0010);

/// Refuses a file whose elements say that they are longer than what is left of it. What is deflated,
/// what stands behind an unknown sequence, and within a sequence of an implicit file, is left to the parser.
///
/// # Errors
/// In words: what is too long, or why it cannot be read.
pub(super) fn check_lengths(file: &mut (impl Read + Seek)) -> Result<(), String> {
    let mut walk = || -> io::Result<Result<(), String>> {
        let length = file.seek(SeekFrom::End(0))?;
        file.rewind()?;
        Walk { file: &mut *file, length, at: 0, implicit: false, big: false }.begin()
    };
    walk().map_err(|error| error.to_string())?
}

struct Walk<R> {
    file: R,
    length: u64,
    at: u64,
    implicit: bool,
    big: bool,
}

impl<R: Read + Seek> Walk<R> {
    fn bytes<const N: usize>(&mut self) -> io::Result<Option<[u8; N]>> {
        let mut bytes = [0; N];
        match self.file.read_exact(&mut bytes) {
            Ok(()) => {}
            // The parser says where the file ends too early.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
        self.at += N as u64;
        Ok(Some(bytes))
    }

    fn short(&self, bytes: [u8; 2]) -> u16 {
        if self.big { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
    }

    fn long(&self, bytes: [u8; 4]) -> u32 {
        if self.big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    }

    /// From the beginning: with a preamble or without, then the file's own group, which is explicit and little-endian.
    fn begin(&mut self) -> io::Result<Result<(), String>> {
        let mut head = [0; 132];
        let got = self.file.read(&mut head)?;
        self.at = if got == 132 && head[128..] == *b"DICM" { 132 } else { 0 };
        if head.starts_with(b"DICM") {
            self.at = 4;
        }
        self.file.seek(SeekFrom::Start(self.at))?;
        let mut syntax = None;
        loop {
            let start = self.at;
            let Some([a, b, c, d]) = self.bytes()? else { return Ok(Ok(())) };
            let tag = (u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d]));
            if tag.0 != 2 {
                self.go(start)?;
                break;
            }
            let Some((_, length)) = self.value_length(tag)? else { return Ok(Ok(())) };
            if let Err(why) = self.fits(tag, length) {
                return Ok(Err(why));
            }
            let value = self.at;
            if tag == (2, 0x10) && length <= 64 {
                let mut text = vec![0; length as usize];
                self.file.read_exact(&mut text)?;
                self.at += u64::from(length);
                syntax = Some(String::from_utf8_lossy(&text).trim_end_matches(['\0', ' ']).to_owned());
            }
            self.go(value + u64::from(length))?;
        }
        match syntax.as_deref() {
            Some("1.2.840.10008.1.2") => self.implicit = true,
            Some("1.2.840.10008.1.2.2") => self.big = true,
            // Deflated, or nobody says.
            Some("1.2.840.10008.1.2.1.99") | None => return Ok(Ok(())),
            Some(_) => {}
        }
        self.data_set()
    }

    /// What has been read ahead is kept: most elements are short.
    fn go(&mut self, to: u64) -> io::Result<()> {
        let by = to.cast_signed() - self.at.cast_signed();
        self.at = to;
        self.file.seek_relative(by)
    }

    fn fits(&self, tag: (u16, u16), length: u32) -> Result<(), String> {
        let left = self.length.saturating_sub(self.at);
        if length == UNDEFINED || u64::from(length) <= left {
            return Ok(());
        }
        let (group, element) = tag;
        Err(format!("({group:04x},{element:04x}) is to hold {length} bytes, and {left} are left of the file"))
    }

    /// Whether a value is a sequence, and its length; nothing where the file ends.
    fn value_length(&mut self, tag: (u16, u16)) -> io::Result<Option<(bool, u32)>> {
        if self.implicit || tag.0 == ITEMS {
            let Some(bytes) = self.bytes()? else { return Ok(None) };
            let length = self.long(bytes);
            return Ok(Some((length == UNDEFINED, length)));
        }
        let Some(kind) = self.bytes::<2>()? else { return Ok(None) };
        if SHORT.contains(&&kind) {
            let Some(bytes) = self.bytes()? else { return Ok(None) };
            return Ok(Some((false, u32::from(self.short(bytes)))));
        }
        let Some([_, _, a, b, c, d]) = self.bytes()? else { return Ok(None) };
        Ok(Some((&kind == b"SQ", self.long([a, b, c, d]))))
    }

    /// Elements one after another; sequences and items are gone into.
    fn data_set(&mut self) -> io::Result<Result<(), String>> {
        let mut in_pixels = false;
        loop {
            let Some([a, b, c, d]) = self.bytes()? else { return Ok(Ok(())) };
            let tag = (self.short([a, b]), self.short([c, d]));
            let Some((is_sequence, length)) = self.value_length(tag)? else { return Ok(Ok(())) };
            if let Err(why) = self.fits(tag, length) {
                return Ok(Err(why));
            }
            let goes_in = match tag {
                (ITEMS, ITEM) => !in_pixels,
                (ITEMS, _) => {
                    in_pixels = false;
                    true
                }
                PIXELS if length == UNDEFINED => {
                    in_pixels = true;
                    true
                }
                _ => is_sequence,
            };
            if goes_in {
                continue;
            }
            if length == UNDEFINED {
                // An unknown sequence, whose items are implicit.
                return Ok(Ok(()));
            }
            self.go(self.at + u64::from(length))?;
        }
    }
}
