//! Whether a JPEG has all its pixels. The decoder makes up what is missing and says nothing.
//!
//! Headers say how many scans and bits are due at least, which every file is held to. A walk through all codes ([`blocks`])
//! says it for certain, and costs a part of a decoding; so it is made only where something speaks for a part: no end marker,
//! several scans, or a last row that repeats itself, as it does where the decoder reads zeros.

mod blocks;
mod huffman;
mod progress;
mod segments;
#[cfg(test)]
mod tests;

use image::RgbImage;

use self::progress::Progress;
use self::segments::{SCAN, Segments, cut_off, is_frame};
use super::DecodeError;

/// The most columns of pixels that are coded together.
const UNIT: usize = 16;
/// The columns next to an edge that do not repeat themselves as others do.
const EDGE: usize = 2;
/// The difference that rounding makes between pixels of equal value.
const ROUNDING: i16 = 2;

/// The claims of a JPEG about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Claimed {
    /// The number of its scans.
    scans: u32,
    /// Whether the end marker follows the last of them.
    ends: bool,
}

impl Claimed {
    /// Walks through the segments of `bytes`; `None` for bytes that are no JPEG.
    ///
    /// # Errors
    /// A segment that is cut off, or fewer bits than blocks of 8 by 8 pixels: each block takes one at least.
    pub(super) fn of(bytes: &[u8]) -> Result<Option<Self>, DecodeError> {
        if !bytes.starts_with(&[0xff, 0xd8, 0xff]) {
            return Ok(None);
        }
        let (mut blocks, mut data, mut scans, mut end) = (0_u64, 0_u64, 0, 0);
        let mut progress = None;
        for segment in Segments::of(bytes) {
            let segment = segment?;
            if is_frame(segment.code) {
                let [_, h0, h1, w0, w1, ..] = *segment.content else { return Err(cut_off()) };
                let [height, width] = [[h0, h1], [w0, w1]].map(u16::from_be_bytes).map(u64::from);
                blocks = height.div_ceil(8) * width.div_ceil(8);
                progress = Progress::of_frame(segment.code, segment.content);
            }
            if segment.code == SCAN {
                if let Some(progress) = &mut progress {
                    progress.add_scan(segment.content);
                }
                data += segment.data.len() as u64;
                end = segment.end;
                scans += 1;
            }
        }
        if scans == 0 {
            return Err(cut_off());
        }
        if data * 8 < blocks {
            let reason = "it is cut off, or claims more pixels than it can hold";
            return Err(DecodeError(reason.to_string()));
        }
        if progress.is_some_and(|progress| !progress.is_complete()) {
            return Err(DecodeError("it is cut off: its last scans are missing".to_string()));
        }
        let ends = bytes[end..].windows(2).any(|pair| pair == [0xff, 0xd9]);
        Ok(Some(Self { scans, ends }))
    }

    /// Whether something speaks for a part: no end marker, several scans, or an `image` whose last row repeats itself.
    /// Narrow images have too few units to tell, and are walked through in no time.
    pub(super) fn is_doubtful(self, image: &RgbImage) -> bool {
        let width = image.width() as usize;
        if !self.ends || self.scans > 1 || width < 16 * UNIT {
            return true;
        }
        let (pixels, _) = image.as_raw().as_chunks::<3>();
        let Some(row) = pixels.rchunks_exact(width).next() else { return true };
        // The last whole units, without the columns that the edge of the image may change.
        let end = width / UNIT * UNIT - EDGE;
        repeats(&row[end - 2 * UNIT..end - UNIT], &row[end - UNIT..end])
    }
}

/// Whether two units of a row differ in their means only, which zeros for data change by the same amount from unit to unit.
/// Values at either end of the range say nothing.
fn repeats(unit: &[[u8; 3]], next: &[[u8; 3]]) -> bool {
    (0..3).all(|channel| {
        let pairs = unit.iter().zip(next).map(|(a, b)| (a[channel], b[channel]));
        let within = pairs.filter(|(a, b)| ![*a, *b].iter().any(|value| [0, 255].contains(value)));
        let changes = within.map(|(a, b)| i16::from(b) - i16::from(a));
        let range = changes.fold(None, |range: Option<(i16, i16)>, change| {
            let (least, most) = range.unwrap_or((change, change));
            Some((least.min(change), most.max(change)))
        });
        range.is_none_or(|(least, most)| most - least <= 2 * ROUNDING)
    })
}

/// Whether every pixel of the JPEG in `bytes` is coded.
pub(super) fn is_whole(bytes: &[u8]) -> bool {
    blocks::are_complete(bytes)
}
