//! Mixing of the images of a batch: mixup and CutMix.

use rand_chacha::ChaCha8Rng;
use tch::Tensor;

use crate::Error;
use crate::random::{below, beta};

/// Mixes the images of a batch. The partner of image `i` of `n` is image `n - 1 - i`, and one weight is drawn for the
/// batch, as in the authors' code.
///
/// The draw depends on the number of the batch in the epoch, so, unlike all other random changes, on the batch size. A
/// loader for evaluation must not mix.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mix {
    /// Every pixel is the weighted mean of the pixels of both images (Zhang et al. 2017).
    Mixup {
        /// The weight is drawn from Beta(`alpha`, `alpha`).
        alpha: f64,
    },
    /// A box of the image comes from the partner (Yun et al. 2019). The box has the image's aspect ratio and its centre
    /// anywhere. torchvision: `v2.CutMix(alpha=…)`.
    CutMix {
        /// The area outside the box, before it is cut at the image's edges, is drawn from Beta(`alpha`, `alpha`).
        alpha: f64,
    },
}

/// The labels and the weight of a mixed batch, whose loss is
/// `weight * loss(labels) + (1 - weight) * loss(partner_labels)`.
#[derive(Debug)]
pub struct Mixed {
    /// `[n]`, int64: the labels of the partners. Of a multi-label set `[n, classes]`, float32, as
    /// [`Batch::labels`](crate::Batch::labels).
    pub partner_labels: Tensor,
    /// The share of the image itself, 0 to 1; for CutMix its share of the pixels.
    pub weight: f64,
}

impl Mix {
    pub(super) fn check(&self) -> Result<(), Error> {
        let (Self::Mixup { alpha } | Self::CutMix { alpha }) = *self;
        if !(alpha.is_finite() && alpha > 0.) {
            let (option, accepted) = ("mix.alpha", "a number above 0");
            return Err(Error::OutOfRange { option, value: alpha, accepted });
        }
        Ok(())
    }

    /// Draws and mixes `images`, `[n, height, width]`; returns the share of each image itself.
    pub(crate) fn apply(
        &self,
        rng: &mut ChaCha8Rng,
        images: &mut [[f32; 3]],
        [height, width]: [usize; 2],
    ) -> f64 {
        let area = height * width;
        match *self {
            Self::Mixup { alpha } => {
                let weight = beta(rng, alpha, alpha);
                let (own, other) = (weight as f32, (1. - weight) as f32);
                for_pairs(images, area, |first, second| {
                    let both = first.as_flattened_mut().iter_mut();
                    for (a, b) in both.zip(second.as_flattened_mut()) {
                        (*a, *b) = (own * *a + other * *b, own * *b + other * *a);
                    }
                });
                weight
            }
            Self::CutMix { alpha } => {
                let half = 0.5 * (1. - beta(rng, alpha, alpha)).sqrt();
                let [rows, columns] = [height, width].map(|size| {
                    let centre = below(rng, size as u64) as usize;
                    let reach = (half * size as f64) as usize;
                    centre.saturating_sub(reach)..(centre + reach).min(size)
                });
                for_pairs(images, area, |first, second| {
                    for row in rows.clone() {
                        let part = row * width + columns.start..row * width + columns.end;
                        first[part.clone()].swap_with_slice(&mut second[part]);
                    }
                });
                1. - (rows.len() * columns.len()) as f64 / area as f64
            }
        }
    }
}

