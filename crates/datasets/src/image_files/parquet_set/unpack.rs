//! The bytes of a page are unpacked to the length that its header claims, and never beyond.

use std::io::Read;

use bytes::Bytes;
use parquet::basic::Compression;

/// A page may always be this long once it is unpacked, in bytes.
const ALWAYS: usize = 64 << 20;
/// A longer one at most this many times its length in the file. Images hardly shrink, and snappy reaches 21.
const MOST_TIMES: usize = 32;

/// Whether pages that are packed this way are read.
pub(super) fn is_known(codec: Compression) -> bool {
    matches!(
        codec,
        Compression::UNCOMPRESSED
            | Compression::SNAPPY
            | Compression::GZIP(_)
            | Compression::ZSTD(_)
    )
}

/// The `length` bytes that `packed` stands for, or the problem with them.
pub(super) fn unpack(codec: Compression, packed: Bytes, length: usize) -> Result<Bytes, String> {
    if length > ALWAYS.max(packed.len().saturating_mul(MOST_TIMES)) {
        return Err(format!("a page of {} bytes claims {length} bytes", packed.len()));
    }
    let unpacked = match codec {
        Compression::UNCOMPRESSED => return fitting(packed, length),
        // Empty pages are written without a body.
        _ if length == 0 => return Ok(Bytes::new()),
        Compression::SNAPPY => {
            let claimed = snap::raw::decompress_len(&packed).map_err(|error| error.to_string())?;
            check_length(claimed, length)?;
            let mut unpacked = vec![0; length];
            let count = snap::raw::Decoder::new().decompress(&packed, &mut unpacked);
            unpacked.truncate(count.map_err(|error| error.to_string())?);
            unpacked
        }
        Compression::GZIP(_) => read(flate2::read::MultiGzDecoder::new(&packed[..]), length)?,
        Compression::ZSTD(_) => {
            let reader = zstd::stream::read::Decoder::new(&packed[..]);
            read(reader.map_err(|error| error.to_string())?, length)?
        }
        _ => return Err(format!("its pages are packed by {codec}")),
    };
    fitting(unpacked.into(), length)
}

fn read(reader: impl Read, length: usize) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(length);
    reader
        .take(length as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| format!("a page cannot be unpacked: {error}"))?;
    Ok(bytes)
}

fn fitting(bytes: Bytes, length: usize) -> Result<Bytes, String> {
    check_length(bytes.len(), length)?;
    Ok(bytes)
}

fn check_length(got: usize, claimed: usize) -> Result<(), String> {
    match got == claimed {
        true => Ok(()),
        false if got > claimed => Err(format!("a page claims {claimed} bytes and has more")),
        false => Err(format!("a page claims {claimed} bytes and has {got}")),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const TEXT: &[u8] = &[7; 5000];

    fn packed() -> [(Compression, Vec<u8>); 4] {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(TEXT).unwrap();
        [
            (Compression::UNCOMPRESSED, TEXT.to_vec()),
            (Compression::SNAPPY, snap::raw::Encoder::new().compress_vec(TEXT).unwrap()),
            (Compression::GZIP(Default::default()), gzip.finish().unwrap()),
            (Compression::ZSTD(Default::default()), zstd::encode_all(TEXT, 3).unwrap()),
        ]
    }

    #[test]
    fn pages_are_unpacked_to_the_length_that_they_claim() {
        for (codec, packed) in packed() {
            let packed = Bytes::from(packed);
            assert!(is_known(codec));
            assert_eq!(unpack(codec, packed.clone(), TEXT.len()).unwrap(), TEXT, "{codec}");
            for (length, expected) in [(4999, "has more"), (5001, "has 5000"), (1, "has more")] {
                let problem = unpack(codec, packed.clone(), length).unwrap_err();
                assert!(problem.ends_with(expected), "{codec}, {length}: {problem}");
            }
        }
    }

    #[test]
    fn a_length_out_of_proportion_takes_no_memory() {
        for (codec, packed) in packed() {
            let problem = unpack(codec, packed.into(), i32::MAX as usize).unwrap_err();
            assert!(problem.contains(" claims 2147483647 bytes"), "{problem}");
        }
    }

    #[test]
    fn damaged_bytes_are_refused() {
        for (codec, packed) in packed().into_iter().skip(1) {
            let half = Bytes::from(packed).slice(..10);
            assert!(unpack(codec, half, TEXT.len()).is_err(), "{codec}");
        }
        assert!(!is_known(Compression::LZ4_RAW));
    }
}
