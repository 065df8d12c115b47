//! Images of any size are fitted to the size that a network takes.

use datasets::Fit;
use xception::weights::Interpolation;

/// The resize and crop that fits images to `side` by `side` pixels.
pub(crate) fn fit(side: usize, crop_fraction: f64, interpolation: Interpolation) -> Fit {
    let interpolation = match interpolation {
        Interpolation::Bilinear => datasets::Interpolation::Bilinear,
        Interpolation::Bicubic => datasets::Interpolation::Bicubic,
    };
    Fit { side, crop_fraction, interpolation }
}
