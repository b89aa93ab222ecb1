//! Sequential JPEG with Huffman codes (ITU-T T.81, process 2 and 4) of one component, 8 or 12 bits: what DICOM calls
//! JPEG Extended. No crate that is kept reads 12 bits.

use std::f32::consts::{FRAC_1_SQRT_2, PI};
use std::sync::LazyLock;

/// Where the k-th coefficient of a block lies, x fastest (figure 5).
const ZIGZAG: [usize; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21,
    28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54,
    47, 55, 62, 63,
];

/// Cosines of the transform (A.3.3): `[frequency][place]`, halved, the mean's by √½.
static COSINES: LazyLock<[[f32; 8]; 8]> = LazyLock::new(|| {
    std::array::from_fn(|frequency| {
        let scale = if frequency == 0 { 0.5 * FRAC_1_SQRT_2 } else { 0.5 };
        std::array::from_fn(|place| scale * ((2 * place + 1) as f32 * frequency as f32 * PI / 16.0).cos())
    })
});

const CUT_OFF: &str = "they are cut off";
const NO_TABLE: &str = "a table that they use is missing";
const BROKEN: &str = "a code in them stands for nothing";

/// Unpacks a frame of this size and depth, which the stream's own header has been compared with.
///
/// # Errors
/// Why not, in words.
pub(super) fn decode(packed: &[u8], columns: usize, rows: usize, bits: u32) -> Result<Vec<i32>, String> {
    let (tables, scan) = Tables::read(packed)?;
    let (across, down) = (columns.div_ceil(8), rows.div_ceil(8));
    let mut samples = vec![0; columns * rows];
    let mut coded = Bits { bytes: scan, at: 0, held: 0, count: 0 };
    let mut mean = 0;
    for block in 0..across * down {
        if tables.restart != 0 && block > 0 && block % tables.restart == 0 {
            coded.restart(block / tables.restart - 1)?;
            mean = 0;
        }
        let pixels = transformed(&tables.block(&mut coded, &mut mean)?, bits);
        let (left, top) = (block % across * 8, block / across * 8);
        for (y, row) in pixels.chunks_exact(8).enumerate().take(rows - top) {
            let start = (top + y) * columns + left;
            let width = 8.min(columns - left);
            samples[start..start + width].copy_from_slice(&row[..width]);
        }
    }
    Ok(samples)
}

/// What a scan is read with.
struct Tables<'a> {
    quantisation: [u16; 64],
    mean: Huffman<'a>,
    other: Huffman<'a>,
    /// Blocks between two restarts; 0 for none.
    restart: usize,
}

