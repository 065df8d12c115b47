//! Text that people wrote with any editor: lists of labels and of names.

/// The letters of Windows-1252 from 0x80 to 0x9f, where it differs from Latin-1; the five free places stand for themselves.
const WINDOWS: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}',
    '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// The text of UTF-8 or UTF-16 with a byte-order mark, of UTF-8 without, or else of Windows-1252, which includes the letters
/// of Latin-1.
#[must_use]
pub fn decoded(bytes: &[u8]) -> String {
    let units = |order: fn([u8; 2]) -> u16| {
        let units: Vec<u16> =
            bytes[2..].as_chunks::<2>().0.iter().map(|pair| order(*pair)).collect();
        String::from_utf16_lossy(&units)
    };
    match bytes {
        [0xff, 0xfe, ..] => units(u16::from_le_bytes),
        [0xfe, 0xff, ..] => units(u16::from_be_bytes),
        _ => {
            let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
            match std::str::from_utf8(bytes) {
                Ok(text) => text.to_string(),
                Err(_) => bytes.iter().map(|&byte| windows(byte)).collect(),
            }
        }
    }
}

fn windows(byte: u8) -> char {
    match byte {
        0x80..=0x9f => WINDOWS[usize::from(byte) - 0x80],
        _ => char::from(byte),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_every_editor_is_read() {
        for bytes in [
            "Käfer, 5 €".as_bytes(),
            b"\xef\xbb\xbfK\xc3\xa4fer, 5 \xe2\x82\xac",
            b"K\xe4fer, 5 \x80",
            b"\xff\xfeK\0\xe4\0f\0e\0r\0,\0 \x005\0 \0\xac\x20",
            b"\xfe\xff\0K\0\xe4\0f\0e\0r\0,\0 \x005\0 \x20\xac",
        ] {
            assert_eq!(decoded(bytes), "Käfer, 5 €");
        }
        assert_eq!(decoded(b"\xff\xfe"), "");
        assert_eq!(decoded(b""), "");
    }
}
