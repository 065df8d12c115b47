//! The pages of a column, read one after another. Every size in them is compared with the file before the decoders of the
//! crate `parquet` see it, since these take memory for whatever they are told.

use std::fs::File;
use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::{Compression, Encoding, Type};
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result};

use super::page_header::{PageHeader, PageKind};
use super::thrift::{Problem, Reader};
use super::unpack::unpack;
use crate::image_files::archives::read_exact_at;

/// The bytes that a header is first looked for in; a header with statistics may be longer.
const HEADER: usize = 1 << 10;
/// The longest header, in bytes: some programs repeat whole values in it.
const LONGEST_HEADER: usize = 64 << 20;
/// The most values of a dictionary. Writers begin another page, without one, long before.
const MOST_DICTIONARY: u32 = 1 << 22;

/// The pages of a column in one row group.
pub(super) struct Pages {
    pub(super) file: Arc<File>,
    /// The place of the next page in the file.
    pub(super) at: u64,
    /// The end of the column.
    pub(super) end: u64,
    pub(super) codec: Compression,
    pub(super) physical: Type,
    /// Whether values may be missing.
    pub(super) has_levels: bool,
    /// Rows that no page was read for.
    pub(super) rows: u64,
    pub(super) has_dictionary: bool,
}

fn damaged(problem: impl Into<String>) -> ParquetError {
    ParquetError::General(problem.into())
}

impl Pages {
    fn next_page(&mut self) -> Result<Option<Page>> {
        while self.at < self.end {
            let header = self.header()?;
            let left = self.end - self.at;
            if header.packed as u64 > left {
                let packed = header.packed;
                return Err(damaged(format!("a page claims {packed} bytes, and {left} are left")));
            }
            let place = self.at;
            self.at += header.packed as u64;
            if header.kind == PageKind::Other {
                continue;
            }
            let mut bytes = vec![0; header.packed];
            read_exact_at(&self.file, &mut bytes, place)?;
            return self.page(header, bytes.into()).map(Some);
        }
        Ok(None)
    }

    /// The header at the current place, which then is its end.
    fn header(&mut self) -> Result<PageHeader> {
        let left = self.end - self.at;
        let mut length = HEADER;
        loop {
            let is_all = length as u64 >= left;
            let mut bytes = vec![0; if is_all { left as usize } else { length }];
            read_exact_at(&self.file, &mut bytes, self.at)?;
            match PageHeader::read(&bytes) {
                Ok((header, length)) => {
                    self.at += length as u64;
                    return Ok(header);
                }
                Err(Problem::Ends) if !is_all && length < LONGEST_HEADER => length *= 16,
                Err(Problem::Ends) => return Err(damaged("a page has a header without an end")),
                Err(Problem::Broken) => {
                    return Err(damaged("a page has a header that makes no sense"));
                }
            }
        }
    }

    fn page(&mut self, header: PageHeader, packed: Bytes) -> Result<Page> {
        let PageHeader { kind, unpacked, values, encoding, .. } = header;
        match kind {
            PageKind::Dictionary => {
                let buf = unpack(self.codec, packed, unpacked).map_err(damaged)?;
                self.check_dictionary(&buf, values, encoding)?;
                self.has_dictionary = true;
                Ok(Page::DictionaryPage { buf, num_values: values, encoding, is_sorted: false })
            }
            PageKind::Data { levels } => {
                let buf = unpack(self.codec, packed, unpacked).map_err(damaged)?;
                self.check_rows(values)?;
                let start = if self.has_levels { levels_end(&buf, levels)? } else { 0 };
                self.check_encoding(encoding, &buf[start..], values)?;
                Ok(Page::DataPage {
                    buf,
                    num_values: values,
                    encoding,
                    def_level_encoding: levels,
                    rep_level_encoding: Encoding::RLE,
                    statistics: None,
                })
            }
            PageKind::DataV2 { missing, rows, levels, is_packed } => {
                self.check_rows(values)?;
                let too_long = levels > packed.len() || levels > unpacked;
                if too_long || missing > values || rows != values {
                    return Err(damaged("a page has a header that contradicts itself"));
                }
                let codec = if is_packed { self.codec } else { Compression::UNCOMPRESSED };
                let body = unpack(codec, packed.slice(levels..), unpacked - levels);
                let body = body.map_err(damaged)?;
                self.check_encoding(encoding, &body, values)?;
                Ok(Page::DataPageV2 {
                    buf: [&packed[..levels], &body].concat().into(),
                    num_values: values,
                    encoding,
                    num_nulls: missing,
                    num_rows: rows,
                    def_levels_byte_len: levels as u32,
                    rep_levels_byte_len: 0,
                    is_compressed: false,
                    statistics: None,
                })
            }
            PageKind::Other => Err(damaged("a page holds no values")),
        }
    }

