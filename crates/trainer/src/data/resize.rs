//! Images of any size are fitted to the size that a network takes.

use datasets::{Fit, Shape};
use xception::weights::{self, Description, Interpolation};

/// The resize and crop of images as the network of `description` was trained on.
pub(crate) fn fit_of(description: &Description) -> Fit {
    let Description { input, crop_fraction, interpolation, fit: shape, .. } = *description;
    fit(input as usize, crop_fraction, interpolation, shape)
}

/// The resize and crop that fits images to `side` by `side` pixels.
pub(crate) fn fit(
    side: usize,
    crop_fraction: f64,
    interpolation: Interpolation,
    shape: weights::Fit,
) -> Fit {
    let interpolation = match interpolation {
        Interpolation::Bilinear => datasets::Interpolation::Bilinear,
        Interpolation::Bicubic => datasets::Interpolation::Bicubic,
        Interpolation::Lanczos => datasets::Interpolation::Lanczos,
        Interpolation::Nearest => datasets::Interpolation::Nearest,
    };
    let shape = match shape {
        weights::Fit::Crop => Shape::Crop,
        weights::Fit::Squash => Shape::Squash,
    };
    Fit { side, crop_fraction, interpolation, shape }
}
