//! The door to decoders of JPEG-LS (`pure_jpegls`, Rust without `unsafe`, one keeper), JPEG 2000 and HTJ2K (OpenJPEG,
//! C), and JPEG Extended ([`super::jpeg`]). They run only where the kernel keeps the process from everything but the
//! files that it looks at; what a codestream says of its size is compared with the file before any of them sees it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use dicom_dictionary_std::uids;

use super::jpeg;

/// Whether this process may decode.
static IS_HELD: AtomicBool = AtomicBool::new(false);

/// This process is held by the kernel, and decodes what it is given from now on.
pub fn decode_here() {
    IS_HELD.store(true, Ordering::Relaxed);
}

/// Whether this process may decode.
pub(super) fn may_decode() -> bool {
    IS_HELD.load(Ordering::Relaxed)
}

/// How a frame is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Codec {
    /// ISO/IEC 14495-1, lossless and near-lossless.
    JpegLs,
    /// ISO/IEC 15444-1 and, with other blocks, 15444-15 (HTJ2K).
    Jpeg2000,
    /// ITU-T T.81, process 2 and 4.
    JpegExtended,
}

/// A frame's samples, as its codestream has them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) samples: Vec<i32>,
    pub(super) bits: u32,
    pub(super) is_signed: bool,
}

/// What a codestream says of its image.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    columns: usize,
    rows: usize,
    bits: u32,
    is_signed: bool,
    components: usize,
}

impl Codec {
    /// That of a transfer syntax; nothing if it is none of these.
    pub(super) fn of(syntax: &str) -> Option<Self> {
        match syntax {
            uids::JPEGLS_LOSSLESS | uids::JPEGLS_NEAR_LOSSLESS => Some(Self::JpegLs),
            uids::JPEG2000_LOSSLESS
            | uids::JPEG2000
            | uids::HTJ2K_LOSSLESS
            | uids::HTJ2K_LOSSLESS_RPCL
            | uids::HTJ2K => Some(Self::Jpeg2000),
            uids::JPEG_EXTENDED12_BIT => Some(Self::JpegExtended),
            _ => None,
        }
    }

    /// Unpacks a frame of this size.
    ///
    /// # Errors
    /// Why not, in words.
    pub(super) fn decode(self, packed: &[u8], columns: usize, rows: usize) -> Result<Frame, String> {
        let said = match self {
            Self::JpegLs => frame_header(packed, &[0xfff7]),
            Self::Jpeg2000 => jpeg_2000(packed),
            Self::JpegExtended => frame_header(packed, &[0xffc0, 0xffc1]),
        };
        let said = said.ok_or("they do not begin as their transfer syntax has it")?;
        if said.components != 1 || !(1..=16).contains(&said.bits) {
            return Err(format!("{} components of {} bits, and one of 1 to 16 is read", said.components, said.bits));
        }
        if (said.columns, said.rows) != (columns, rows) {
            return Err(format!("they are {} × {}, and the image {columns} × {rows}", said.columns, said.rows));
        }
        let samples = match self {
            Self::JpegLs => unpack_jpeg_ls(packed, columns, rows),
            Self::Jpeg2000 => unpack_jpeg_2000(packed),
            Self::JpegExtended if !matches!(said.bits, 8 | 12) => return Err(format!("{} bits", said.bits)),
            Self::JpegExtended => jpeg::decode(packed, columns, rows, said.bits),
        }?;
        if samples.len() == columns * rows {
            Ok(Frame { samples, bits: said.bits, is_signed: said.is_signed })
        } else {
            Err("some are missing".into())
        }
    }
}

fn unpack_jpeg_ls(packed: &[u8], columns: usize, rows: usize) -> Result<Vec<i32>, String> {
    let (columns, rows) = (columns as u32, rows as u32);
    jpegls::decode(packed, columns, rows)
        .map(|(samples, ..)| samples.into_iter().map(i32::from).collect())
        .map_err(|error| error.to_string())
}

fn unpack_jpeg_2000(packed: &[u8]) -> Result<Vec<i32>, String> {
    check_tiles(packed)?;
    // Strict: a stream that is cut off is none.
    let parameters = jpeg2k::DecodeParameters::new().strict(true);
    let image = jpeg2k::Image::from_bytes_with(packed, parameters).map_err(|error| error.to_string())?;
    let component = image.components().first().ok_or("they hold no component")?;
    if component.width() != image.orig_width() || component.height() != image.orig_height() {
        return Err("they are of another size than they say".to_owned());
    }
    Ok(component.data().to_vec())
}

fn word(bytes: &[u8], at: usize) -> Option<usize> {
    Some(usize::from(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?)))
}

fn long(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?)).ok()
}

