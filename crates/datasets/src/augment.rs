//! What may happen to a picture on its way into a batch, as options, and one picture's draw of it.

use rand_chacha::ChaCha8Rng;

use crate::Error;
use crate::random::{below, unit};

/// Random changes to every picture, in this order: crop, vertical flip, horizontal flip,
/// normalisation, cutout. The default changes nothing.
///
/// Each decision takes its own draws whether it is enabled or not, so that switching one on leaves
/// the others as they were.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Augmentation {
    /// Crop the picture's own size out of a padded picture.
    pub crop: Option<Crop>,
    /// Probability of swapping top and bottom.
    pub vertical_flip: f64,
    /// Probability of swapping left and right.
    pub horizontal_flip: f64,
    /// Side in pixels of a square that is set to 0 after normalisation, which is the mean colour.
    /// Its centre is uniform over the picture, and what reaches past an edge is cut off
    /// (DeVries and Taylor 2017).
    pub cutout: Option<usize>,
}

/// A random crop with padding, torchvision's `RandomCrop(size, padding)`: every offset from 0 to
/// twice the padding, each way, is equally likely.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crop {
    /// Pixels added on each side.
    pub padding: usize,
    /// What they hold.
    pub mode: PaddingMode,
}

/// What padding holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PaddingMode {
    /// Black: byte 0 before normalisation.
    Zero,
    /// The picture mirrored at its edge, without repeating the edge itself.
    Reflect,
}

impl Augmentation {
    /// The notebook's (seeds/000): crop with zero padding of 4, and either flip half of the time.
    pub const NOTEBOOK: Self = Self {
        crop: Some(Crop { padding: 4, mode: PaddingMode::Zero }),
        vertical_flip: 0.5,
        horizontal_flip: 0.5,
        cutout: None,
    };

    pub(crate) fn check(&self, height: usize, width: usize) -> Result<(), Error> {
        let flips =
            [("vertical_flip", self.vertical_flip), ("horizontal_flip", self.horizontal_flip)];
        for (option, value) in flips {
            if !(0. ..=1.).contains(&value) {
                return Err(Error::Probability { option, value });
            }
        }
        let shorter = height.min(width);
        if let Some(Crop { padding, .. }) = self.crop
            && padding >= shorter
        {
            return Err(Error::Padding { padding, height, width });
        }
        if let Some(size) = self.cutout
            && !(1..=shorter).contains(&size)
        {
            return Err(Error::Cutout { size, height, width });
        }
        Ok(())
    }

    /// What happens to one picture.
    pub(crate) fn draw(&self, rng: &mut ChaCha8Rng, height: usize, width: usize) -> Draw {
        let padding = self.crop.map_or(0, |crop| crop.padding);
        let offsets = [(); 2].map(|()| below(rng, 2 * padding as u64 + 1) as usize);
        let flips = [self.vertical_flip, self.horizontal_flip].map(|p| unit(rng) < p);
        let centre = [height, width].map(|size| below(rng, size as u64) as usize);
        Draw { offsets, flips, centre }
    }
}

/// One picture's augmentation; each pair is vertical, horizontal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Draw {
    /// Where the crop begins in the padded picture.
    pub(crate) offsets: [usize; 2],
    /// Whether the crop is flipped.
    pub(crate) flips: [bool; 2],
    /// Centre of the cutout.
    pub(crate) centre: [usize; 2],
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::random::{Purpose, stream};

    fn draws(augmentation: Augmentation) -> Vec<Draw> {
        (0..20_000)
            .map(|index| augmentation.draw(&mut stream(0, Purpose::Augment, 0, index), 32, 24))
            .collect()
    }

    fn counts<T: Ord>(values: impl Iterator<Item = T>) -> BTreeMap<T, u32> {
        let mut counts = BTreeMap::new();
        for value in values {
            *counts.entry(value).or_default() += 1;
        }
        counts
    }

    #[test]
    fn every_crop_offset_is_drawn_including_the_last() {
        let offsets = counts(draws(Augmentation::NOTEBOOK).into_iter().map(|draw| draw.offsets));
        assert_eq!(offsets.len(), 81);
        assert_eq!(offsets.keys().max(), Some(&[8, 8]));
        // 247 expected in each; 80 is five standard deviations.
        assert!(offsets.values().all(|count| count.abs_diff(247) < 80), "{offsets:?}");
    }

    #[test]
    fn every_cutout_centre_is_drawn() {
        let draws = draws(Augmentation::default());
        for (axis, size) in [(0, 32), (1, 24)] {
            let centres = counts(draws.iter().map(|draw| draw.centre[axis]));
            assert!(centres.keys().copied().eq(0..size), "{centres:?}");
        }
    }

    #[test]
    fn flips_follow_their_probability_and_each_other_not() {
        let augmentation =
            Augmentation { vertical_flip: 0.25, horizontal_flip: 0.5, ..Default::default() };
        let flips = counts(draws(augmentation).into_iter().map(|draw| draw.flips));
        for (flips, count) in flips {
            let expected = if flips[0] { 2500 } else { 7500 };
            // Five standard deviations are 350 at most.
            assert!(count.abs_diff(expected) < 350, "{flips:?}: {count}");
        }
        for (probability, expected) in [(0., false), (1., true)] {
            let augmentation = Augmentation {
                vertical_flip: probability,
                horizontal_flip: probability,
                ..Default::default()
            };
            assert!(draws(augmentation).iter().all(|draw| draw.flips == [expected; 2]));
        }
    }

    #[test]
    fn one_option_does_not_move_the_draws_of_another() {
        let all = draws(Augmentation::NOTEBOOK);
        let crop_only =
            draws(Augmentation { crop: Augmentation::NOTEBOOK.crop, ..Default::default() });
        let flips_only = draws(Augmentation { crop: None, ..Augmentation::NOTEBOOK });
        for ((all, crop), flips) in all.iter().zip(&crop_only).zip(&flips_only) {
            assert_eq!(*all, Draw { flips: all.flips, ..*crop });
            assert_eq!(*all, Draw { offsets: all.offsets, ..*flips });
        }
    }

    #[test]
    fn options_out_of_range_are_refused() {
        let check = |augmentation: Augmentation, expected: &str| {
            assert_eq!(augmentation.check(32, 24).unwrap_err().to_string(), expected);
        };
        let none = Augmentation::default();
        let probability = "expected a probability between 0 and 1";
        check(
            Augmentation { vertical_flip: -0.1, ..none },
            &format!("vertical_flip is -0.1, {probability}"),
        );
        check(
            Augmentation { horizontal_flip: 50., ..none },
            &format!("horizontal_flip is 50, {probability}"),
        );
        check(
            Augmentation { horizontal_flip: f64::NAN, ..none },
            &format!("horizontal_flip is NaN, {probability}"),
        );
        for mode in [PaddingMode::Zero, PaddingMode::Reflect] {
            check(
                Augmentation { crop: Some(Crop { padding: 24, mode }), ..none },
                "crop padding 24 needs pictures of more than 24 pixels a side, these are 32x24",
            );
            let largest = Augmentation { crop: Some(Crop { padding: 23, mode }), ..none };
            assert!(largest.check(32, 24).is_ok());
        }
        for size in [0, 25] {
            check(
                Augmentation { cutout: Some(size), ..none },
                &format!(
                    "cutout size {size} must lie between 1 and the shorter side of the pictures (32x24)"
                ),
            );
        }
        assert!(Augmentation { cutout: Some(24), ..Augmentation::NOTEBOOK }.check(32, 24).is_ok());
    }
}
