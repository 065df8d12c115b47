//! JPEG, PNG, WebP and BMP decoded from bytes, within limits of size and memory.

mod jpeg;

use std::io::{Cursor, Read};
use std::path::Path;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageReader, Limits, RgbImage};

use crate::Error;
use crate::regular_file;
use crate::source::{Decoded, ImageRef};

/// The largest image file, in bytes.
pub(crate) const LARGEST_FILE: u64 = 256 << 20;
/// The largest side of an image, in pixels.
const LARGEST_SIDE: u32 = 20_000;
/// The most memory that decoding one image may take, in bytes.
const MOST_MEMORY: u64 = 1 << 30;

/// Decodes the image in the file at `path` into `room`, as [`decode`] does.
///
/// # Errors
/// A file that cannot be read, is larger than 256 MiB, or is not an image; the error has its name.
pub fn decode_file<'a>(path: &Path, room: &'a mut Decoded) -> Result<ImageRef<'a>, Error> {
    let mut bytes = std::mem::take(&mut room.bytes);
    bytes.clear();
    regular_file::open(path)
        .and_then(|file| file.take(LARGEST_FILE + 1).read_to_end(&mut bytes))
        .map_err(|source| Error::Unreadable { file: path.to_path_buf(), source })?;
    let size = if bytes.len() as u64 > LARGEST_FILE {
        Err(DecodeError("more than 256 MiB, which no image needs".to_string()))
    } else {
        decoded(&bytes, room)
    };
    room.bytes = bytes;
    let size = size.map_err(|error| error.of(path.display().to_string()))?;
    Ok(room.image(size))
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

/// Decodes an image as 8-bit RGB into `room`. The orientation that the file states is applied, and transparency is
/// dropped, as in Pillow's `convert("RGB")`.
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
    let (image, orientation) = rgb8(bytes)?;
    if let Some(claimed) = claimed
        && claimed.is_doubtful(&image)
        && !claimed.is_whole(bytes, &image)
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
    if decoder.total_bytes() > MOST_MEMORY {
        let (width, height) = decoder.dimensions();
        let reason = format!("{width}×{height} pixels need more than 1 GiB of memory");
        return Err(DecodeError(reason));
    }
    let orientation = decoder.orientation().map_err(DecodeError::new)?;
    let image = DynamicImage::from_decoder(decoder).map_err(DecodeError::new)?;
    Ok((image.into_rgb8(), orientation))
}

impl Decoded {
    fn image(&self, [height, width]: [usize; 2]) -> ImageRef<'_> {
        let (pixels, _) = self.pixels.as_chunks::<3>();
        ImageRef { pixels, height, width }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

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
}