    /// A row has one value, so the pages have as many values as the row group has rows.
    fn check_rows(&mut self, values: u32) -> Result<()> {
        let left = self.rows.checked_sub(values.into());
        let left = left.ok_or_else(|| {
            damaged(format!("a page claims {values} values, and {} rows are left", self.rows))
        })?;
        self.rows = left;
        Ok(())
    }

    fn check_dictionary(&self, bytes: &[u8], values: u32, encoding: Encoding) -> Result<()> {
        if !matches!(encoding, Encoding::PLAIN | Encoding::PLAIN_DICTIONARY) {
            return Err(damaged(format!("a dictionary has the encoding {encoding}")));
        }
        if self.has_dictionary {
            return Err(damaged("a column has two dictionaries"));
        }
        let least = match self.physical {
            Type::INT32 | Type::FLOAT | Type::BYTE_ARRAY => 4,
            Type::INT64 | Type::DOUBLE => 8,
            _ => return Err(damaged(format!("a dictionary has values of type {}", self.physical))),
        };
        let room = bytes.len() / least;
        if values as usize > room || values > MOST_DICTIONARY {
            let length = bytes.len();
            return Err(damaged(format!("a dictionary of {length} bytes claims {values} values")));
        }
        Ok(())
    }

    /// Refuses encodings whose decoders would believe a count within the page, and those that repeat what is before them.
    fn check_encoding(&self, encoding: Encoding, bytes: &[u8], values: u32) -> Result<()> {
        match encoding {
            Encoding::PLAIN | Encoding::RLE | Encoding::BYTE_STREAM_SPLIT => Ok(()),
            Encoding::PLAIN_DICTIONARY | Encoding::RLE_DICTIONARY if self.has_dictionary => Ok(()),
            Encoding::PLAIN_DICTIONARY | Encoding::RLE_DICTIONARY => {
                Err(damaged("a page refers to a dictionary that is not there"))
            }
            Encoding::DELTA_BINARY_PACKED | Encoding::DELTA_LENGTH_BYTE_ARRAY => {
                // The header of the deltas: block size, blocks in a block, number of values.
                let mut reader = Reader::new(bytes);
                let numbers = [(); 3].map(|()| reader.unsigned());
                match numbers {
                    [Ok(_), Ok(_), Ok(count)] if count <= values.into() => Ok(()),
                    _ => Err(damaged("a page claims more differences than it has values")),
                }
            }
            other => Err(ParquetError::NYI(format!("a page has the encoding {other}"))),
        }
    }
}

/// The end of the levels at the start of a page of the first version: their length, then themselves.
fn levels_end(page: &[u8], encoding: Encoding) -> Result<usize> {
    if encoding != Encoding::RLE {
        return Err(damaged(format!("the levels of a page have the encoding {encoding}")));
    }
    let length = page.first_chunk().map(|length| u32::from_le_bytes(*length) as usize);
    let end = length.and_then(|length| length.checked_add(4)).filter(|end| *end <= page.len());
    end.ok_or_else(|| damaged("a page ends within its levels"))
}

impl Iterator for Pages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_page().transpose()
    }
}

impl PageReader for Pages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        self.next_page()
    }

    // Only readers that skip rows call these two.
    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        Err(damaged("pages are read in their order"))
    }

    fn skip_next_page(&mut self) -> Result<()> {
        Err(damaged("pages are read in their order"))
    }
}