/// The frame header (ITU-T T.81, B.2.2; ISO/IEC 14495-1, C.2.2), which has one of these markers, behind other segments.
fn frame_header(bytes: &[u8], frames: &[usize]) -> Option<Said> {
    const START: usize = 0xffd8;
    const SCAN: usize = 0xffda;
    let mut at = 2;
    if word(bytes, 0)? != START {
        return None;
    }
    loop {
        match word(bytes, at)? {
            marker if frames.contains(&marker) => break,
            SCAN => return None,
            marker if marker > 0xff00 => at += 2 + word(bytes, at + 2)?,
            _ => return None,
        }
    }
    let bits = u32::from(*bytes.get(at + 4)?);
    let components = usize::from(*bytes.get(at + 9)?);
    Some(Said { rows: word(bytes, at + 5)?, columns: word(bytes, at + 7)?, bits, is_signed: false, components })
}

/// The size segment (ISO/IEC 15444-1, A.5.1), which is the first.
fn jpeg_2000(bytes: &[u8]) -> Option<Said> {
    if bytes.get(..4)? != [0xff, 0x4f, 0xff, 0x51] {
        return None;
    }
    let [right, bottom, left, top] = [long(bytes, 8)?, long(bytes, 12)?, long(bytes, 16)?, long(bytes, 20)?];
    let (depth, across, down) = (*bytes.get(42)?, *bytes.get(43)?, *bytes.get(44)?);
    // Thinned components have fewer samples than the image has pixels.
    let components = if (across, down) == (1, 1) { word(bytes, 40)? } else { 0 };
    let (columns, rows) = (right.checked_sub(left)?, bottom.checked_sub(top)?);
    Some(Said { columns, rows, bits: u32::from(depth & 0x7f) + 1, is_signed: depth & 0x80 != 0, components })
}

/// Whether every tile that the size segment announces is there with all its parts (ISO/IEC 15444-1, A.4.2): the decoder
/// takes what is missing for zeros.
fn check_tiles(bytes: &[u8]) -> Result<(), String> {
    let tiles = tiles(bytes).ok_or("they say nothing of their tiles")?;
    let parts = tile_parts(bytes).ok_or("a tile is cut off")?;
    let mut found: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
    for TilePart { tile, of } in parts {
        let (count, announced) = found.entry(tile).or_default();
        (*count, *announced) = (*count + 1, of.max(*announced));
    }
    // A tile that does not say of how many parts it is has those that are there.
    let whole = found.values().filter(|(count, announced)| *announced == 0 || count == announced).count();
    match found.keys().find(|tile| **tile >= tiles) {
        Some(tile) => Err(format!("there is a tile {tile}, and they have {tiles}")),
        None if whole < tiles => Err(format!("{whole} of {tiles} tiles are there")),
        None => Ok(()),
    }
}

/// The number of tiles (A.5.1).
fn tiles(bytes: &[u8]) -> Option<usize> {
    let [right, bottom] = [long(bytes, 8)?, long(bytes, 12)?];
    let [across, down, left, top] = [long(bytes, 24)?, long(bytes, 28)?, long(bytes, 32)?, long(bytes, 36)?];
    if across == 0 || down == 0 {
        return None;
    }
    right.checked_sub(left)?.div_ceil(across).checked_mul(bottom.checked_sub(top)?.div_ceil(down))
}

/// A part of a tile.
struct TilePart {
    tile: usize,
    /// Parts of this tile; 0 where it does not say.
    of: usize,
}

