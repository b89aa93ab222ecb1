//! Opens files: what they claim is looked at before the parser takes them at their word. It takes memory for every
//! length that it reads ([`super::lengths`] knows most of them, not all), and builds sequences within sequences by
//! calling itself, so that a file which nests them ever deeper, at a few bytes a level, would end this process. Here
//! its tokens are looked at first, one by one, without building anything.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read, Seek, SeekFrom, copy, sink};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dicom_core::header::DataElementHeader;
use dicom_core::{Length, Tag};
use dicom_dictionary_std::tags;
use dicom_encoding::Codec;
use dicom_encoding::transfer_syntax::TransferSyntaxIndex;
use dicom_object::file::ReadPreamble;
use dicom_object::{DefaultDicomObject, FileMetaTable, OpenFileOptions};
use dicom_parser::dataset::DataToken;
use dicom_parser::dataset::read::DataSetReader;
use dicom_transfer_syntax_registry::TransferSyntaxRegistry;

use super::lengths::check_lengths;
use super::{DicomError, name};

/// Sequences within sequences of any real object: those of structured reports have some twenty.
const DEEPEST: usize = 100;

/// What of a file is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// What stands before the pixels.
    Head,
    /// All of it.
    Whole,
}

/// Opens a file.
///
/// # Errors
/// [`DicomError::Unreadable`].
pub(super) fn open(file: &Path, part: Part) -> Result<DefaultDicomObject, DicomError> {
    let opened = File::open(file).map_err(|error| chain(&error));
    let object = opened.and_then(|file| read(&mut BufReader::new(file), part));
    object.map_err(|why| DicomError::Unreadable { file: name(file), why })
}

/// The same of a file that is held.
///
/// # Errors
/// [`DicomError::Unreadable`].
pub(super) fn open_held(file: &[u8], part: Part) -> Result<DefaultDicomObject, DicomError> {
    let object = read(&mut Cursor::new(file), part);
    object.map_err(|why| DicomError::Unreadable { file: "the object".to_owned(), why })
}

fn read(source: &mut (impl BufRead + Seek), part: Part) -> Result<DefaultDicomObject, String> {
    let words = |error: io::Error| chain(&error);
    check_lengths(source)?;
    let length = source.seek(SeekFrom::End(0)).map_err(words)?;
    source.rewind().map_err(words)?;
    let has_preamble = !source.fill_buf().map_err(words)?.starts_with(b"DICM");
    check_elements(&mut *source, length, has_preamble, part)?;
    source.rewind().map_err(words)?;
    let mut options =
        OpenFileOptions::new().read_preamble(if has_preamble { ReadPreamble::Always } else { ReadPreamble::Never });
    if part == Part::Head {
        options = options.read_until(tags::PIXEL_DATA);
    }
    options.from_reader(source).map_err(|error| chain(&error))
}

/// Reads as far as [`read`] will, and as it will: nothing is longer than what is left, or nested too deep.
fn check_elements(source: impl Read, length: u64, has_preamble: bool, part: Part) -> Result<(), String> {
    let read = Arc::new(AtomicU64::new(0));
    let mut source = Counted { source, read: Arc::clone(&read) };
    if has_preamble {
        copy(&mut (&mut source).take(128), &mut sink()).map_err(|error| chain(&error))?;
    }
    let meta = FileMetaTable::from_reader(&mut source).map_err(|error| chain(&error))?;
    // What it does not know, the parser refuses by itself.
    let Some(syntax) = TransferSyntaxRegistry.get(meta.transfer_syntax()) else { return Ok(()) };
    let left = |ratio: u64| length.saturating_sub(read.load(Ordering::Relaxed)).saturating_mul(ratio);
    match syntax.codec() {
        Codec::Dataset(Some(adapter)) => {
            let source = adapter.adapt_reader(Box::new(source));
            let tokens = DataSetReader::new_with_ts(source, syntax).map_err(|error| chain(&error))?;
            // What has been read ahead may hold as much once more.
            check_tokens(tokens, part, || left(MOST_RATIO) + READ_AHEAD * MOST_RATIO)
        }
        Codec::Dataset(None) => Ok(()),
        _ => {
            let tokens = DataSetReader::new_with_ts(source, syntax).map_err(|error| chain(&error))?;
            check_tokens(tokens, part, || left(1))
        }
    }
}

/// Bytes that a deflated one can stand for (zlib's own figure).
const MOST_RATIO: u64 = 1032;
/// Bytes that may have been read and not been inflated yet.
const READ_AHEAD: u64 = 1 << 15;

/// Counts what is read.
struct Counted<R> {
    source: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.source.read(buffer)?;
        self.read.fetch_add(got as u64, Ordering::Relaxed);
        Ok(got)
    }
}

