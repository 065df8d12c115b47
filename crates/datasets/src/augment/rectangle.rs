//! Parts of an image: the part that a resized crop keeps, or that cutout or erasing removes.

use std::ops::Range;

use rand_chacha::ChaCha8Rng;

use crate::random::{below, uniform, uniform_in_log};

/// Rows and columns of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rectangle {
    pub(super) top: usize,
    pub(super) left: usize,
    pub(super) height: usize,
    pub(super) width: usize,
}

/// The most draws, as in torchvision.
const ATTEMPTS: usize = 10;

/// Draws two sides, in pixels. Their product is `scale` times `area`, with a uniform scale; the first is `ratio`
/// times the second, with a uniform logarithm of the ratio; both are rounded. `None` where `fits` refuses ten draws.
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
    /// The part of an image of `size` that lies in a square of `side` pixels around `centre`.
    pub(crate) fn around(centre: [usize; 2], side: usize, size: [usize; 2]) -> Self {
        let axis = |axis: usize| {
            let start = centre[axis].saturating_sub(side / 2);
            let end = (centre[axis] + side - side / 2).min(size[axis]);
            (start, end - start)
        };
        let ((top, height), (left, width)) = (axis(0), axis(1));
        Self { top, left, height, width }
    }

    /// The rows that it covers.
    pub(crate) fn rows(&self) -> Range<usize> {
        self.top..self.top + self.height
    }

    /// The columns that it covers.
    pub(crate) fn columns(&self) -> Range<usize> {
        self.left..self.left + self.width
    }

    /// Draws the place of a rectangle of `height` and `width` in an image of `size`.
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
