//! The one pass from a picture's bytes to its place in a batch: crop, flips, normalisation and
//! cutout, with no copy in between.

use rand_chacha::ChaCha8Rng;

use crate::augment::{Draw, PaddingMode};
use crate::normalization::Table;
use crate::{Augmentation, Error, Normalization};

/// An augmentation and a normalisation, checked against the pictures they are for.
pub(crate) struct Transform {
    augmentation: Augmentation,
    table: Table,
    height: usize,
    width: usize,
}

impl Transform {
    pub(crate) fn new(
        augmentation: Augmentation,
        normalization: Normalization,
        height: usize,
        width: usize,
    ) -> Result<Self, Error> {
        augmentation.check(height, width)?;
        Ok(Self { augmentation, table: normalization.table()?, height, width })
    }

    /// Draws what happens to `picture` and writes the outcome to `image`; both are
    /// `[height, width]`.
    pub(crate) fn apply(&self, rng: &mut ChaCha8Rng, picture: &[[u8; 3]], image: &mut [[f32; 3]]) {
        let draw = self.augmentation.draw(rng, self.height, self.width);
        self.write(picture, draw, image);
    }

    fn write(&self, picture: &[[u8; 3]], draw: Draw, image: &mut [[f32; 3]]) {
        let rows = self.sources(0, self.height, draw);
        let columns = self.sources(1, self.width, draw);
        let black = self.normalized([0; 3]);
        for (row, image) in rows.iter().zip(image.chunks_exact_mut(self.width)) {
            let Some(row) = *row else {
                image.fill(black);
                continue;
            };
            let row = &picture[row * self.width..][..self.width];
            for (&column, pixel) in columns.iter().zip(image) {
                *pixel = match column {
                    Some(column) => self.normalized(row[column]),
                    None => black,
                };
            }
        }
        if let Some(size) = self.augmentation.cutout {
            let [rows, columns] =
                draw.centre.map(|centre| centre.saturating_sub(size / 2)..centre + size - size / 2);
            for image in image.chunks_exact_mut(self.width).take(rows.end).skip(rows.start) {
                image[columns.start..columns.end.min(self.width)].fill([0.; 3]);
            }
        }
    }

    fn normalized(&self, pixel: [u8; 3]) -> [f32; 3] {
        let [red, green, blue] = pixel.map(usize::from);
        [self.table[0][red], self.table[1][green], self.table[2][blue]]
    }