/// The parser takes memory for a value when it has read its length; here it is asked for the next token only then.
fn check_tokens<E: std::error::Error>(
    tokens: impl Iterator<Item = Result<DataToken, E>>,
    part: Part,
    left: impl Fn() -> u64,
) -> Result<(), String> {
    let (mut depth, mut in_pixels) = (0_usize, false);
    let fits = |tag: Tag, length: Length| match length.get() {
        Some(length) if u64::from(length) > left() => {
            Err(format!("{tag} is to hold {length} bytes, and {} are left of the file", left()))
        }
        _ => Ok(()),
    };
    for token in tokens {
        match token.map_err(|error| chain(&error))? {
            // There the parser stops.
            DataToken::ElementHeader(DataElementHeader { tag, .. }) | DataToken::SequenceStart { tag, .. }
                if depth == 0 && part == Part::Head && tag >= tags::PIXEL_DATA =>
            {
                return Ok(());
            }
            DataToken::PixelSequenceStart if depth == 0 && part == Part::Head => return Ok(()),
            DataToken::ElementHeader(DataElementHeader { tag, len, .. }) => fits(tag, len)?,
            DataToken::ItemStart { len } if in_pixels => fits(tags::PIXEL_DATA, len)?,
            DataToken::PixelSequenceStart => (depth, in_pixels) = (depth + 1, true),
            DataToken::SequenceStart { .. } => depth += 1,
            DataToken::SequenceEnd => (depth, in_pixels) = (depth.saturating_sub(1), false),
            _ => {}
        }
        if depth > DEEPEST {
            return Err(format!("it has sequences within sequences, more than {DEEPEST} deep"));
        }
    }
    Ok(())
}

/// An error and its causes.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_words = cause.to_string();
        if !words.contains(&cause_words) {
            words = format!("{words}: {cause_words}");
        }
        source = cause.source();
    }
    // They quote the file.
    words.chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use dicom_dictionary_std::uids;
    use dicom_object::FileMetaTableBuilder;
    use flate2::Compression;
    use flate2::write::DeflateEncoder;

    use super::*;

    /// A file with this behind the group of its own.
    fn file(syntax: &str, content: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let meta = FileMetaTableBuilder::new()
            .transfer_syntax(syntax)
            .media_storage_sop_class_uid(uids::CT_IMAGE_STORAGE)
            .media_storage_sop_instance_uid("1.2.3")
            .build()
            .unwrap();
        file.write_all(&[0; 128]).unwrap();
        file.write_all(b"DICM").unwrap();
        meta.write(&mut file).unwrap();
        file.write_all(content).unwrap();
        file
    }

    /// Sequences within sequences, explicit, and their ends.
    fn nested(depth: usize) -> Vec<u8> {
        let begin = b"\x08\0\x15\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\xff\xff\xff\xff";
        let end = b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0";
        [begin.repeat(depth), end.repeat(depth)].concat()
    }

    /// The same without a word of its kind: that of the tag counts.
    fn nested_implicit(depth: usize) -> Vec<u8> {
        let begin = b"\x08\0\x15\x11\xff\xff\xff\xff\xfe\xff\0\xe0\xff\xff\xff\xff";
        let end = b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0";
        [begin.repeat(depth), end.repeat(depth)].concat()
    }

    fn deflated(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn sequences_within_sequences_are_counted_before_they_are_built() {
        let check = |syntax: &str, content: &[u8], expected: bool| {
            let file = file(syntax, content);
            for part in [Part::Head, Part::Whole] {
                let held = std::fs::read(file.path()).unwrap();
                for opened in [open(file.path(), part), open_held(&held, part)] {
                    match opened {
                        Ok(_) => assert!(expected, "{syntax}: taken"),
                        Err(error) => {
                            let words = error.to_string();
                            assert!(!expected && words.contains("more than 100 deep"), "{syntax}: {words}");
                        }
                    }
                }
            }
        };
        for (depth, expected) in [(0, true), (60, true), (100, true), (101, false), (100_000, false)] {
            check(uids::EXPLICIT_VR_LITTLE_ENDIAN, &nested(depth), expected);
            check(uids::IMPLICIT_VR_LITTLE_ENDIAN, &nested_implicit(depth), expected);
            check(uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, &deflated(&nested(depth)), expected);
        }
        // Within an unknown sequence, however it is read: this process lives on.
        for content in [nested(100_000), nested_implicit(100_000)] {
            let unknown = b"\x09\0\x10\x10UN\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\xff\xff\xff\xff";
            let file = file(uids::EXPLICIT_VR_LITTLE_ENDIAN, &[&unknown[..], &content].concat());
            assert!(open(file.path(), Part::Whole).is_err());
        }
    }

    #[test]
    fn no_value_is_longer_than_the_file() {
        let check = |syntax: &str, content: &[u8], expected: bool| {
            let file = file(syntax, content);
            let outcome = open(file.path(), Part::Whole).map(drop).map_err(|error| error.to_string());
            assert_eq!(outcome.is_ok(), expected, "{syntax}: {outcome:?}");
        };
        // Text of four letters that is said to have 2^30; behind an unknown sequence, and by itself.
        let text = |length: u32| [&b"\x10\0\x10\0UT\0\0"[..], &length.to_le_bytes(), b"Anna"].concat();
        let unknown = b"\x09\0\x10\x10UN\0\0\xff\xff\xff\xff\xfe\xff\xdd\xe0\0\0\0\0";
        for before in [&b""[..], unknown] {
            let of = |length: u32| [before, &text(length)].concat();
            check(uids::EXPLICIT_VR_LITTLE_ENDIAN, &of(4), true);
            check(uids::EXPLICIT_VR_LITTLE_ENDIAN, &of(1 << 30), false);
            check(uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, &deflated(&of(4)), true);
            check(uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, &deflated(&of(1 << 30)), false);
        }
    }

    #[test]
    fn what_stands_behind_the_pixels_is_counted_where_it_is_read() {
        let pixels = b"\xe0\x7f\x10\0OW\0\0\x02\0\0\0\x07\0";
        let file = file(uids::EXPLICIT_VR_LITTLE_ENDIAN, &[pixels.to_vec(), nested(100_000)].concat());
        assert!(open(file.path(), Part::Head).is_ok());
        assert!(open(file.path(), Part::Whole).is_err());
    }
}