impl<'a> Tables<'a> {
    /// All segments up to the one scan (B.2), and the bytes behind its header.
    fn read(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), String> {
        let mut quantisations = [None; 4];
        let mut codes: [Option<Huffman<'a>>; 8] = Default::default();
        let (mut restart, mut quantisation, mut rest) = (0, 0, bytes.get(2..).ok_or(CUT_OFF)?);
        loop {
            let [0xff, marker, behind @ ..] = rest else { return Err(CUT_OFF.into()) };
            // Any number of these may stand before a marker.
            if *marker == 0xff {
                rest = &rest[1..];
                continue;
            }
            let length = behind.first_chunk().map(|length| usize::from(u16::from_be_bytes(*length))).ok_or(CUT_OFF)?;
            let segment = behind.get(2..length).ok_or(CUT_OFF)?;
            rest = &behind[length..];
            match (*marker, segment) {
                (0xdb, _) => read_quantisations(segment, &mut quantisations)?,
                (0xc4, _) => read_codes(segment, &mut codes)?,
                (0xdd, [high, low]) => restart = usize::from(u16::from_be_bytes([*high, *low])),
                (0xc0 | 0xc1, [_, _, _, _, _, 1, _, _, table]) => quantisation = usize::from(*table),
                (0xc2..=0xcf, _) => return Err("they are packed in a way that is not read".into()),
                (0xda, [1, _, table, 0, 63, 0]) => {
                    let (mean, other) = (usize::from(table >> 4), usize::from(table & 15));
                    let mut take = |of: usize, at: usize| codes.get_mut(4 * of + at).filter(|_| at < 4)?.take();
                    let (mean, other) = (take(0, mean).ok_or(NO_TABLE)?, take(1, other).ok_or(NO_TABLE)?);
                    let quantisation = quantisations.get(quantisation).copied().flatten().ok_or(NO_TABLE)?;
                    return Ok((Self { quantisation, mean, other, restart }, rest));
                }
                (0xda, _) => return Err("they come in several scans".into()),
                _ => {}
            }
        }
    }

    /// The next block's coefficients, x fastest (F.2.2); `mean` is that of the block before.
    fn block(&self, coded: &mut Bits<'_>, mean: &mut i32) -> Result<[f32; 64], String> {
        let mut block = [0.0; 64];
        let size = coded.symbol(&self.mean)?;
        *mean = mean.saturating_add(coded.number(size)?);
        block[0] = *mean as f32 * f32::from(self.quantisation[0]);
        let mut k = 1;
        while k < 64 {
            let (zeros, size) = match coded.symbol(&self.other)? {
                0 => break,
                symbol => (usize::from(symbol >> 4), symbol & 15),
            };
            k += zeros;
            let (place, step) = ZIGZAG.get(k).zip(self.quantisation.get(k)).ok_or(BROKEN)?;
            block[*place] = coded.number(size)? as f32 * f32::from(*step);
            k += 1;
        }
        Ok(block)
    }
}

/// Steps of the coefficients, of 8 or 16 bits, in the order of the zigzag (B.2.4.1).
fn read_quantisations(mut segment: &[u8], tables: &mut [Option<[u16; 64]>; 4]) -> Result<(), String> {
    while let [head, rest @ ..] = segment {
        let size = if head >> 4 == 0 { 1 } else { 2 };
        let steps = rest.get(..64 * size).ok_or(CUT_OFF)?;
        let step = |k: usize| steps[k * size..][..size].iter().fold(0, |step, byte| step << 8 | u16::from(*byte));
        *tables.get_mut(usize::from(head & 15)).ok_or(BROKEN)? = Some(std::array::from_fn(step));
        segment = &rest[64 * size..];
    }
    Ok(())
}

/// Huffman's codes: four for means, four for the others (B.2.4.2).
fn read_codes<'a>(mut segment: &'a [u8], tables: &mut [Option<Huffman<'a>>; 8]) -> Result<(), String> {
    while let [head, rest @ ..] = segment {
        let (counts, rest) = rest.split_first_chunk::<16>().ok_or(CUT_OFF)?;
        let count = counts.iter().map(|count| usize::from(*count)).sum();
        let symbols = rest.get(..count).ok_or(CUT_OFF)?;
        let (of, at) = (usize::from(head >> 4), usize::from(head & 15));
        let table = tables.get_mut(4 * of + at).filter(|_| of < 2 && at < 4).ok_or(BROKEN)?;
        *table = Some(Huffman::new(counts, symbols)?);
        segment = &rest[count..];
    }
    Ok(())
}

/// A code (annex C).
struct Huffman<'a> {
    /// For each length in bits: the first word of 16 bits that begins with no such code, and what to take from a code
    /// for the number of its symbol.
    lengths: [(u32, i32); 16],
    symbols: &'a [u8],
}

impl<'a> Huffman<'a> {
    fn new(counts: &[u8; 16], symbols: &'a [u8]) -> Result<Self, String> {
        let (mut code, mut number, mut lengths) = (0_u32, 0, [(0, 0); 16]);
        for (length, count) in (1..).zip(counts) {
            let skip = code.cast_signed() - number;
            code += u32::from(*count);
            number += i32::from(*count);
            if code > 1 << length {
                return Err(BROKEN.into());
            }
            lengths[length - 1] = (code << (16 - length), skip);
            code <<= 1;
        }
        Ok(Self { lengths, symbols })
    }
}

/// The bits of a scan, the most significant first.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
    held: u64,
    /// How many of them are held.
    count: u32,
}

impl Bits<'_> {
    /// Takes in bytes up to the next marker; behind a byte of ones a zero is no marker (F.1.2.3).
    fn fill(&mut self) {
        while self.count <= 48 {
            let Some(&byte) = self.bytes.get(self.at) else { return };
            self.at += match (byte, self.bytes.get(self.at + 1)) {
                (0xff, Some(0)) => 2,
                (0xff, _) => return,
                _ => 1,
            };
            self.held = self.held << 8 | u64::from(byte);
            self.count += 8;
        }
    }

    /// The next 16 bits, without taking them; zeros behind the last.
    fn next_word(&mut self) -> u32 {
        if self.count < 16 {
            self.fill();
        }
        let word = if self.count >= 16 { self.held >> (self.count - 16) } else { self.held << (16 - self.count) };
        (word & 0xffff) as u32
    }

    fn take(&mut self, bits: u32) -> Result<(), String> {
        self.count = self.count.checked_sub(bits).ok_or(CUT_OFF)?;
        Ok(())
    }

    fn symbol(&mut self, code: &Huffman<'_>) -> Result<u8, String> {
        let word = self.next_word();
        let found = (1_u32..).zip(code.lengths).find(|(_, (end, _))| word < *end).ok_or(BROKEN)?;
        let (length, (_, skip)) = found;
        self.take(length)?;
        let number = (word >> (16 - length)).cast_signed() - skip;
        let symbol = usize::try_from(number).ok().and_then(|number| code.symbols.get(number));
        symbol.copied().ok_or_else(|| BROKEN.to_owned())
    }

    /// A number of so many bits; one that begins with 0 is below 0 (F.2.2.1).
    fn number(&mut self, bits: u8) -> Result<i32, String> {
        let bits = u32::from(bits);
        match bits {
            0 => return Ok(0),
            1..=16 => {}
            _ => return Err(BROKEN.into()),
        }
        let value = (self.next_word() >> (16 - bits)).cast_signed();
        self.take(bits)?;
        Ok(if value >> (bits - 1) == 0 { value - (1 << bits) + 1 } else { value })
    }

    /// Goes behind the marker of the restart of this number.
    fn restart(&mut self, number: usize) -> Result<(), String> {
        self.count = 0;
        let marker = [0xff, 0xd0 | (number % 8) as u8];
        if self.bytes.get(self.at..self.at + 2) != Some(&marker) {
            return Err("a part of them is missing".into());
        }
        self.at += 2;
        Ok(())
    }
}

