//! Image files as input tensors, and pixels as PNG.

use std::io::Cursor;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use datasets::{Decoded, Normalization, decode_file};
use image::{ImageFormat, RgbImage};
use tch::Tensor;
use xception::weights::Description;

use crate::data::resize::fit_of;
use crate::network::Error;

/// An image that was prepared for a network.
pub(crate) struct Prepared {
    /// `[side, side]` of RGB.
    pub(crate) pixels: Vec<[u8; 3]>,
    /// In pixels.
    pub(crate) side: usize,
    /// Width and height, in pixels, of the image as it came.
    pub(crate) size: [usize; 2],
    /// Normalised, `[1, 3, side, side]`.
    pub(crate) image: Tensor,
}

/// The pixels of an image that a network sees.
pub(crate) struct Square {
    /// `[side, side]` of RGB.
    pub(crate) pixels: Vec<[u8; 3]>,
    /// In pixels.
    pub(crate) side: usize,
    /// Width and height, in pixels, of the image as it came.
    pub(crate) size: [usize; 2],
}

/// Decodes the image at `path` and prepares it as the images were that the network of `description` was trained on:
/// centre crop, resize, normalisation.
pub(crate) fn prepare(path: &Path, description: &Description) -> Result<Prepared, Error> {
    let Square { pixels, side, size } = square(path, description, &mut Decoded::default())?;
    let image = tensor(&normalized(&pixels, description), side);
    Ok(Prepared { pixels, side, size, image })
}

/// Decodes the image at `path` into `room`, crops and resizes it. No tensor is made, so any thread may do this.
pub(crate) fn square(
    path: &Path,
    description: &Description,
    room: &mut Decoded,
) -> Result<Square, Error> {
    let image = decode_file(path, room)?;
    let size = [image.width, image.height];
    let pixels = fit_of(description).square(image);
    Ok(Square { pixels, side: description.input as usize, size })
}

/// The `pixels` of a square, normalised for the network of `description`, red, green and blue of each.
pub(crate) fn normalized(pixels: &[[u8; 3]], description: &Description) -> Vec<f32> {
    let normalization = Normalization { mean: description.mean, std: description.std };
    pixels.iter().flat_map(|pixel| normalization.apply(*pixel)).collect()
}

/// Normalised pixels as a network takes them: `[1, 3, side, side]`, channels-last.
pub(crate) fn tensor(normalized: &[f32], side: usize) -> Tensor {
    let side = side as i64;
    Tensor::from_slice(normalized).view([1, side, side, 3]).permute([0, 3, 1, 2])
}

/// [`png`] in base64.
pub(crate) fn png_base64(pixels: &[[u8; 3]], width: usize, height: usize) -> String {
    STANDARD.encode(png(pixels, width, height))
}

/// Encodes `width` by `height` `pixels`, row by row, as PNG.
///
/// # Panics
/// For another number of pixels.
pub(crate) fn png(pixels: &[[u8; 3]], width: usize, height: usize) -> Vec<u8> {
    let image = RgbImage::from_raw(width as u32, height as u32, pixels.as_flattened().to_vec())
        .filter(|_| pixels.len() == width * height)
        .unwrap_or_else(|| panic!("{} pixels are no {width}x{height} image", pixels.len()));
    let mut png = Cursor::new(Vec::new());
    image.write_to(&mut png, ImageFormat::Png).expect("memory takes what is written");
    png.into_inner()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_png_holds_the_pixels_it_was_given() {
        let pixels = [[255, 0, 0], [0, 255, 0], [0, 0, 255], [1, 2, 3], [4, 5, 6], [7, 8, 9]];
        let png = STANDARD.decode(png_base64(&pixels, 3, 2)).unwrap();
        let image = image::load_from_memory(&png).unwrap().into_rgb8();
        assert_eq!((image.width(), image.height()), (3, 2));
        assert_eq!(image.get_pixel(0, 1).0, [1, 2, 3], "row by row");
    }
}
