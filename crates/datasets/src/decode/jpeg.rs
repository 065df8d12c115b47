//! Whether a JPEG has all its pixels. The decoder makes up what is missing and says nothing.
//!
//! Where data end too early, the decoder reads what follows them, and else zeros. So a whole image comes out the same with
//! other bytes after its data, and a part of one does not. This is tried only where something speaks for a part: no end
//! marker, or a last row that repeats itself, as it does where the decoder reads zeros. A progressive image that is cut
//! between two scans lacks bits of its frequencies, which its scans say ([`Progress`]).

use image::RgbImage;

use super::{DecodeError, rgb8};

/// The most columns of pixels that are coded together.
const UNIT: usize = 16;
/// The bytes that are tried after the data; none begins a marker. Where the end marker is there, the decoder has read zeros
/// already, and one other byte is enough for an image that may be large. Where it is not, a code that does not exist may
/// end a decoding as the end of the file does, so that several are tried.
const AFTER: [u8; 3] = [0b1001_0010, 0b0101_0101, 0];
/// The most bytes that are tried. Any that is read shows that some are missing.
const MOST_AFTER: usize = 1 << 16;

/// The claims of a JPEG about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Claimed {
    /// The end of the last scan's data.
    end: usize,
    /// Whether the end marker follows.
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
        let cut_off = || DecodeError("it is cut off in its header".to_string());
        let (mut at, mut blocks, mut data, mut end) = (2, 0_u64, 0_u64, None);
        let mut progress = None;
        // Whatever lies between two segments is skipped, and so are fill bytes.
        while let Some(marker) = next_marker(bytes, at) {
            let code = bytes[marker + 1];
            at = marker + 2;
            match code {
                0xd9 => break,
                // Restarts and others that have no content.
                0x01 | 0xd0..=0xd8 => continue,
                _ => {}
            }
            let length = bytes.get(at..at + 2).ok_or_else(cut_off)?;
            let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
            let content = bytes.get(at + 2..at + length.max(2)).ok_or_else(cut_off)?;
            if matches!(code, 0xc0..=0xcf if ![0xc4, 0xc8, 0xcc].contains(&code)) {
                let [_, h0, h1, w0, w1, ..] = *content else { return Err(cut_off()) };
                let [height, width] = [[h0, h1], [w0, w1]].map(u16::from_be_bytes).map(u64::from);
                blocks = height.div_ceil(8) * width.div_ceil(8);
                progress = Progress::of_frame(code, content);
            }
            at += length.max(2);
            if code == 0xda {
                if let Some(progress) = &mut progress {
                    progress.add_scan(content);
                }
                let start = at;
                at = end_of_data(bytes, at);
                data += (at - start) as u64;
                end = Some(at);
            }
        }
        let Some(end) = end else { return Err(cut_off()) };
        if data * 8 < blocks {
            let reason = "it is cut off, or claims more pixels than it can hold";
            return Err(DecodeError(reason.to_string()));
        }
        if progress.is_some_and(|progress| !progress.is_complete()) {
            return Err(DecodeError("it is cut off: its last scans are missing".to_string()));
        }
        let ends = bytes[end..].windows(2).any(|pair| pair == [0xff, 0xd9]);
        Ok(Some(Self { end, ends }))
    }

    /// Whether something speaks for a part: no end marker, or an `image` whose last row repeats itself. Narrow images have
    /// too few units to tell, and are tried in no time.
    pub(super) fn is_doubtful(&self, image: &RgbImage) -> bool {
        let width = image.width() as usize;
        if !self.ends || width < 5 * UNIT {
            return true;
        }
        let (pixels, _) = image.as_raw().as_chunks::<3>();
        let Some(row) = pixels.rchunks_exact(width).next() else { return true };
        // Whole units, away from the edge of the image.
        let end = (width / UNIT - 1) * UNIT;
        row[end - UNIT..end] == row[end - 2 * UNIT..end - UNIT]
    }

    /// Whether `bytes` come out as the same `image` with other bytes after their data.
    pub(super) fn is_whole(&self, bytes: &[u8], image: &RgbImage) -> bool {
        let tried = if self.ends { &AFTER[..1] } else { &AFTER[..] };
        tried.iter().all(|&after| {
            let mut longer = bytes[..self.end].to_vec();
            longer.resize(self.end + image.as_raw().len().clamp(UNIT, MOST_AFTER), after);
            longer.extend([0xff, 0xd9]);
            rgb8(&longer).is_ok_and(|(other, _)| other == *image)
        })
    }
}

