//! The looks of an image in two difference hashes, which survive another size, another compression and another format.

use crate::augment::{Interpolation, Resize};
use crate::source::ImageRef;

/// Differences along a side of a hash, between one more cells.
const STEPS: usize = 8;
const CELLS: usize = STEPS + 1;
/// A cell counts as brighter than the one before it from this difference on, of 255: flat areas stay flat when compressed.
const BRIGHTER: f64 = 2.0;
/// The largest difference of the mean of a colour, of 255.
const MEAN: u8 = 24;
/// Images with fewer bits in both hashes together are almost of one colour, and look like all others of it.
const LEAST_BITS: u32 = 16;
/// The looks of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Likeness {
    /// Whether a cell is brighter than the one to its left, in a grid of 9 by 9. dHash (Krawetz 2013).
    pub(super) across: u64,
    /// Whether a cell is brighter than the one above it.
    pub(super) down: u64,
    mean: [u8; 3],
}

impl Likeness {
    /// The likeness of an image; `None` for one that has too little to tell it by.
    pub(super) fn of(image: ImageRef) -> Option<Self> {
        let mut cells = vec![[0; 3]; CELLS * CELLS];
        let resize = Resize::new([image.height, image.width], [CELLS; 2], Interpolation::Bilinear);
        resize.apply(image.pixels, image.width, &mut Vec::new(), &mut cells);
        let bright = |place: usize| {
            let [red, green, blue] = cells[place].map(f64::from);
            0.299 * red + 0.587 * green + 0.114 * blue
        };
        let (mut across, mut down) = (0, 0);
        for row in 0..STEPS {
            for column in 0..STEPS {
                let (bit, at) = (1 << (row * STEPS + column), row * CELLS + column);
                if bright(at + 1) > bright(at) + BRIGHTER {
                    across |= bit;
                }
                if bright(at + CELLS) > bright(at) + BRIGHTER {
                    down |= bit;
                }
            }
        }
        let mean = [0, 1, 2].map(|colour| {
            let sum: usize = cells.iter().map(|cell| usize::from(cell[colour])).sum();
            (sum / cells.len()) as u8
        });
        let likeness = Self { across, down, mean };
        (across.count_ones() + down.count_ones() >= LEAST_BITS).then_some(likeness)
    }

    /// Whether two images look alike: at most `distance` bits differ in either hash, and their colours are similar.
    pub(super) fn is_near(&self, other: &Self, distance: u32) -> bool {
        (self.across ^ other.across).count_ones() <= distance
            && (self.down ^ other.down).count_ones() <= distance
            && self.mean.iter().zip(other.mean).all(|(one, other)| one.abs_diff(other) <= MEAN)
    }
}

/// Whether no colour differs by more than 8 of 255 anywhere in an image.
pub(super) fn is_blank(image: ImageRef) -> bool {
    let (mut least, mut most) = ([255_u8; 3], [0_u8; 3]);
    for pixel in image.pixels {
        for colour in 0..3 {
            least[colour] = least[colour].min(pixel[colour]);
            most[colour] = most[colour].max(pixel[colour]);
            if most[colour] - least[colour] > 8 {
                return false;
            }
        }
    }
    true
}