    /// For each position along one axis (0 vertical, 1 horizontal) of the image, where in the
    /// picture it comes from; `None` is black padding.
    fn sources(&self, axis: usize, size: usize, draw: Draw) -> Vec<Option<usize>> {
        let (padding, mode) = match self.augmentation.crop {
            Some(crop) => (crop.padding, crop.mode),
            None => (0, PaddingMode::Zero),
        };
        let source = |position: usize| {
            let cropped = if draw.flips[axis] { size - 1 - position } else { position };
            // In the padded picture, the picture itself begins at `padding`.
            let padded = cropped + draw.offsets[axis];
            match mode {
                PaddingMode::Zero => padded.checked_sub(padding).filter(|&source| source < size),
                PaddingMode::Reflect => {
                    let distance = padded.abs_diff(padding);
                    Some(if distance < size { distance } else { 2 * (size - 1) - distance })
                }
            }
        };
        (0..size).map(source).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Crop;

    const PLAIN: Draw = Draw { offsets: [0; 2], flips: [false; 2], centre: [0; 2] };

    /// The bytes of `picture` (one channel; the others are 0) after `draw`. Padding is 0, and
    /// what is cut out -1.
    fn transformed<const H: usize, const W: usize>(
        picture: [[u8; W]; H],
        augmentation: Augmentation,
        draw: Draw,
    ) -> [[i32; W]; H] {
        let shift = Normalization { mean: [-1. / 255., 0., 0.], std: [1.; 3] };
        let transform = Transform::new(augmentation, shift, H, W).unwrap();
        let pixels: Vec<_> = picture.as_flattened().iter().map(|&value| [value, 0, 0]).collect();
        let mut image = vec![[f32::NAN; 3]; H * W];
        transform.write(&pixels, draw, &mut image);
        // The mean of -1 makes the cut-out's 0 differ from every byte.
        std::array::from_fn(|row| {
            std::array::from_fn(|column| (image[row * W + column][0] * 255.).round() as i32 - 1)
        })
    }

    fn crop(padding: usize, mode: PaddingMode) -> Augmentation {
        Augmentation { crop: Some(Crop { padding, mode }), ..Augmentation::default() }
    }

    #[test]
    fn zero_padding_by_hand() {
        let check = |offsets, expected| {
            let draw = Draw { offsets, ..PLAIN };
            let picture = [[1, 2, 3], [4, 5, 6]];
            assert_eq!(transformed(picture, crop(1, PaddingMode::Zero), draw), expected);
        };
        check([1, 1], [[1, 2, 3], [4, 5, 6]]);
        check([0, 0], [[0, 0, 0], [0, 1, 2]]);
        check([2, 0], [[0, 4, 5], [0, 0, 0]]);
        check([0, 2], [[0, 0, 0], [2, 3, 0]]);
        check([2, 2], [[5, 6, 0], [0, 0, 0]]);
        check([1, 2], [[2, 3, 0], [5, 6, 0]]);
    }

    #[test]
    fn reflect_padding_by_hand() {
        let check = |padding, offsets, expected| {
            let draw = Draw { offsets, ..PLAIN };
            let picture = [[1, 2, 3], [4, 5, 6], [7, 8, 9]];
            assert_eq!(transformed(picture, crop(padding, PaddingMode::Reflect), draw), expected);
        };
        check(1, [1, 1], [[1, 2, 3], [4, 5, 6], [7, 8, 9]]);
        check(1, [0, 0], [[5, 4, 5], [2, 1, 2], [5, 4, 5]]);
        check(1, [2, 2], [[5, 6, 5], [8, 9, 8], [5, 6, 5]]);
        check(2, [0, 0], [[9, 8, 7], [6, 5, 4], [3, 2, 1]]);
        check(2, [4, 4], [[9, 8, 7], [6, 5, 4], [3, 2, 1]]);
        check(2, [2, 4], [[3, 2, 1], [6, 5, 4], [9, 8, 7]]);
    }

    #[test]
    fn flips_by_hand() {
        let check = |flips, expected| {
            let draw = Draw { flips, ..PLAIN };
            let picture = [[1, 2, 3], [4, 5, 6]];
            assert_eq!(transformed(picture, Augmentation::default(), draw), expected);
        };
        check([false, false], [[1, 2, 3], [4, 5, 6]]);
        check([true, false], [[4, 5, 6], [1, 2, 3]]);
        check([false, true], [[3, 2, 1], [6, 5, 4]]);
        check([true, true], [[6, 5, 4], [3, 2, 1]]);
    }

    #[test]
    fn the_crop_comes_before_the_flip() {
        let draw = Draw { offsets: [0, 0], flips: [true, true], ..PLAIN };
        let image = transformed([[1, 2, 3], [4, 5, 6]], crop(1, PaddingMode::Zero), draw);
        assert_eq!(image, [[2, 1, 0], [0, 0, 0]]);
    }

    #[test]
    fn cutouts_are_clipped_at_the_edges() {
        let check = |size, centre, expected| {
            let augmentation = Augmentation { cutout: Some(size), ..Augmentation::default() };
            let draw = Draw { centre, ..PLAIN };
            let picture = [[1, 2, 3], [4, 5, 6], [7, 8, 9]];
            assert_eq!(transformed(picture, augmentation, draw), expected);
        };
        check(1, [0, 1], [[1, -1, 3], [4, 5, 6], [7, 8, 9]]);
        check(2, [1, 1], [[-1, -1, 3], [-1, -1, 6], [7, 8, 9]]);
        check(2, [0, 0], [[-1, 2, 3], [4, 5, 6], [7, 8, 9]]);
        check(2, [2, 2], [[1, 2, 3], [4, -1, -1], [7, -1, -1]]);
        check(3, [2, 0], [[1, 2, 3], [-1, -1, 6], [-1, -1, 9]]);
        check(3, [1, 1], [[-1; 3]; 3]);
    }

    #[test]
    fn padding_is_normalised_black_and_channels_keep_their_constants() {
        let normalization = Normalization::CIFAR10_NOTEBOOK;
        let transform = Transform::new(crop(1, PaddingMode::Zero), normalization, 2, 2).unwrap();
        let mut image = [[0.; 3]; 4];
        transform.write(&[[10, 20, 30]; 4], PLAIN, &mut image);
        let black = normalization.apply([0; 3]);
        assert_eq!(image, [black, black, black, normalization.apply([10, 20, 30])]);
    }
}
