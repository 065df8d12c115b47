//! From picture files to the tensor that a network looks at, and from pixels to PNG.

use std::io::Cursor;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use datasets::Normalization;
use image::{ImageFormat, ImageReader, Limits, RgbImage, imageops::FilterType};
use tch::Tensor;

use crate::Error;

/// Largest side of a picture that is decoded.
const LARGEST_SIDE: u32 = 20_000;
/// Most memory that decoding one picture may take.
const MOST_MEMORY: u64 = 1 << 30;

/// Decodes the picture at `path`, fits it to `side` by `side` pixels and normalises it: `[1, 3, side, side]`.
///
/// A picture of another shape is squeezed, with a bilinear filter that averages where it shrinks.
pub(crate) fn decode(
    path: &Path,
    side: i64,
    normalization: &Normalization,
) -> Result<Tensor, Error> {
    let refuse = |reason: String| Error::Picture { path: path.to_path_buf(), reason };
    let bytes = std::fs::read(path).map_err(|error| refuse(error.to_string()))?;
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|error| refuse(error.to_string()))?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(LARGEST_SIDE);
    limits.max_image_height = Some(LARGEST_SIDE);
    limits.max_alloc = Some(MOST_MEMORY);
    reader.limits(limits);
    let picture = reader.decode().map_err(|error| refuse(error.to_string()))?.into_rgb8();
    let pixels = match (picture.width(), picture.height()) {
        fitting if fitting == (side as u32, side as u32) => picture,
        _ => image::imageops::resize(&picture, side as u32, side as u32, FilterType::Triangle),
    };
    let normalized: Vec<f32> =
        pixels.pixels().flat_map(|pixel| normalization.apply(pixel.0)).collect();
    Ok(Tensor::from_slice(&normalized).view([1, side, side, 3]).permute([0, 3, 1, 2]))
}

/// The picture of `width` by `height` `pixels`, row by row, as PNG in base64. Panics when they are not as many.
pub(crate) fn png_base64(pixels: &[[u8; 3]], width: usize, height: usize) -> String {
    let picture = RgbImage::from_raw(width as u32, height as u32, pixels.as_flattened().to_vec())
        .filter(|_| pixels.len() == width * height)
        .unwrap_or_else(|| panic!("{} pixels are no {width}x{height} picture", pixels.len()));
    let mut png = Cursor::new(Vec::new());
    picture.write_to(&mut png, ImageFormat::Png).expect("memory takes what is written");
    STANDARD.encode(png.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_png_holds_the_pixels_it_was_given() {
        let pixels = [[255, 0, 0], [0, 255, 0], [0, 0, 255], [1, 2, 3], [4, 5, 6], [7, 8, 9]];
        let png = STANDARD.decode(png_base64(&pixels, 3, 2)).unwrap();
        let picture = image::load_from_memory(&png).unwrap().into_rgb8();
        assert_eq!((picture.width(), picture.height()), (3, 2));
        assert_eq!(picture.get_pixel(0, 1).0, [1, 2, 3], "row by row");
    }
}
