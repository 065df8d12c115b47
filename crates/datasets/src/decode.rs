//! From the bytes of a JPEG, PNG, WebP or BMP to pixels, within limits.

use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;

use image::{DynamicImage, ImageDecoder, ImageReader, Limits};

use crate::Error;
use crate::source::{Decoded, ImageRef};

/// Most bytes that the file of an image may have.
pub(crate) const LARGEST_FILE: u64 = 256 << 20;
/// Largest side of an image that is decoded.
const LARGEST_SIDE: u32 = 20_000;
/// Most memory that decoding one image may take.
const MOST_MEMORY: u64 = 1 << 30;

/// Decodes the image in the file at `path`.
///
/// # Errors
/// A file that cannot be read, is larger than 256 MiB or is no image; with its name.
pub fn decode_file<'a>(path: &Path, room: &'a mut Decoded) -> Result<ImageRef<'a>, Error> {
    let mut bytes = std::mem::take(&mut room.bytes);
    bytes.clear();
    File::open(path)
        .and_then(|file| file.take(LARGEST_FILE + 1).read_to_end(&mut bytes))
        .map_err(|source| Error::Unreadable { file: path.to_path_buf(), source })?;
    let size = if bytes.len() as u64 > LARGEST_FILE {
        Err("more than 256 MiB, which no image needs".to_string())
    } else {
        decoded(&bytes, room)
    };
    room.bytes = bytes;
    let size = size.map_err(|reason| Error::Image { name: path.display().to_string(), reason })?;
    Ok(room.image(size))
}

/// Decodes an image as 8-bit RGB: what the file says about its orientation is done, transparency is left out, as in
/// Pillow's `convert("RGB")`. The error says what is wrong with it.
pub fn decode<'a>(bytes: &[u8], room: &'a mut Decoded) -> Result<ImageRef<'a>, String> {
    let size = decoded(bytes, room)?;
    Ok(room.image(size))
}

fn decoded(bytes: &[u8], room: &mut Decoded) -> Result<[usize; 2], String> {
    if bytes.is_empty() {
        return Err("it is empty".to_string());
    }
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|error| error.to_string())?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(LARGEST_SIDE);
    limits.max_image_height = Some(LARGEST_SIDE);
    limits.max_alloc = Some(MOST_MEMORY);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(|error| error.to_string())?;
    if decoder.total_bytes() > MOST_MEMORY {
        let (width, height) = decoder.dimensions();
        return Err(format!("{width}×{height} pixels need more than 1 GiB of memory"));
    }
    let orientation = decoder.orientation().map_err(|error| error.to_string())?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(|error| error.to_string())?;
    image.apply_orientation(orientation);
    let image = image.into_rgb8();
    let size = [image.height() as usize, image.width() as usize];
    room.pixels = image.into_raw();
    if size.contains(&0) { Err("it has no pixels".to_string()) } else { Ok(size) }
}

impl Decoded {
    fn image(&self, [height, width]: [usize; 2]) -> ImageRef<'_> {
        let (pixels, _) = self.pixels.as_chunks::<3>();
        ImageRef { pixels, height, width }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a link to a device or a film called `.jpg` would fill the memory with.
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
