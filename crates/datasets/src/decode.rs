//! From the bytes of a JPEG, PNG, WebP or BMP to pixels, within limits.

use std::io::Cursor;
use std::path::Path;

use image::{DynamicImage, ImageDecoder, ImageReader, Limits};

use crate::Error;
use crate::source::{Decoded, PictureRef};

/// Largest side of a picture that is decoded.
const LARGEST_SIDE: u32 = 20_000;
/// Most memory that decoding one picture may take.
const MOST_MEMORY: u64 = 1 << 30;

/// Decodes the picture in the file at `path`.
///
/// # Errors
/// A file that cannot be read or is no picture; with its name.
pub fn decode_file<'a>(path: &Path, room: &'a mut Decoded) -> Result<PictureRef<'a>, Error> {
    room.bytes = std::fs::read(path)
        .map_err(|source| Error::Unreadable { file: path.to_path_buf(), source })?;
    let bytes = std::mem::take(&mut room.bytes);
    let size = decoded(&bytes, room);
    room.bytes = bytes;
    let size =
        size.map_err(|reason| Error::Picture { name: path.display().to_string(), reason })?;
    Ok(room.picture(size))
}

/// Decodes a picture as 8-bit RGB: what the file says about its orientation is done, transparency is left out, as in
/// Pillow's `convert("RGB")`. The error says what is wrong with it.
pub fn decode<'a>(bytes: &[u8], room: &'a mut Decoded) -> Result<PictureRef<'a>, String> {
    let size = decoded(bytes, room)?;
    Ok(room.picture(size))
}

fn decoded(bytes: &[u8], room: &mut Decoded) -> Result<[usize; 2], String> {
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
    let mut picture = DynamicImage::from_decoder(decoder).map_err(|error| error.to_string())?;
    picture.apply_orientation(orientation);
    let picture = picture.into_rgb8();
    let size = [picture.height() as usize, picture.width() as usize];
    room.pixels = picture.into_raw();
    if size.contains(&0) { Err("it has no pixels".to_string()) } else { Ok(size) }
}

impl Decoded {
    fn picture(&self, [height, width]: [usize; 2]) -> PictureRef<'_> {
        let (pixels, _) = self.pixels.as_chunks::<3>();
        PictureRef { pixels, height, width }
    }
}
