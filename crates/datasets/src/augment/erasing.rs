//! Erasing of a random rectangle of the normalised image.

use rand_chacha::ChaCha8Rng;

use super::rectangle::{Rectangle, sides};
use super::{interval, probability};
use crate::Error;
use crate::random::{normals, unit};

/// Erases a rectangle of random area and aspect ratio after normalisation (Zhong et al. 2017).
/// torchvision: `RandomErasing(p, scale, ratio, value)`.
///
/// After ten draws that do not fit into the image, it stays unchanged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Erasing {
    /// The probability that an image loses a rectangle.
    pub probability: f64,
    /// Least and largest area, as shares of the image's.
    pub scale: [f64; 2],
    /// Least and largest ratio of height to width.
    pub ratio: [f64; 2],
    /// The contents of the rectangle afterwards.
    pub value: ErasingValue,
}

/// The contents of an erased rectangle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErasingValue {
    /// 0 after normalisation, the mean colour. torchvision: `value=0`.
    Mean,
    /// A normal draw of mean 0 and deviation 1 for every pixel and channel. torchvision: `value="random"`.
    Noise,
}

impl Erasing {
    pub(super) fn check(&self) -> Result<(), Error> {
        probability("erasing.probability", self.probability)?;
        interval("erasing.scale", self.scale, 0., 1.)?;
        interval("erasing.ratio", self.ratio, 0., f64::INFINITY)
    }

    /// Draws the part of an image of that size that is erased, if any is.
    pub(crate) fn draw(
        &self,
        rng: &mut ChaCha8Rng,
        height: usize,
        width: usize,
    ) -> Option<Rectangle> {
        if unit(rng) >= self.probability {
            return None;
        }
        // Smaller than the image along each axis.
        let fits = |[h, w]: [usize; 2]| h < height && w < width;
        let sides = sides(rng, height * width, self.scale, self.ratio, fits)?;
        Some(Rectangle::placed(rng, sides, [height, width]))
    }

    /// Draws and erases a part of `image`, which has `width` columns.
    pub(crate) fn apply(&self, rng: &mut ChaCha8Rng, image: &mut [[f32; 3]], width: usize) {
        let Some(part) = self.draw(rng, image.len() / width, width) else { return };
        for row in image.chunks_exact_mut(width).skip(part.top).take(part.height) {
            let row = row[part.left..][..part.width].as_flattened_mut();
            match self.value {
                ErasingValue::Mean => row.fill(0.),
                ErasingValue::Noise => {
                    for pair in row.chunks_mut(2) {
                        for (value, noise) in pair.iter_mut().zip(normals(rng)) {
                            *value = noise as f32;
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, stream};

    /// torchvision's defaults.
    const ERASING: Erasing = Erasing {
        probability: 0.5,
        scale: [0.02, 0.33],
        ratio: [0.3, 3.3],
        value: ErasingValue::Mean,
    };

    /// An image of nines after erasing.
    fn erased(erasing: Erasing, index: u64, height: usize, width: usize) -> Vec<[f32; 3]> {
        let mut image = vec![[9.; 3]; height * width];
        erasing.apply(&mut stream(0, Purpose::Erasing, 0, index), &mut image, width);
        image
    }

    #[test]
    fn a_rectangle_and_nothing_else_becomes_the_mean() {
        let (mut erased_images, mut share) = (0, 0.);
        for index in 0..4000 {
            let image = erased(ERASING, index, 24, 32);
            let gone: Vec<usize> = (0..image.len()).filter(|&at| image[at] == [0.; 3]).collect();
            assert!(image.iter().all(|&pixel| pixel == [0.; 3] || pixel == [9.; 3]));
            let (Some(&first), Some(&last)) = (gone.first(), gone.last()) else { continue };
            let (height, width) = (last / 32 - first / 32 + 1, last % 32 - first % 32 + 1);
            assert_eq!(gone.len(), height * width, "image {index} lost no rectangle");
            assert!(height < 24 && width < 32);
            let ratio = height as f64 / width as f64;
            assert!((0.2..5.).contains(&ratio), "{height} by {width}");
            erased_images += 1;
            share += gone.len() as f64 / image.len() as f64;
        }
        // Five standard deviations.
        assert!((erased_images - 2000_i32).abs() < 160, "{erased_images}");
        let mean = share / f64::from(erased_images);
        assert!((mean - 0.175).abs() < 0.01, "{mean}");
    }

    #[test]
    fn high_ratios_are_upright() {
        let upright = Erasing { probability: 1., ratio: [4., 4.], scale: [0.04, 0.04], ..ERASING };
        for index in 0..100 {
            let gone = erased(upright, index, 20, 20);
            let rows = gone.chunks(20).filter(|row| row.contains(&[0.; 3])).count();
            let columns = (0..20).filter(|&at| gone.chunks(20).any(|row| row[at] == [0.; 3]));
            assert_eq!((rows, columns.count()), (8, 2));
        }
    }

    #[test]
    fn every_channel_has_its_own_noise() {
        let noisy = Erasing { probability: 1., value: ErasingValue::Noise, ..ERASING };
        let plain = Erasing { value: ErasingValue::Mean, ..noisy };
        let mut values = Vec::new();
        for index in 0..200 {
            let (noise, mean) = (erased(noisy, index, 32, 32), erased(plain, index, 32, 32));
            for (noise, mean) in noise.iter().zip(mean) {
                assert_eq!(*noise == [9.; 3], mean == [9.; 3], "the same rectangle");
                if mean == [0.; 3] {
                    assert!(noise[0] != noise[1] && noise[1] != noise[2]);
                    values.extend(noise.map(f64::from));
                }
            }
        }
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let variance = values.iter().map(|value| value * value).sum::<f64>() / n;
        assert!(mean.abs() < 0.015 && (variance - 1.).abs() < 0.02, "{mean} {variance}");
    }

    #[test]
    fn a_rectangle_that_never_fits_leaves_the_image() {
        let whole = Erasing { probability: 1., scale: [1., 1.], ratio: [1., 1.], ..ERASING };
        assert!(erased(whole, 0, 8, 8).iter().all(|&pixel| pixel == [9.; 3]));
        let never = Erasing { probability: 0., ..ERASING };
        assert!((0..1000).all(|index| erased(never, index, 8, 8) == vec![[9.; 3]; 64]));
    }
}
