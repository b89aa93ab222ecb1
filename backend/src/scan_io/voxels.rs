//! From a file's bytes to numbers, a piece at a time.

use std::io::Read;

use super::ScanError;
use super::header::Header;

/// Bytes that are decoded at a time; a multiple of every voxel's size.
const PIECE: usize = 1 << 16;

/// Intensities after slope and intercept.
pub(super) struct Decoded {
    pub(super) values: Vec<f32>,
    /// The first voxel that is a number but too large for f32, if there is one.
    pub(super) too_large: Option<(usize, f64)>,
}

/// Bytes of a voxel, for the types that hold intensities.
pub(super) fn voxel_size(datatype: i16) -> Result<usize, ScanError> {
    match datatype {
        2 | 256 => Ok(1),
        4 | 512 => Ok(2),
        8 | 16 | 768 => Ok(4),
        64 | 1024 | 1280 => Ok(8),
        other => Err(ScanError::UnsupportedType(other)),
    }
}

/// A type's name, for those that cannot be read.
pub(super) fn type_name(datatype: i16) -> &'static str {
    match datatype {
        1 => "single bits",
        32 | 1792 | 2048 => "complex numbers",
        128 => "RGB colours",
        2304 => "RGBA colours",
        1536 => "numbers of 128 bits",
        _ => "of an unknown kind",
    }
}

/// Slope and intercept as nibabel has them: a slope of 0, or one that is no number, means that there are none.
fn scaling(header: &Header) -> Result<Option<(f64, f64)>, ScanError> {
    let (slope, intercept) = (header.slope, header.intercept);
    match () {
        () if slope == 0.0 || !slope.is_finite() => Ok(None),
        () if !intercept.is_finite() => Err(ScanError::Scaling { slope, intercept }),
        () if slope == 1.0 && intercept == 0.0 => Ok(None),
        () => Ok(Some((slope, intercept))),
    }
}

/// Reads the `count` voxels that begin at byte `start`. Slope and intercept are applied in f64, as SimpleITK and
/// nibabel do.
pub(super) fn decode(file: impl Read, header: &Header, start: usize, count: usize) -> Result<Decoded, ScanError> {
    let scaling = scaling(header)?;
    macro_rules! values {
        ($kind:ty) => {{
            const SIZE: usize = size_of::<$kind>();
            read(file, start, count, SIZE, scaling, |chunk| {
                let mut array = [0; SIZE];
                array.copy_from_slice(chunk);
                let value =
                    if header.big_endian { <$kind>::from_be_bytes(array) } else { <$kind>::from_le_bytes(array) };
                value as f64
            })
        }};
    }
    match header.datatype {
        2 => values!(u8),
        4 => values!(i16),
        8 => values!(i32),
        16 => values!(f32),
        64 => values!(f64),
        256 => values!(i8),
        512 => values!(u16),
        768 => values!(u32),
        1024 => values!(i64),
        1280 => values!(u64),
        other => Err(ScanError::UnsupportedType(other)),
    }
}

/// Zeros, whose memory is taken as it is written: what is promised and not there costs none.
pub(super) fn zeros(count: usize) -> Result<Vec<f32>, ScanError> {
    // Asked for first, as nobody can say no to what follows; seen, or it would not be asked for.
    let mut asked: Vec<f32> = Vec::new();
    asked.try_reserve_exact(count).map_err(|_| ScanError::NoMemory { mib: count >> 18 })?;
    drop(std::hint::black_box(asked));
    Ok(vec![0.0; count])
}

fn read(
    mut file: impl Read,
    start: usize,
    count: usize,
    size: usize,
    scaling: Option<(f64, f64)>,
    value: impl Fn(&[u8]) -> f64,
) -> Result<Decoded, ScanError> {
    let mut values: Vec<f32> = Vec::new();
    values.try_reserve_exact(count).map_err(|_| ScanError::NoMemory { mib: count >> 18 })?;
    let mut too_large = None;
    let mut piece = vec![0; PIECE];
    while values.len() < count {
        let wanted = PIECE.min((count - values.len()) * size);
        let got = fill(&mut file, &mut piece[..wanted])?;
        for chunk in piece[..got].chunks_exact(size) {
            let raw = value(chunk);
            let scaled = scaling.map_or(raw, |(slope, intercept)| raw * slope + intercept);
            let narrow = scaled as f32;
            if narrow.is_infinite() && raw.is_finite() && too_large.is_none() {
                too_large = Some((values.len(), scaled));
            }
            values.push(narrow);
        }
        if got < wanted {
            return Err(ScanError::Truncated {
                expected: start + count * size,
                got: start + values.len() * size + got % size,
            });
        }
    }
    Ok(Decoded { values, too_large })
}

/// Reads until the buffer is full or the file ends; says how much that was.
pub(super) fn fill(file: &mut impl Read, buffer: &mut [u8]) -> Result<usize, ScanError> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(super::gate::damaged(error)),
        }
    }
    Ok(filled)
}
