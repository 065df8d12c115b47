//! TFRecord: how events follow each other in a file, each with a checksum of its length and one of its data.
//!
//! A record is the length as 8 bytes, the masked CRC32C of these, the data, and the masked CRC32C of the data, all
//! little-endian.

/// Bytes before the data: the length and its checksum.
const HEADER: usize = 12;

/// Bytes after the data: its checksum.
const FOOTER: usize = 4;

/// Castagnoli's polynomial, lowest power last, as CRC32C takes bits.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// The remainder of every byte.
const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut remainder = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            remainder = (remainder >> 1) ^ (POLYNOMIAL * (remainder & 1));
            bit += 1;
        }
        table[byte] = remainder;
        byte += 1;
    }
    table
};

/// The checksum of RFC 3720.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc: u32, byte| (crc >> 8) ^ TABLE[usize::from(crc as u8 ^ byte)])
}

/// A checksum as it is stored: masked, for a CRC of data that hold their own CRC says little.
fn masked_crc32c(bytes: &[u8]) -> [u8; 4] {
    crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

/// The record that holds `data`.
pub(super) fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    [&length, &masked_crc32c(&length)[..], data, &masked_crc32c(data)].concat()
}

/// Whether `bytes` are whole records and nothing else, by their lengths and the checksums of these.
pub(super) fn is_whole(mut bytes: &[u8]) -> bool {
    while let Some((header, rest)) = bytes.split_first_chunk::<HEADER>() {
        let (length, checksum) =
            header.split_first_chunk::<8>().expect("a header has twelve bytes");
        let end = usize::try_from(u64::from_le_bytes(*length)).ok();
        let rest = end.and_then(|length| rest.get(length.checked_add(FOOTER)?..));
        match rest {
            Some(rest) if checksum == masked_crc32c(length) => bytes = rest,
            _ => return false,
        }
    }
    bytes.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_rfc_3720() {
        let ascending: Vec<u8> = (0..32).collect();
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(&ascending), 0x46dd_794e);
    }

    #[test]
    fn only_whole_records_are_whole() {
        let two = [record(b"one"), record(b"")].concat();
        let whole: Vec<usize> = (0..=two.len()).filter(|end| is_whole(&two[..*end])).collect();
        assert_eq!(whole, [0, 19, 35]);
        assert!(!is_whole(&[u8::MAX; 40]), "a length beyond all memory");
        let mut damaged = two;
        damaged[8] ^= 1;
        assert!(!is_whole(&damaged));
    }
}
