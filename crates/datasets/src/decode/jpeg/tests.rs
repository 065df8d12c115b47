//! Every kind of JPEG that is cut, filled with zeros or damaged, and whole ones that look as if they were.

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, RgbImage};

use super::super::decode;
use super::progress::Progress;
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

/// Files that `golden/make.py` wrote.
const KINDS: [(&str, &[u8]); 6] = [
    ("progressive", include_bytes!("golden/progressive.jpg")),
    ("progressive, with restarts", include_bytes!("golden/progressive_restarts.jpg")),
    ("progressive, grey", include_bytes!("golden/grey_progressive.jpg")),
    ("optimised codes", include_bytes!("golden/optimised.jpg")),
    ("restarts", include_bytes!("golden/restarts.jpg")),
    ("CMYK", include_bytes!("golden/cmyk.jpg")),
];

/// An end marker after a part of the data, or zeros in the place of the other part, make no whole image.
#[test]
fn an_image_of_any_kind_lacks_no_byte() {
    for (kind, bytes) in KINDS {
        assert_eq!(refusal(bytes), None, "{kind}");
        let data = bytes.len() - 2;
        assert_eq!(refusal(&bytes[..data]), None, "{kind} without an end marker");
        assert_eq!(refusal(&[bytes, &[0; 99]].concat()), None, "{kind} with zeros after it");
        let first_scan = bytes.windows(2).position(|pair| pair == [0xff, 0xda]).unwrap() + 14;
        for cut in first_scan..data {
            let part = &bytes[..cut];
            assert!(refusal(part).is_some(), "{kind}: {cut} bytes");
            let ended = [part, b"\xff\xd9"].concat();
            assert!(refusal(&ended).is_some(), "{kind}: {cut} bytes and an end marker");
            if cut + 2 < data {
                let filled = [part, &vec![0; bytes.len() - cut]].concat();
                assert!(refusal(&filled).is_some(), "{kind}: {cut} bytes and zeros");
            }
        }
    }
}

/// No end of the data, no header and no table of codes is relied on.
#[test]
fn damage_makes_no_panic() {
    for (_, bytes) in KINDS {
        for place in 2..bytes.len() {
            for value in [0, 0x11, 0x7f, 0xc4, 0xff] {
                let mut damaged = bytes.to_vec();
                damaged[place] = value;
                let _ = super::is_whole(&damaged);
                let _ = refusal(&damaged);
            }
        }
    }
}

/// The file ends in the header of a scan, with the first byte of a marker.
#[test]
fn a_scan_without_data_has_no_end_before_its_start() {
    let empty_scan = b"\xff\xd8\xff\xff\xff\xda\0\x08\x01\x01\0\0\x3f\xff";
    for end in 0..empty_scan.len() {
        assert!(refusal(&empty_scan[..end]).is_some(), "{end} bytes");
        assert!(refusal(&[&empty_scan[..end], &[0xff]].concat()).is_some(), "{end} bytes");
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
    let turn =
        b"\xff\xe1\0\x22Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    let turned = |bytes: &[u8]| [&bytes[..2], turn, &bytes[2..]].concat();
    let mut room = Decoded::default();
    let wide = jpeg(96, 48, |x, y| [(x * 37 % 251) as u8, (y * 53 % 241) as u8, 7]);
    let image = decode(&turned(&wide), &mut room).unwrap();
    assert_eq!((image.height, image.width), (96, 48));
    assert!(refusal(&doubled(turned(&wide), 48)).unwrap().contains("cut off"));
}
