//! A random part of an image, by area and aspect ratio: what a resized crop keeps and what erasing
//! takes away.

use rand_chacha::ChaCha8Rng;

use crate::random::{below, uniform, uniform_in_log};

/// Rows and columns of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rectangle {
    pub(super) top: usize,
    pub(super) left: usize,
    pub(super) height: usize,
    pub(super) width: usize,
}

/// Draws before giving up, as in torchvision.
const ATTEMPTS: usize = 10;

/// Sides that make an area of `scale` times `area` in pixels, the first `ratio` times the second:
/// uniform in scale, uniform in the ratio's logarithm, rounded. `None` when `fits` takes none of ten.
pub(super) fn sides(
    rng: &mut ChaCha8Rng,
    area: usize,
    scale: [f64; 2],
    ratio: [f64; 2],
    fits: impl Fn([usize; 2]) -> bool,
) -> Option<[usize; 2]> {
    (0..ATTEMPTS).find_map(|_| {
        let area = area as f64 * uniform(rng, scale);
        let ratio = uniform_in_log(rng, ratio);
        let sides =
            [area * ratio, area / ratio].map(|square| square.sqrt().round_ties_even() as usize);
        fits(sides).then_some(sides)
    })
}

impl Rectangle {
    /// A rectangle of `height` and `width` at any place in an image of `size`.
    pub(super) fn placed(
        rng: &mut ChaCha8Rng,
        [height, width]: [usize; 2],
        size: [usize; 2],
    ) -> Self {
        let top = below(rng, (size[0] - height) as u64 + 1) as usize;
        let left = below(rng, (size[1] - width) as u64 + 1) as usize;
        Self { top, left, height, width }
    }
}