/// The frequencies that the scans of a progressive image have brought so far.
#[derive(Debug)]
struct Progress {
    /// Of each component: its number, and the lowest bit that is known of each of the 64 frequencies; `None` for no bit.
    components: Vec<(u8, [Option<u8>; 64])>,
}

impl Progress {
    /// The components of a frame whose marker is `code`; `None` where it is not progressive.
    fn of_frame(code: u8, content: &[u8]) -> Option<Self> {
        if ![0xc2, 0xca].contains(&code) {
            return None;
        }
        let (components, _) = content.get(6..)?.as_chunks::<3>();
        Some(Self { components: components.iter().map(|[id, ..]| (*id, [None; 64])).collect() })
    }

    /// Takes down what a scan with this header brings.
    fn add_scan(&mut self, header: &[u8]) {
        let Some((count, rest)) = header.split_first() else { return };
        let Some((of_scan, [first, last, bits])) = rest
            .split_at_checked(2 * usize::from(*count))
            .filter(|(_, rest)| rest.len() >= 3)
            .map(|(of_scan, rest)| (of_scan, [rest[0], rest[1], rest[2]]))
        else {
            return;
        };
        let (of_scan, _) = of_scan.as_chunks::<2>();
        for (id, known) in &mut self.components {
            if of_scan.iter().any(|[other, _]| other == id) {
                let range = usize::from(first).min(63)..=usize::from(last).min(63);
                known[range].fill(Some(bits & 0x0f));
            }
        }
    }

    /// Whether every frequency that was begun is known to its last bit, all of them in the first component, which is the
    /// brightness, and the means in the others. An encoder may leave out fine colours.
    fn is_complete(&self) -> bool {
        let is_known = |(component, (_, known)): (usize, &(u8, [Option<u8>; 64]))| {
            let begun = if component == 0 { &known[..] } else { &known[..1] };
            begun.iter().all(Option::is_some) && known.iter().flatten().all(|&lowest| lowest == 0)
        };
        self.components.iter().enumerate().all(is_known)
    }
}

/// The place of the next marker from `at` on: an `0xff` that neither 0 nor another one follows.
fn next_marker(bytes: &[u8], at: usize) -> Option<usize> {
    let pairs = bytes.get(at..)?.windows(2);
    let found = pairs.clone().position(|pair| pair[0] == 0xff && ![0, 0xff].contains(&pair[1]));
    found.map(|place| at + place)
}

