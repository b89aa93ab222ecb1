//! Texts as people's editors leave them.

/// A file's text: UTF-8, with or without a mark of byte order, as editors of Windows write it, or UTF-16 with one, as
/// its shell does. Nothing if it is neither.
pub fn text_of(bytes: &[u8]) -> Option<String> {
    let wide = |unit: fn([u8; 2]) -> u16| {
        let units = bytes[2..].chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
        String::from_utf16(&units.collect::<Vec<_>>()).ok()
    };
    match bytes {
        [0xff, 0xfe, ..] => wide(u16::from_le_bytes),
        [0xfe, 0xff, ..] => wide(u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, text @ ..] => String::from_utf8(text.to_vec()).ok(),
        text => String::from_utf8(text.to_vec()).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_of_byte_order_are_no_text() {
        let text = "{\"größe\": 1}\r\n";
        let utf16 = |unit: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(unit).collect::<Vec<u8>>();
        let files = [
            text.as_bytes().to_vec(),
            [&b"\xef\xbb\xbf"[..], text.as_bytes()].concat(),
            [&b"\xff\xfe"[..], &utf16(u16::to_le_bytes)].concat(),
            [&b"\xfe\xff"[..], &utf16(u16::to_be_bytes)].concat(),
        ];
        assert!(files.iter().all(|bytes| text_of(bytes).as_deref() == Some(text)));
        assert_eq!(text_of(b""), Some(String::new()));
        assert_eq!(text_of(b"gr\xf6\xdfe"), None);
        assert_eq!(text_of(b"\xff\xfe\x00\xd8"), None);
    }
}
