//! From picture files to the tensor that a network looks at.

use std::io::Cursor;
use std::path::Path;

use datasets::Normalization;
use image::{ImageReader, Limits, imageops::FilterType};
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