/// All parts of tiles, in their order; nothing where one does not end in the file.
fn tile_parts(bytes: &[u8]) -> Option<Vec<TilePart>> {
    const TILE: usize = 0xff90;
    const END: usize = 0xffd9;
    let mut at = 2;
    // The main header's segments.
    while word(bytes, at)? != TILE {
        at += 2 + word(bytes, at + 2)?;
    }
    let mut parts = Vec::new();
    while at < bytes.len() {
        match word(bytes, at)? {
            TILE => {
                parts.push(TilePart { tile: word(bytes, at + 4)?, of: usize::from(*bytes.get(at + 11)?) });
                match long(bytes, at + 6)? {
                    // The last one may go on to the end of the stream.
                    0 => break,
                    length if length >= 14 => at += length,
                    _ => return None,
                }
            }
            END => break,
            _ => return None,
        }
    }
    (at <= bytes.len()).then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream of tiles without anything in them: `(tile, parts of it)` each.
    fn tiled(across: u32, parts: &[(u16, u8)]) -> Vec<u8> {
        let mut bytes = siz([32, 16, 0, 0], 1, [11, 1, 1]);
        bytes[24..32].copy_from_slice(&[across.to_be_bytes(), 16_u32.to_be_bytes()].concat());
        for (tile, of) in parts {
            let [high, low] = tile.to_be_bytes();
            bytes.extend([0xff, 0x90, 0, 10, high, low, 0, 0, 0, 14, 0, *of, 0xff, 0x93]);
        }
        bytes.extend([0xff, 0xd9]);
        bytes
    }

    #[test]
    fn every_tile_must_be_there() {
        #[track_caller]
        fn check(bytes: &[u8], expected: Result<(), &str>) {
            assert_eq!(check_tiles(bytes), expected.map_err(str::to_owned));
        }
        check(&tiled(32, &[(0, 1)]), Ok(()));
        check(&tiled(16, &[(0, 1), (1, 1)]), Ok(()));
        check(&tiled(16, &[(0, 2), (1, 1), (0, 2)]), Ok(()));
        check(&tiled(16, &[(0, 0), (0, 0), (1, 0)]), Ok(()));
        check(&tiled(16, &[(0, 1)]), Err("1 of 2 tiles are there"));
        check(&tiled(16, &[(0, 1), (1, 2)]), Err("1 of 2 tiles are there"));
        check(&tiled(16, &[(0, 1), (2, 1)]), Err("there is a tile 2, and they have 2"));
        check(&tiled(1, &[(0, 1)]), Err("1 of 32 tiles are there"));
        check(&tiled(0, &[(0, 1)]), Err("they say nothing of their tiles"));
        let whole = tiled(32, &[(0, 1)]);
        check(&whole[..whole.len() - 4], Err("a tile is cut off"));
        check(&siz([32, 16, 0, 0], 1, [11, 1, 1]), Err("they say nothing of their tiles"));
    }

    fn siz(size: [u32; 4], components: u16, depth: [u8; 3]) -> Vec<u8> {
        let mut bytes = vec![0xff, 0x4f, 0xff, 0x51, 0, 41, 0, 0];
        bytes.extend(size.iter().flat_map(|n| n.to_be_bytes()));
        bytes.extend([0; 16]);
        bytes.extend(components.to_be_bytes());
        bytes.extend(depth);
        bytes
    }

    fn sof(before: &[u8], size: [u16; 2], bits: u8, components: u8) -> Vec<u8> {
        let [rows, columns] = size.map(u16::to_be_bytes);
        [&[0xff, 0xd8], before, &[0xff, 0xf7, 0, 11, bits], &rows, &columns, &[components, 1, 17, 0]].concat()
    }

    const JPEG_LS: &[usize] = &[0xfff7];

    #[test]
    fn codestreams_say_their_size() {
        let check = |said: Option<Said>, columns, rows, bits, components| {
            let is_signed = said.as_ref().is_some_and(|said| said.is_signed);
            assert_eq!(said, Some(Said { columns, rows, bits, is_signed, components }));
        };
        check(jpeg_2000(&siz([33, 20, 0, 0], 1, [11, 1, 1])), 33, 20, 12, 1);
        check(jpeg_2000(&siz([33, 20, 3, 4], 1, [0x8f, 1, 1])), 30, 16, 16, 1);
        check(jpeg_2000(&siz([33, 20, 0, 0], 3, [7, 1, 1])), 33, 20, 8, 3);
        check(jpeg_2000(&siz([33, 20, 0, 0], 1, [7, 2, 1])), 33, 20, 8, 0);
        check(frame_header(&sof(&[], [20, 33], 12, 1), JPEG_LS), 33, 20, 12, 1);
        check(frame_header(&sof(&[0xff, 0xe8, 0, 4, 1, 2], [20, 33], 8, 3), JPEG_LS), 33, 20, 8, 3);
        for other in [&b""[..], &[0xff], &[0xff, 0xd8, 0xff, 0xda, 0, 8], &[0xff, 0xd8, 0xff, 0xf7, 0, 11, 8], &[0; 99]]
        {
            assert_eq!((frame_header(other, JPEG_LS), jpeg_2000(other)), (None, None));
        }
        assert!(jpeg_2000(&siz([9, 9, 0, 0], 1, [0x8f, 1, 1])).is_some_and(|said| said.is_signed));
        assert_eq!(jpeg_2000(&siz([33, 20, 34, 0], 1, [7, 1, 1])), None);
    }

    #[test]
    fn what_says_other_than_its_file_is_not_decoded() {
        let check = |packed: &[u8], codec: Codec, says: &str| {
            let error = codec.decode(packed, 33, 20).unwrap_err();
            assert!(error.contains(says), "{error}");
        };
        check(
            &siz([65_535, 65_535, 0, 0], 1, [11, 1, 1]),
            Codec::Jpeg2000,
            "they are 65535 × 65535, and the image 33 × 20",
        );
        check(&siz([33, 20, 0, 0], 3, [7, 1, 1]), Codec::Jpeg2000, "3 components");
        check(&siz([33, 20, 0, 0], 1, [37, 1, 1]), Codec::Jpeg2000, "of 38 bits");
        check(&siz([33, 20, 0, 0], 1, [11, 1, 1]), Codec::Jpeg2000, "");
        check(b"\0\0\0\x0cjP  ", Codec::Jpeg2000, "do not begin");
        check(&sof(&[], [65_535, 65_535], 16, 1), Codec::JpegLs, "they are 65535 × 65535");
        check(&sof(&[], [20, 33], 8, 3), Codec::JpegLs, "3 components");
        check(&sof(&[], [20, 33], 12, 1), Codec::JpegLs, "");
        check(&sof(&[0xff, 0xe8, 0xff, 0xff], [20, 33], 12, 1), Codec::JpegLs, "do not begin");
    }
}
