//! The segments of a JPEG, one after the other: a marker, what its header holds, and the data of a scan.

use super::super::DecodeError;

/// A table of Huffman codes.
pub(super) const TABLES: u8 = 0xc4;
/// The beginning of a scan.
pub(super) const SCAN: u8 = 0xda;
/// The number of units between two restarts.
pub(super) const RESTARTS: u8 = 0xdd;
const END: u8 = 0xd9;

/// Whether `code` begins a frame: its size, its components and how they are coded.
pub(super) fn is_frame(code: u8) -> bool {
    matches!(code, 0xc0..=0xcf if ![TABLES, 0xc8, 0xcc].contains(&code))
}

/// A marker and what belongs to it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segment<'a> {
    /// The second byte of its marker.
    pub(super) code: u8,
    pub(super) content: &'a [u8],
    /// The coded data of a scan, restarts among them; nothing for other segments.
    pub(super) data: &'a [u8],
    /// The place where its data end.
    pub(super) end: usize,
}

/// The segments up to the end marker. Whatever lies between two of them is skipped, and so are fill bytes.
#[derive(Debug)]
pub(super) struct Segments<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Segments<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 2 }
    }

    /// Reads the segment whose marker is at `marker`; `None` where it is cut off.
    fn read(&mut self, marker: usize) -> Option<Segment<'a>> {
        let code = self.bytes[marker + 1];
        let header = marker + 2;
        let [high, low] = *self.bytes.get(header..header + 2)? else { return None };
        let length = usize::from(u16::from_be_bytes([high, low])).max(2);
        let content = self.bytes.get(header + 2..header + length)?;
        let start = header + length;
        self.at = if code == SCAN { end_of_data(self.bytes, start) } else { start };
        Some(Segment { code, content, data: &self.bytes[start..self.at], end: self.at })
    }
}

impl<'a> Iterator for Segments<'a> {
    type Item = Result<Segment<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let marker = next_marker(self.bytes, self.at)?;
            match self.bytes[marker + 1] {
                END => return None,
                // Restarts and others that have no content.
                0x01 | 0xd0..=0xd8 => self.at = marker + 2,
                _ => {
                    let segment = self.read(marker);
                    if segment.is_none() {
                        self.at = self.bytes.len();
                    }
                    return Some(segment.ok_or_else(cut_off));
                }
            }
        }
    }
}

/// The error of a file that ends before its first data do.
pub(super) fn cut_off() -> DecodeError {
    DecodeError("it is cut off in its header".to_string())
}

/// The place of the next marker from `at` on: an `0xff` that neither 0 nor another one follows.
fn next_marker(bytes: &[u8], at: usize) -> Option<usize> {
    let mut pairs = bytes.get(at..)?.windows(2);
    let found = pairs.position(|pair| pair[0] == 0xff && ![0, 0xff].contains(&pair[1]));
    found.map(|place| at + place)
}

/// The end of a scan's data that begin at `start`: the next marker that is no restart, or the end of the file.
fn end_of_data(bytes: &[u8], start: usize) -> usize {
    let mut at = start;
    while let Some(marker) = next_marker(bytes, at) {
        if !(0xd0..=0xd7).contains(&bytes[marker + 1]) {
            return marker;
        }
        at = marker + 2;
    }
    // The first byte of a marker whose second is missing: of one after the data, not of the scan's header.
    (bytes.len() - usize::from(bytes.ends_with(&[0xff]))).max(start)
}
