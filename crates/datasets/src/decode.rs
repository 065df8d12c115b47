//! JPEG, PNG, WebP, GIF, TIFF and BMP decoded from bytes, within limits of size and memory.

mod coding;
mod jpeg;
mod other_format;

use std::io::{Cursor, Read};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use image::metadata::Orientation;
use image::{ColorType, DynamicImage, ImageDecoder, ImageReader, Limits, RgbImage};

pub(crate) use self::coding::coding;
use crate::Error;
use crate::regular_file;
use crate::source::{Decoded, ImageRef};

/// The largest image file, in bytes.
pub(crate) const LARGEST_FILE: u64 = 256 << 20;
/// The largest side of an image, in pixels.
const LARGEST_SIDE: u32 = 20_000;
/// The most memory that decoding one image may take, in bytes.
const MOST_MEMORY: u64 = 1 << 30;
/// An image that takes more than this, in bytes, is decoded while no other such image is.
const SMALL_ENOUGH: u64 = 128 << 20;
/// Held by the thread that decodes a large image.
static ONE_LARGE: Mutex<()> = Mutex::new(());

/// Decodes the image in the file at `path` into `room`, as [`decode`] does.
///
/// # Errors
/// A file that cannot be read, is larger than 256 MiB, or is not an image; the error has its name.
pub fn decode_file<'a>(path: &Path, room: &'a mut Decoded) -> Result<ImageRef<'a>, Error> {
    let mut bytes = std::mem::take(&mut room.bytes);
    let read = read_file(path, &mut bytes);
    let named = |error: DecodeError| error.of(path.display().to_string());
    let size = read.and_then(|()| decoded(&bytes, room).map_err(named));
    room.bytes = bytes;
    Ok(room.image(size?))
}

/// Fills `bytes` with the file at `path`, up to [`LARGEST_FILE`].
pub(crate) fn read_file(path: &Path, bytes: &mut Vec<u8>) -> Result<(), Error> {
    bytes.clear();
    regular_file::open(path)
        .and_then(|file| file.take(LARGEST_FILE + 1).read_to_end(bytes))
        .map_err(|source| Error::Unreadable { file: path.to_path_buf(), source })?;
    if bytes.len() as u64 > LARGEST_FILE {
        let error = DecodeError("more than 256 MiB, which no image needs".to_string());
        return Err(error.of(path.display().to_string()));
    }
    Ok(())
}

/// The reason why bytes cannot be decoded as an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DecodeError(String);

impl DecodeError {
    fn new(error: impl ToString) -> Self {
        Self(error.to_string())
    }

    /// The error of the image called `name`.
    pub(crate) fn of(self, name: String) -> Error {
        Error::Image { name, reason: self.0 }
    }
}

/// Decodes an image as 8-bit RGB into `room`: of a GIF its first frame, of a TIFF its first page. The orientation that the
/// file states is applied, and transparency is dropped, as in Pillow's `convert("RGB")`.
///
/// # Errors
/// Bytes that are not an image, a part of a JPEG, or an image of more than 20,000 pixels a side or 1 GiB of memory. A JPEG
/// that lacks nothing but its end marker is whole.
pub fn decode<'a>(bytes: &[u8], room: &'a mut Decoded) -> Result<ImageRef<'a>, DecodeError> {
    let size = decoded(bytes, room)?;
    Ok(room.image(size))
}

fn decoded(bytes: &[u8], room: &mut Decoded) -> Result<[usize; 2], DecodeError> {
    if bytes.is_empty() {
        return Err(DecodeError("it is empty".to_string()));
    }
    let claimed = jpeg::Claimed::of(bytes)?;
    let (image, orientation) =
        rgb8(bytes).map_err(|error| other_format::sentence(bytes).map_or(error, DecodeError))?;
    if let Some(claimed) = claimed
        && claimed.is_doubtful(&image)
        && !jpeg::is_whole(bytes)
    {
        return Err(DecodeError("it is cut off: a part of its pixels is missing".to_string()));
    }
    let mut image = DynamicImage::ImageRgb8(image);
    image.apply_orientation(orientation);
    let size = [image.height() as usize, image.width() as usize];
    room.pixels = image.into_rgb8().into_raw();
    if size.contains(&0) { Err(DecodeError("it has no pixels".to_string())) } else { Ok(size) }
}

/// Decodes `bytes` to 8-bit RGB, before it is turned as the file states.
fn rgb8(bytes: &[u8]) -> Result<(RgbImage, Orientation), DecodeError> {
    let mut reader =
        ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(DecodeError::new)?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(LARGEST_SIDE);
    limits.max_image_height = Some(LARGEST_SIDE);
    limits.max_alloc = Some(MOST_MEMORY);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(DecodeError::new)?;
    let orientation = decoder.orientation().map_err(DecodeError::new)?;
    let needed = memory_of(&decoder, orientation);
    if needed > MOST_MEMORY {
        let (width, height) = decoder.dimensions();
        let reason = format!("{width}×{height} pixels need more than 1 GiB of memory");
        return Err(DecodeError(reason));
    }
    // Of all threads, one decodes a large image at a time.
    let _alone =
        (needed > SMALL_ENOUGH).then(|| ONE_LARGE.lock().unwrap_or_else(PoisonError::into_inner));
    let image = DynamicImage::from_decoder(decoder).map_err(DecodeError::new)?;
    Ok((image.into_rgb8(), orientation))
}

