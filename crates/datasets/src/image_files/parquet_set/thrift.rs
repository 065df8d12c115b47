//! Apache Thrift's compact protocol, in which Parquet writes its footer and the header of each page.
//!
//! The crate `parquet` takes sizes from a footer before it compares them with anything, and descends as deep as a footer
//! says. So footers are walked here first, and page headers are read here: without memory, and with a limit of depth.

/// The deepest nesting of values; Parquet's own have about six levels.
const DEEPEST: usize = 16;

/// The kinds of values, as the protocol numbers them.
pub(super) mod kind {
    pub(crate) const TRUE: u8 = 1;
    pub(crate) const FALSE: u8 = 2;
    pub(crate) const BYTE: u8 = 3;
    pub(crate) const I16: u8 = 4;
    pub(crate) const I32: u8 = 5;
    pub(crate) const I64: u8 = 6;
    pub(crate) const DOUBLE: u8 = 7;
    pub(crate) const BINARY: u8 = 8;
    pub(crate) const LIST: u8 = 9;
    pub(crate) const SET: u8 = 10;
    pub(crate) const MAP: u8 = 11;
    pub(crate) const STRUCT: u8 = 12;
    pub(crate) const UUID: u8 = 13;
}

/// The reason why bytes are no value of this protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Problem {
    /// They end within the value.
    Ends,
    /// They break a rule.
    Broken,
}

/// Bytes, read from the front.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Number of bytes that were read.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Number and kind of the next field of a structure, after field `last`; `None` at its end.
    pub(super) fn field(&mut self, last: &mut i16) -> Result<Option<(i16, u8)>, Problem> {
        let byte = self.byte()?;
        let (step, kind) = (byte >> 4, byte & 15);
        if kind == 0 {
            return Ok(None);
        }
        let number = match step {
            0 => i16::try_from(self.signed()?).map_err(|_| Problem::Broken)?,
            step => last.checked_add(step.into()).ok_or(Problem::Broken)?,
        };
        *last = number;
        Ok(Some((number, kind)))
    }

    /// A whole number of 16 to 64 bits.
    pub(super) fn signed(&mut self) -> Result<i64, Problem> {
        let number = self.unsigned()?;
        Ok((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    /// Number and kind of the elements of a list. Each takes a byte at least, so no list is longer than what is left.
    pub(super) fn list(&mut self) -> Result<(u8, usize), Problem> {
        let byte = self.byte()?;
        let (short, kind) = (byte >> 4, byte & 15);
        let count = if short == 15 { self.unsigned()? } else { short.into() };
        match usize::try_from(count) {
            Ok(count) if count <= self.bytes.len() - self.at => Ok((kind, count)),
            _ => Err(Problem::Ends),
        }
    }

    /// Passes a value of this kind, which is a field of a structure.
    pub(super) fn skip(&mut self, kind: u8) -> Result<(), Problem> {
        self.skip_within(kind, false, 0)
    }

    fn skip_within(&mut self, kind: u8, is_element: bool, depth: usize) -> Result<(), Problem> {
        if depth > DEEPEST {
            return Err(Problem::Broken);
        }
        match kind {
            // The kind of a field is its value; an element has a byte.
            kind::TRUE | kind::FALSE if !is_element => Ok(()),
            kind::TRUE | kind::FALSE | kind::BYTE => self.pass(1),
            kind::I16 | kind::I32 | kind::I64 => self.unsigned().map(drop),
            kind::DOUBLE => self.pass(8),
            kind::UUID => self.pass(16),
            kind::BINARY => {
                let length = self.unsigned()?;
                self.pass(usize::try_from(length).map_err(|_| Problem::Ends)?)
            }
            kind::LIST | kind::SET => {
                let (kind, count) = self.list()?;
                (0..count).try_for_each(|_| self.skip_within(kind, true, depth + 1))
            }
            kind::MAP => {
                let count = self.unsigned()?;
                if count == 0 {
                    return Ok(());
                }
                let kinds = self.byte()?;
                (0..count).try_for_each(|_| {
                    self.skip_within(kinds >> 4, true, depth + 1)?;
                    self.skip_within(kinds & 15, true, depth + 1)
                })
            }
            kind::STRUCT => {
                let mut last = 0;
                while let Some((_, kind)) = self.field(&mut last)? {
                    self.skip_within(kind, false, depth + 1)?;
                }
                Ok(())
            }
            _ => Err(Problem::Broken),
        }
    }

    fn pass(&mut self, count: usize) -> Result<(), Problem> {
        if count > self.bytes.len() - self.at {
            return Err(Problem::Ends);
        }
        self.at += count;
        Ok(())
    }

    fn byte(&mut self) -> Result<u8, Problem> {
        let byte = self.bytes.get(self.at).copied().ok_or(Problem::Ends)?;
        self.at += 1;
        Ok(byte)
    }

    /// A number in groups of 7 bits, the lowest first.
    pub(super) fn unsigned(&mut self) -> Result<u64, Problem> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Problem::Broken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_fields_are_read() {
        let mut reader = Reader::new(&[0x15, 0x03, 0x26, 0xac, 0x02, 0x05, 0x80, 0x01, 0x02, 0x00]);
        let mut last = 0;
        assert_eq!(reader.field(&mut last), Ok(Some((1, kind::I32))));
        assert_eq!(reader.signed(), Ok(-2));
        assert_eq!(reader.field(&mut last), Ok(Some((3, kind::I64))));
        assert_eq!(reader.signed(), Ok(150));
        assert_eq!(reader.field(&mut last), Ok(Some((64, kind::I32))), "a number in full");
        assert_eq!(reader.signed(), Ok(1));
        assert_eq!((reader.field(&mut last), reader.at()), (Ok(None), 10));
    }

    #[test]
    fn lengths_beyond_the_end_are_refused() {
        assert_eq!(Reader::new(&[0xf5, 0xff, 0xff, 0x03]).list(), Err(Problem::Ends));
        assert_eq!(Reader::new(&[0x05, 1, 2, 3]).skip(kind::BINARY), Err(Problem::Ends));
        assert_eq!(Reader::new(&[0x03, 1, 2, 3]).skip(kind::BINARY), Ok(()));
        assert_eq!(Reader::new(&[0xff; 11]).signed(), Err(Problem::Broken));
        assert_eq!(Reader::new(&[0x80]).signed(), Err(Problem::Ends));
    }

    #[test]
    fn nesting_without_an_end_is_refused() {
        // Lists of one list, and structures of one structure.
        assert_eq!(Reader::new(&[0x19; 1000]).skip(kind::LIST), Err(Problem::Broken));
        assert_eq!(Reader::new(&[0x1c; 1000]).skip(kind::STRUCT), Err(Problem::Broken));
    }
}