/// The pixels of a block from its coefficients (A.3.3).
fn transformed(block: &[f32; 64], bits: u32) -> [i32; 64] {
    let (cosines, most) = (&*COSINES, (1 << bits) - 1);
    let middle = (1 << (bits - 1)) as f32;
    let mut rows = [0.0; 64];
    for (row, coefficients) in rows.chunks_exact_mut(8).zip(block.chunks_exact(8)) {
        for (coefficient, waves) in coefficients.iter().zip(cosines).filter(|(coefficient, _)| **coefficient != 0.0) {
            row.iter_mut().zip(waves).for_each(|(value, wave)| *value += coefficient * wave);
        }
    }
    std::array::from_fn(|at| {
        let (x, y) = (at % 8, at / 8);
        let value: f32 = (0..8).map(|frequency| rows[8 * frequency + x] * cosines[frequency][y]).sum();
        ((value + middle).round() as i32).clamp(0, most)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream of 12 bits whose blocks hold a mean each: of 0 bits as `0`, of 4 bits as `10`, then `0`, the end.
    fn stream(restart: u8, scan: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0xff, 0xd8, 0xff, 0xdb, 0, 67, 0];
        bytes.extend([8; 64]);
        bytes.extend([0xff, 0xc1, 0, 11, 12, 0, 8, 0, 16, 1, 1, 0x11, 0]);
        bytes.extend([0xff, 0xc4, 0, 21, 0x00, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4]);
        bytes.extend([0xff, 0xc4, 0, 20, 0x10, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        bytes.extend([0xff, 0xdd, 0, 4, 0, restart]);
        bytes.extend([0xff, 0xda, 0, 8, 1, 1, 0, 0, 63, 0]);
        bytes.extend(scan);
        bytes
    }

    /// The first pixels of the two blocks.
    fn means(stream: &[u8]) -> Result<[i32; 2], String> {
        let samples = decode(stream, 16, 8, 12)?;
        assert!(samples.chunks_exact(8).all(|row| row.iter().all(|pixel| *pixel == row[0])));
        Ok([samples[0], samples[8]])
    }

    #[test]
    fn means_go_on_from_block_to_block_until_a_restart() {
        // 9, and 9 more: 10 1001 0, 10 1001 0.
        assert_eq!(means(&stream(0, &[0b1010_0101, 0b0100_1011])), Ok([2057, 2066]));
        // 9, and 9 less: 10 1001 0, 10 0110 0.
        assert_eq!(means(&stream(0, &[0b1010_0101, 0b0011_0011])), Ok([2057, 2048]));
        assert_eq!(means(&stream(1, &[0b1010_0101, 0xff, 0xd0, 0b1010_0101])), Ok([2057, 2057]));
        assert_eq!(means(&stream(1, &[0b1010_0101, 0xff, 0xd1, 0b1010_0101])), Err("a part of them is missing".into()));
    }

    #[test]
    fn what_is_no_stream_is_refused_in_words() {
        let whole = stream(0, &[0b1010_0101, 0b0100_1011]);
        for length in 0..whole.len() {
            let error = decode(&whole[..length], 16, 8, 12).unwrap_err();
            assert!([CUT_OFF, NO_TABLE].contains(&error.as_str()), "{length}: {error}");
        }
        assert_eq!(means(&stream(0, &[0b1100_0000, 0])), Err(BROKEN.to_owned()));
        let mut several = whole.clone();
        let scan = several.len() - 8;
        several[scan] = 3;
        assert_eq!(means(&several), Err("they come in several scans".to_owned()));
        let mut progressive = whole;
        progressive[72] = 0xc2;
        assert_eq!(means(&progressive), Err("they are packed in a way that is not read".to_owned()));
    }
}
