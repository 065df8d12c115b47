//! The numbers of the resize that ONNX and TorchScript files do themselves, to the bit as Pillow does it.

use xception::weights::Interpolation;

/// New pixels that are made at a time, of the old ones that count for them: most shares of a whole row are zero.
pub(super) const BLOCK: i64 = 40;
/// Pillow's shares of old pixels in new ones are whole multiples of `1 / SHARES`.
pub(super) const SHARES: f64 = PART * PART;
/// They are taken in two parts, and this many values has the lower one. So the sums of shares over bytes are whole numbers
/// that fp32 holds without rounding.
pub(super) const PART: f64 = 2048.;

/// Pixels of the coarser grid on either side that count for a new pixel, at most.
pub(super) fn reach(interpolation: Interpolation) -> i64 {
    match interpolation {
        Interpolation::Nearest | Interpolation::Bilinear => 1,
        Interpolation::Bicubic => 2,
        Interpolation::Lanczos => 3,
    }
}