/// Calls `mix` with every two images that are partners. The middle one of an odd number is its own
/// partner, and mixed with itself it stays.
fn for_pairs(
    images: &mut [[f32; 3]],
    area: usize,
    mut mix: impl FnMut(&mut [[f32; 3]], &mut [[f32; 3]]),
) {
    let (front, back) = images.split_at_mut(images.len() / area / 2 * area);
    let back = back.rchunks_exact_mut(area);
    for (first, second) in front.chunks_exact_mut(area).zip(back) {
        mix(first, second);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, stream};

    const SIZE: [usize; 2] = [6, 8];

    fn rng(batch: u64) -> ChaCha8Rng {
        stream(0, Purpose::Mix, 0, batch)
    }

    /// Images of one number each: 1, 10, 100, …
    fn images(count: u32) -> Vec<[f32; 3]> {
        (0..count).flat_map(|n| [[10_f32.powi(n as i32); 3]; 48]).collect()
    }

    #[test]
    fn mixup_is_a_weighted_mean_with_the_partner_from_the_other_end() {
        for batch in 0..50 {
            let mut mixed = images(5);
            let weight = Mix::Mixup { alpha: 0.4 }.apply(&mut rng(batch), &mut mixed, SIZE);
            for (n, image) in mixed.chunks_exact(48).enumerate() {
                let own = 10_f64.powi(n as i32);
                let partner = 10_f64.powi(4 - n as i32);
                let expected = weight * own + (1. - weight) * partner;
                let close = |value: &f32| (f64::from(*value) / expected - 1.).abs() < 1e-5;
                assert!(image.as_flattened().iter().all(close), "image {n}, weight {weight}");
            }
        }
    }

    #[test]
    fn cutmix_swaps_a_box_and_weighs_by_its_area() {
        let mut boxes = std::collections::BTreeSet::new();
        for batch in 0..2000 {
            let mut mixed = images(3);
            let weight = Mix::CutMix { alpha: 1. }.apply(&mut rng(batch), &mut mixed, SIZE);
            let swapped = |n: usize, partner: f32| -> Vec<usize> {
                (0..48).filter(|at| mixed[n * 48 + at] == [partner; 3]).collect()
            };
            let inside = swapped(0, 100.);
            assert_eq!(inside, swapped(2, 1.), "both get the other's box");
            assert!(mixed[48..96].iter().all(|&pixel| pixel == [10.; 3]), "the middle one stays");
            let own = mixed[..48].iter().filter(|&&pixel| pixel == [1.; 3]).count();
            assert_eq!(own + inside.len(), 48);
            assert!((weight - own as f64 / 48.).abs() < 1e-12, "{weight} of {own}");
            if let (Some(first), Some(last)) = (inside.first(), inside.last()) {
                let (height, width) = (last / 8 - first / 8 + 1, last % 8 - first % 8 + 1);
                assert_eq!(inside.len(), height * width, "no box");
                boxes.insert((first / 8, first % 8, height, width));
            }
        }
        assert!(boxes.iter().any(|b| b.0 == 0) && boxes.iter().any(|b| b.0 + b.2 == 6));
        assert!(boxes.iter().any(|b| b.1 == 0) && boxes.iter().any(|b| b.1 + b.3 == 8));
    }

    /// Of Beta(1, 1) half an image stays, and what the edges cut off comes on top.
    #[test]
    fn weights_are_spread_as_beta_is() {
        let mean = |mix: Mix, size: [usize; 2]| {
            let mut two = vec![[0.; 3]; 2 * size[0] * size[1]];
            (0..4000).map(|batch| mix.apply(&mut rng(batch), &mut two, size)).sum::<f64>() / 4000.
        };
        assert!((mean(Mix::Mixup { alpha: 0.2 }, [1, 1]) - 0.5).abs() < 0.03);
        // The box of r by r sides, centred evenly, keeps r (1 - r / 4) of each: one less the integral of
        // s (1 - √s / 4)² over s from 0 to 1 is 1 - (1/2 - 1/5 + 1/48).
        let expected = 1. - (0.5 - 0.2 + 1. / 48.);
        let cut = mean(Mix::CutMix { alpha: 1. }, [64, 64]);
        assert!((cut - expected).abs() < 0.02, "{cut}, expected {expected}");
    }

    #[test]
    fn one_image_is_mixed_with_itself() {
        for mix in [Mix::Mixup { alpha: 1. }, Mix::CutMix { alpha: 1. }] {
            let mut one = images(1);
            mix.apply(&mut rng(0), &mut one, SIZE);
            assert_eq!(one, images(1));
        }
    }
}
