//! The header of a page: its kind, its lengths, and the number and encoding of its values.

use parquet::basic::Encoding;

use super::thrift::{Problem, Reader, kind};

/// A page's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PageHeader {
    pub(super) kind: PageKind,
    /// Length of the page in the file, in bytes.
    pub(super) packed: usize,
    /// Length of the page once it is unpacked, in bytes.
    pub(super) unpacked: usize,
    /// Number of values, missing ones among them.
    pub(super) values: u32,
    pub(super) encoding: Encoding,
}

/// The kinds of pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PageKind {
    /// The values that others refer to.
    Dictionary,
    /// Values, with their levels packed among them.
    Data {
        /// The encoding of the levels that say which values are missing.
        levels: Encoding,
    },
    /// Values of the second version, with their levels before them and not packed.
    DataV2 {
        /// Number of missing values.
        missing: u32,
        /// Number of rows.
        rows: u32,
        /// Length of the levels in bytes.
        levels: usize,
        /// Whether the values are packed.
        is_packed: bool,
    },
    /// Anything else, which holds no values.
    Other,
}

/// The fields of one of the three structures that describe values, by their numbers.
#[derive(Default)]
struct Fields {
    numbers: [Option<i64>; 9],
    /// The seventh field of a page of the second version, where it is there.
    is_packed: Option<bool>,
}

impl PageHeader {
    /// Reads the header at the start of `bytes`, and its own length.
    pub(super) fn read(bytes: &[u8]) -> Result<(Self, usize), Problem> {
        let mut reader = Reader::new(bytes);
        let mut sizes = [None; 4];
        let (mut data, mut dictionary, mut second) = (None, None, None);
        let mut last = 0;
        while let Some((field, kind)) = reader.field(&mut last)? {
            match (field, kind) {
                (1..=3, kind::I32) => sizes[field as usize] = Some(reader.signed()?),
                (5, kind::STRUCT) => data = Some(Fields::read(&mut reader)?),
                (7, kind::STRUCT) => dictionary = Some(Fields::read(&mut reader)?),
                (8, kind::STRUCT) => second = Some(Fields::read(&mut reader)?),
                _ => reader.skip(kind)?,
            }
        }
        let [_, Some(page), unpacked, packed] = sizes else { return Err(Problem::Broken) };
        let (kind, values, encoding) = match (page, data, dictionary, second) {
            (0, Some(data), _, _) => {
                (PageKind::Data { levels: data.encoding(3)? }, data.count(1)?, data.encoding(2)?)
            }
            (2, _, Some(dictionary), _) => {
                (PageKind::Dictionary, dictionary.count(1)?, dictionary.encoding(2)?)
            }
            (3, _, _, Some(data)) => {
                let levels = u64::from(data.count(5)?) + u64::from(data.count(6)?);
                let kind = PageKind::DataV2 {
                    missing: data.count(2)?,
                    rows: data.count(3)?,
                    levels: usize::try_from(levels).map_err(|_| Problem::Broken)?,
                    is_packed: data.is_packed.unwrap_or(true),
                };
                // Columns that repeat are not read, so there are no levels of repetition.
                if data.count(6)? != 0 {
                    return Err(Problem::Broken);
                }
                (kind, data.count(1)?, data.encoding(4)?)
            }
            (0 | 2 | 3, ..) => return Err(Problem::Broken),
            _ => (PageKind::Other, 0, Encoding::PLAIN),
        };
        let [unpacked, packed] = [length(unpacked)?, length(packed)?];
        Ok((Self { kind, packed, unpacked, values, encoding }, reader.at()))
    }
}

fn length(number: Option<i64>) -> Result<usize, Problem> {
    number.and_then(|number| i32::try_from(number).ok()?.try_into().ok()).ok_or(Problem::Broken)
}

impl Fields {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Problem> {
        let (mut fields, mut last) = (Self::default(), 0);
        while let Some((field, kind)) = reader.field(&mut last)? {
            match (field, kind) {
                (1..=6, kind::I32) => fields.numbers[field as usize] = Some(reader.signed()?),
                (7, kind::TRUE) => fields.is_packed = Some(true),
                (7, kind::FALSE) => fields.is_packed = Some(false),
                _ => reader.skip(kind)?,
            }
        }
        Ok(fields)
    }

    fn count(&self, field: usize) -> Result<u32, Problem> {
        self.numbers[field].and_then(|number| number.try_into().ok()).ok_or(Problem::Broken)
    }

    fn encoding(&self, field: usize) -> Result<Encoding, Problem> {
        Ok(match self.numbers[field] {
            Some(0) => Encoding::PLAIN,
            Some(2) => Encoding::PLAIN_DICTIONARY,
            Some(3) => Encoding::RLE,
            #[expect(deprecated, reason = "old files have it, and messages name it")]
            Some(4) => Encoding::BIT_PACKED,
            Some(5) => Encoding::DELTA_BINARY_PACKED,
            Some(6) => Encoding::DELTA_LENGTH_BYTE_ARRAY,
            Some(7) => Encoding::DELTA_BYTE_ARRAY,
            Some(8) => Encoding::RLE_DICTIONARY,
            Some(9) => Encoding::BYTE_STREAM_SPLIT,
            _ => return Err(Problem::Broken),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A dictionary of 3 values: 20 bytes, 30 once they are unpacked.
    const DICTIONARY: [u8; 12] = [0x15, 4, 0x15, 60, 0x15, 40, 0x4c, 0x15, 6, 0x15, 0, 0];

    #[test]
    fn a_header_says_lengths_and_values() {
        let bytes = [&DICTIONARY[..], &[0, 99]].concat();
        let (header, length) = PageHeader::read(&bytes).unwrap();
        assert_eq!(length, 13, "what follows is not of the header");
        assert_eq!((header.kind, header.values), (PageKind::Dictionary, 3));
        assert_eq!((header.packed, header.unpacked, header.encoding), (20, 30, Encoding::PLAIN));
    }

    #[test]
    fn headers_that_are_cut_or_make_no_sense_are_refused() {
        for cut in 0..DICTIONARY.len() {
            assert_eq!(PageHeader::read(&DICTIONARY[..cut]), Err(Problem::Ends), "{cut}");
        }
        let whole = [&DICTIONARY[..], &[0]].concat();
        for (place, byte) in [(3, 1), (5, 1), (8, 1), (10, 99)] {
            let mut damaged = whole.clone();
            damaged[place] = byte;
            assert_eq!(PageHeader::read(&damaged), Err(Problem::Broken), "byte {place}");
        }
    }
}