/// The most memory that an image takes on its way, in bytes: as it is decoded, then as RGB, then turned.
fn memory_of(decoder: &impl ImageDecoder, orientation: Orientation) -> u64 {
    let (width, height) = decoder.dimensions();
    let rgb = 3 * u64::from(width) * u64::from(height);
    let converted = if decoder.color_type() == ColorType::Rgb8 { 0 } else { rgb };
    let turned = if orientation == Orientation::NoTransforms { 0 } else { rgb };
    decoder.total_bytes().saturating_add(converted.max(turned))
}

impl Decoded {
    pub(crate) fn image(&self, [height, width]: [usize; 2]) -> ImageRef<'_> {
        let (pixels, _) = self.pixels.as_chunks::<3>();
        ImageRef { pixels, height, width }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use image::ImageFormat;

    use super::*;

    /// A link to a device, or a film called `.jpg`, would fill the memory.
    #[test]
    fn a_file_is_read_up_to_a_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("film.jpg");
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        let mut room = Decoded::default();
        let Err(error) = decode_file(&path, &mut room) else { panic!("it is no image") };
        let error = error.to_string();
        assert!(error.contains("film.jpg") && error.contains("more than 256 MiB"), "{error}");
        assert!(room.bytes.len() as u64 <= LARGEST_FILE + 1);
    }

    /// The header of a PNG of `side` by `side` pixels, and none of them.
    fn claim(side: u32, colour: u8) -> Vec<u8> {
        let mut header = b"IHDR".to_vec();
        header.extend(side.to_be_bytes());
        header.extend(side.to_be_bytes());
        header.extend([8, colour, 0, 0, 0]);
        let crc = |bytes: &[u8]| {
            !bytes.iter().fold(!0_u32, |crc, &byte| {
                (0..8).fold(crc ^ u32::from(byte), |crc, _| {
                    (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
                })
            })
        };
        let sum = crc(&header);
        let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\x0d".to_vec();
        png.extend(header);
        png.extend(sum.to_be_bytes());
        png.extend(b"\0\0\0\0IDAT\x35\xaf\x06\x1e\0\0\0\0IEND\xae\x42\x60\x82");
        png
    }

    /// As it is decoded and as RGB: 7 bytes a pixel with transparency, 4 for grey.
    #[test]
    fn the_limit_of_memory_is_of_all_copies() {
        for (side, colour, fits) in [
            (12_300, 6, true),
            (12_500, 6, false),
            (16_300, 0, true),
            (16_500, 0, false),
            (18_000, 2, true),
        ] {
            let error = decode(&claim(side, colour), &mut Decoded::default()).unwrap_err();
            let refused = error.to_string().contains("pixels need more than 1 GiB of memory");
            assert_eq!(refused, !fits, "{side}, {colour}: {error}");
        }
    }

    /// A red image with a blue corner, in `format`.
    fn encoded(format: ImageFormat) -> Vec<u8> {
        let mut image = RgbImage::from_pixel(64, 48, image::Rgb([200, 0, 0]));
        (0..8).for_each(|place| image.put_pixel(place, 0, image::Rgb([0, 0, 200])));
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    const LOSSLESS: [ImageFormat; 5] = [
        ImageFormat::Png,
        ImageFormat::Bmp,
        ImageFormat::Tiff,
        ImageFormat::Gif,
        ImageFormat::WebP,
    ];

    #[test]
    fn every_format_is_read_by_its_content() {
        let mut room = Decoded::default();
        for format in LOSSLESS {
            let image = decode(&encoded(format), &mut room).unwrap();
            assert_eq!((image.height, image.width), (48, 64), "{format:?}");
            assert_eq!(
                (image.pixels[0], image.pixels[64 * 47]),
                ([0, 0, 200], [200, 0, 0]),
                "{format:?}"
            );
        }
    }

    #[test]
    fn a_part_of_a_file_is_refused_in_every_format() {
        let mut room = Decoded::default();
        for format in LOSSLESS {
            let bytes = encoded(format);
            for part in [1, 4, 8] {
                let cut = &bytes[..bytes.len() * part / 10];
                assert!(decode(cut, &mut room).is_err(), "{part}0 % of {format:?}");
            }
        }
    }

    #[test]
    fn the_first_frame_of_an_animation_is_taken() {
        let mut bytes = Vec::new();
        let mut encoder = image::codecs::gif::GifEncoder::new(&mut bytes);
        for colour in [[255, 0, 0, 255], [0, 255, 0, 255]] {
            let frame = image::RgbaImage::from_pixel(6, 4, image::Rgba(colour));
            encoder.encode_frame(image::Frame::new(frame)).unwrap();
        }
        drop(encoder);
        let mut room = Decoded::default();
        assert_eq!(decode(&bytes, &mut room).unwrap().pixels[0], [255, 0, 0]);
    }

    #[test]
    fn depths_and_modes_come_out_as_rgb() {
        let deep = image::ImageBuffer::from_pixel(3, 2, image::Luma([0x80ff_u16]));
        let clear = image::RgbaImage::from_pixel(3, 2, image::Rgba([1, 2, 3, 0]));
        let images = [DynamicImage::ImageLuma16(deep), DynamicImage::ImageRgba8(clear)];
        for (image, expected) in images.into_iter().zip([[0x80; 3], [1, 2, 3]]) {
            let mut bytes = Cursor::new(Vec::new());
            image.write_to(&mut bytes, ImageFormat::Tiff).unwrap();
            let mut room = Decoded::default();
            assert_eq!(decode(bytes.get_ref(), &mut room).unwrap().pixels[5], expected);
        }
    }
}