/// The end of a scan's data that begin at `at`: the next marker that is no restart, or the end of the file.
fn end_of_data(bytes: &[u8], mut at: usize) -> usize {
    while let Some(marker) = next_marker(bytes, at) {
        if !(0xd0..=0xd7).contains(&bytes[marker + 1]) {
            return marker;
        }
        at = marker + 2;
    }
    // The first byte of a marker whose second is missing.
    bytes.len() - usize::from(bytes.ends_with(&[0xff]))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use image::codecs::jpeg::JpegEncoder;
    use image::{ExtendedColorType, RgbImage};

    use super::super::decode;
    use super::Progress;
    use crate::source::Decoded;

    /// A JPEG whose pixels have `colour`.
    fn jpeg(width: u32, height: u32, colour: impl Fn(u32, u32) -> [u8; 3]) -> Vec<u8> {
        let image = RgbImage::from_fn(width, height, |x, y| image::Rgb(colour(x, y)));
        let mut bytes = Cursor::new(Vec::new());
        JpegEncoder::new_with_quality(&mut bytes, 90)
            .encode(image.as_raw(), width, height, ExtendedColorType::Rgb8)
            .unwrap();
        bytes.into_inner()
    }

    fn textured() -> Vec<u8> {
        jpeg(100, 100, |x, y| [(x * 37 % 251) as u8, (y * 53 % 241) as u8, (x * y % 239) as u8])
    }

    fn refusal(bytes: &[u8]) -> Option<String> {
        decode(bytes, &mut Decoded::default()).err().map(|error| error.to_string())
    }

    #[test]
    fn a_jpeg_that_is_cut_anywhere_is_refused() {
        let bytes = textured();
        for percent in (1..99).step_by(7) {
            let cut = &bytes[..bytes.len() * percent / 100];
            assert!(refusal(cut).is_some(), "{percent} % of it");
        }
    }

    #[test]
    fn a_progressive_image_says_which_scans_it_has() {
        let mut progress =
            Progress::of_frame(0xc2, &[8, 0, 9, 0, 9, 2, 1, 0x11, 0, 2, 0x11, 0]).unwrap();
        assert!(!progress.is_complete());
        progress.add_scan(&[2, 1, 0, 2, 0, 0, 0, 0x01]);
        progress.add_scan(&[2, 1, 0, 2, 0, 0, 0, 0x10]);
        assert!(!progress.is_complete(), "only the means are known");
        progress.add_scan(&[1, 1, 0, 1, 63, 0x02]);
        assert!(!progress.is_complete(), "bits of the first component are missing");
        progress.add_scan(&[1, 1, 0, 1, 63, 0x21]);
        progress.add_scan(&[1, 1, 0, 1, 63, 0x10]);
        assert!(progress.is_complete());
        progress.add_scan(&[1]);
        assert!(Progress::of_frame(0xc0, &[]).is_none());
    }

    /// A code that does not exist ends a decoding as the end of the file does.
    #[test]
    fn one_colour_that_is_cut_is_refused() {
        let bytes = jpeg(200, 200, |_, _| [255; 3]);
        let data = bytes.windows(2).position(|pair| pair == [0xff, 0xda]).unwrap() + 14;
        for percent in [10, 50, 90] {
            let cut = data + (bytes.len() - data) * percent / 100;
            assert!(refusal(&bytes[..cut]).is_some(), "{percent} % of its data");
        }
    }

    #[test]
    fn a_missing_end_marker_is_no_missing_pixel() {
        let bytes = textured();
        assert_eq!(refusal(&bytes), None);
        assert_eq!(refusal(&bytes[..bytes.len() - 2]), None);
    }

    #[test]
    fn one_colour_is_a_whole_image() {
        for side in [1, 9, 32, 200] {
            for colour in [[255; 3], [0; 3], [128; 3], [10, 200, 30]] {
                assert_eq!(refusal(&jpeg(side, side, |_, _| colour)), None, "{colour:?}");
            }
        }
    }

    /// `bytes` with rows doubled in the frame's header.
    fn doubled(mut bytes: Vec<u8>, rows: u16) -> Vec<u8> {
        let frame = bytes.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
        bytes[frame + 5..frame + 7].copy_from_slice(&(2 * rows).to_be_bytes());
        bytes
    }

    #[test]
    fn a_header_that_claims_more_rows_is_not_believed() {
        assert!(refusal(&doubled(textured(), 100)).unwrap().contains("cut off"));
        let mut bomb = doubled(textured(), 9_500);
        let frame = bomb.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
        bomb[frame + 7..frame + 9].copy_from_slice(&19_000_u16.to_be_bytes());
        assert!(refusal(&bomb).unwrap().contains("claims more pixels than it can hold"));
    }

    /// The last row of the data is a column of the image that is turned.
    #[test]
    fn it_is_not_believed_either_where_the_image_is_turned() {
        let turn = b"\xff\xe1\0\x22Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
        let turned = |bytes: &[u8]| [&bytes[..2], turn, &bytes[2..]].concat();
        let mut room = Decoded::default();
        let wide = jpeg(96, 48, |x, y| [(x * 37 % 251) as u8, (y * 53 % 241) as u8, 7]);
        let image = decode(&turned(&wide), &mut room).unwrap();
        assert_eq!((image.height, image.width), (96, 48));
        assert!(refusal(&doubled(turned(&wide), 48)).unwrap().contains("cut off"));
    }
}
