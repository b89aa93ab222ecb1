//! RLE Lossless (PS3.5, annex G) for pictures of one byte a pixel.

/// A frame's fragment: a header of one segment, then rows in packed bits, none of which runs over its row's end.
pub(super) fn encoded(frame: &[u8], columns: usize) -> Vec<u8> {
    const HEADER_BYTES: u32 = 64;
    let mut bytes = Vec::with_capacity(256);
    bytes.extend(1_u32.to_le_bytes());
    bytes.extend(HEADER_BYTES.to_le_bytes());
    bytes.resize(HEADER_BYTES as usize, 0);
    frame.chunks(columns).for_each(|row| pack(row, &mut bytes));
    if bytes.len() % 2 == 1 {
        bytes.push(0);
    }
    bytes
}

/// A row: runs of three or more as one, all else as it is.
fn pack(row: &[u8], bytes: &mut Vec<u8>) {
    const MOST: usize = 128;
    let run = |at: usize| row[at..].iter().take(MOST).take_while(|value| **value == row[at]).count();
    let mut at = 0;
    while at < row.len() {
        let length = run(at);
        if length >= 2 {
            bytes.extend([(1 - length as i16) as u8, row[at]]);
            at += length;
            continue;
        }
        let end = (at + 1..row.len().min(at + MOST)).find(|next| run(*next) >= 3).unwrap_or(row.len().min(at + MOST));
        bytes.push((end - at - 1) as u8);
        bytes.extend(&row[at..end]);
        at = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What PS3.5, G.3.2 does.
    fn unpacked(mut bytes: &[u8], size: usize) -> Vec<u8> {
        let mut values = Vec::new();
        while values.len() < size {
            let n = bytes[0].cast_signed();
            let (taken, run) = if n >= 0 { (1 + n as usize, 1) } else { (1, (1 - i32::from(n)) as usize) };
            assert_ne!(n, -128);
            for _ in 0..run {
                values.extend(&bytes[1..=taken]);
            }
            bytes = &bytes[1 + taken..];
        }
        values
    }

    proptest::proptest! {
        #[test]
        fn what_is_packed_unpacks(
            rows in proptest::collection::vec((0_u8..3, 1_usize..300), 1..12), columns in 1_usize..200
        ) {
            let mut frame: Vec<u8> = rows.iter().flat_map(|(value, n)| std::iter::repeat_n(*value, *n)).collect();
            frame.truncate(frame.len() / columns * columns);
            let packed = encoded(&frame, columns);
            proptest::prop_assert_eq!(packed.len() % 2, 0);
            proptest::prop_assert_eq!(&packed[..8], &[1, 0, 0, 0, 64, 0, 0, 0]);
            proptest::prop_assert_eq!(unpacked(&packed[64..], frame.len()), frame);
        }
    }
}
