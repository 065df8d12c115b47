//! Synthetic images of several shapes each, for machines without a set of several labels: a stand-in for the paper's JFT.
//!
//! An image has one to four different shapes, each in a quarter of its own, and a label for each. Shapes are drawn as often
//! as real classes are: a few are common and some rare. A rare shape is as large, as clear and in as many places as a common
//! one, so only its number of images makes it harder to learn.

#[cfg(test)]
mod tests;

use rand_chacha::ChaCha8Rng;

use super::{CLASS_NAMES, CONTRAST, NOISE, Pose, Shape, colours, epoch_of};
use crate::random::{Purpose, shuffle, stream, uniform, unit};
use crate::{Error, Images, Split};

/// The smallest side of images of several shapes, in pixels.
pub const MULTI_LABEL_MIN_SIZE: usize = 48;

/// Parts of the images that have one shape, two, three and four.
const SHAPES_AN_IMAGE: [f64; 4] = [0.3, 0.35, 0.2, 0.15];
/// The weight of each shape, by label, when one is drawn of those that an image lacks. The order is none of difficulty.
const WEIGHTS: [f64; 10] = [12., 2.5, 20., 4., 1.5, 8., 3., 6., 2., 1.2];
/// The largest distance of a pixel of a shape from its centre, in square roots of the shape's area: a patch's corner.
const REACH: f64 = 1.01;

/// `count` images of `size` x `size` pixels with one to four labels each: a multi-label set.
///
/// An image depends only on `seed`, `split`, its number and `size`: a longer set starts with the shorter one.
///
/// # Errors
/// A `size` below [`MULTI_LABEL_MIN_SIZE`], or a `count` above the largest set.
pub fn multi_label_images(
    split: Split,
    count: usize,
    size: usize,
    seed: u64,
) -> Result<Images, Error> {
    if size < MULTI_LABEL_MIN_SIZE {
        return Err(Error::SyntheticSize { size, min: MULTI_LABEL_MIN_SIZE });
    }
    u32::try_from(count).map_err(|_| Error::TooManyImages(count))?;
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for index in 0..count {
        let rng = &mut stream(seed, Purpose::SyntheticScene, epoch_of(split), index as u64);
        let shapes = shapes(rng);
        pixels.extend(draw(rng, &shapes, size));
        labels.push(shapes);
    }
    let class_names = CLASS_NAMES.map(String::from).to_vec();
    Images::multi_label(pixels, &labels, size, size, class_names)
}

/// The labels of the shapes of an image, in the order in which they are drawn.
fn shapes(rng: &mut ChaCha8Rng) -> Vec<u32> {
    let count = 1 + choice(rng, &SHAPES_AN_IMAGE);
    let mut weights = WEIGHTS;
    let mut shapes = Vec::new();
    for _ in 0..count {
        let shape = choice(rng, &weights);
        weights[shape] = 0.;
        shapes.push(shape as u32);
    }
    shapes
}

/// The number of a weight, drawn in proportion to them.
fn choice(rng: &mut ChaCha8Rng, weights: &[f64]) -> usize {
    let mut left = unit(rng) * weights.iter().sum::<f64>();
    let mut last = 0;
    for (number, &weight) in weights.iter().enumerate().filter(|(_, weight)| **weight > 0.) {
        last = number;
        if left < weight {
            break;
        }
        left -= weight;
    }
    last
}

/// The bytes of one image, `[size, size, 3]`.
fn draw(rng: &mut ChaCha8Rng, shapes: &[u32], size: usize) -> Vec<u8> {
    let [ground, first] = colours(rng);
    let mut values = vec![ground; size * size];
    let mut quarters = [0, 1, 2, 3];
    shuffle(rng, &mut quarters);
    let half = size as f64 / 2.;
    for (place, (&label, quarter)) in shapes.iter().zip(quarters).enumerate() {
        let ink = if place == 0 { first } else { ink_on(rng, ground) };
        let mut pose = Pose::draw(rng, half);
        pose.centre[0] += half * f64::from(quarter / 2);
        pose.centre[1] += half * f64::from(quarter % 2);
        cover(&mut values, size, Shape::ALL[label as usize], &pose, ink);
    }
    let noise = uniform(rng, [0., NOISE]);
    let byte = |value: f64| (value + uniform(rng, [-noise, noise])).round().clamp(0., 255.) as u8;
    values.into_iter().flatten().map(byte).collect()
}

/// The colour of one more shape: uniform, without those that are too close to the ground's.
fn ink_on(rng: &mut ChaCha8Rng, ground: [f64; 3]) -> [f64; 3] {
    loop {
        let ink = [(); 3].map(|()| uniform(rng, [0., 255.]));
        let squares = [0, 1, 2].map(|channel| (ground[channel] - ink[channel]).powi(2));
        if squares.iter().sum::<f64>() >= CONTRAST * CONTRAST {
            return ink;
        }
    }
}

/// Draws a shape over `values`, `[size, size]` of RGB.
fn cover(values: &mut [[f64; 3]], size: usize, shape: Shape, pose: &Pose, ink: [f64; 3]) {
    let [rows, columns] = pose.centre.map(|centre| {
        let reach = REACH * pose.scale + 1.;
        // Both are clamped to the image: a cast takes a negative number for 0.
        (centre - reach).floor() as usize..((centre + reach).ceil() as usize).min(size)
    });
    for row in rows {
        for column in columns.clone() {
            let part = pose.cover(shape, row, column);
            let value = &mut values[row * size + column];
            value.iter_mut().zip(ink).for_each(|(value, ink)| *value += (ink - *value) * part);
        }
    }
}
