//! Synthetic images, for machines without a real set: ten shapes that only a convolution can tell apart.
//!
//! In every class the colours of shape and ground come from one distribution, in either order, and so do the area of
//! the shape, its place, its rotation and the noise. So neither the mean colour, nor the histogram, nor any single
//! pixel gives the class away; only edges and their directions do.

mod scene;
mod shape;
#[cfg(test)]
mod tests;

use rand_chacha::ChaCha8Rng;

pub use self::scene::{MULTI_LABEL_MIN_SIZE, multi_label_images};

use self::shape::Shape;
use crate::random::{Purpose, stream, uniform, unit};
use crate::{Error, Images, Split};

/// The smallest side, in pixels, at which the shapes can be told apart.
pub const MIN_SIZE: usize = 16;

/// Names of the classes, by label.
pub const CLASS_NAMES: [&str; 10] = [
    "disc",
    "ring",
    "square",
    "frame",
    "triangle",
    "plus",
    "x",
    "horizontal stripes",
    "vertical stripes",
    "checkerboard",
];

/// Least and largest area of a shape, as shares of the image's.
const AREA: [f64; 2] = [0.1, 0.2];
/// The largest distance of a shape's centre from the image's along each axis, as a share of the side.
const SHIFT: f64 = 0.15;
/// Tangent of half the largest rotation, 15 degrees either way: a plus stays different from an x, and horizontal from
/// vertical.
const HALF_ROTATION: f64 = 0.131_652_5;
/// The least distance of the colours of shape and ground in RGB space, in units of a byte.
const CONTRAST: f64 = 96.;
/// The largest amplitude of the noise, in units of a byte.
const NOISE: f64 = 24.;
/// Sample points along each side of a pixel, for smooth edges.
const SAMPLES: usize = 3;

/// `count` images of `size` x `size` pixels; image `i` has the label `i % 10`.
///
/// An image depends only on `seed`, `split`, its number and `size`: a longer set starts with the shorter one.
///
/// # Errors
/// A `size` below [`MIN_SIZE`], or a `count` above the largest set.
pub fn images(split: Split, count: usize, size: usize, seed: u64) -> Result<Images, Error> {
    if size < MIN_SIZE {
        return Err(Error::SyntheticSize { size, min: MIN_SIZE });
    }
    let labels = (0..u32::try_from(count).map_err(|_| Error::TooManyImages(count))?)
        .map(|index| index % Shape::ALL.len() as u32);
    let pixels = (0..count).flat_map(|index| draw(split, index, size, seed));
    let class_names = CLASS_NAMES.map(String::from).to_vec();
    Images::new(pixels.collect(), labels.collect(), size, size, class_names)
}

/// The bytes of one image, `[size, size, 3]`.
fn draw(split: Split, index: usize, size: usize, seed: u64) -> Vec<u8> {
    let rng = &mut stream(seed, Purpose::Synthetic, epoch_of(split), index as u64);
    let [ground, ink] = colours(rng);
    let pose = Pose::draw(rng, size as f64);
    let noise = uniform(rng, [0., NOISE]);
    let shape = Shape::ALL[index % Shape::ALL.len()];

    let mut pixels = Vec::with_capacity(size * size * 3);
    for row in 0..size {
        for column in 0..size {
            let cover = pose.cover(shape, row, column);
            for (ground, ink) in ground.iter().zip(ink) {
                let value = ground + (ink - ground) * cover + uniform(rng, [-noise, noise]);
                pixels.push(value.round().clamp(0., 255.) as u8);
            }
        }
    }
    pixels
}

/// The epoch of the streams of a split.
fn epoch_of(split: Split) -> u64 {
    match split {
        Split::Train => 0,
        Split::Test => 1,
    }
}

/// The colours of ground and shape: uniform, without those that are too close to each other.
fn colours(rng: &mut ChaCha8Rng) -> [[f64; 3]; 2] {
    loop {
        let [ground, ink] = [(); 2].map(|()| [(); 3].map(|()| uniform(rng, [0., 255.])));
        let squares = [0, 1, 2].map(|channel| {
            let difference: f64 = ground[channel] - ink[channel];
            difference * difference
        });
        if squares.iter().sum::<f64>() >= CONTRAST * CONTRAST {
            return [ground, ink];
        }
    }
}

/// The place of a shape. Basic arithmetic only, no sine: the bytes are the same on every machine.
struct Pose {
    /// Row and column of the centre in pixels.
    centre: [f64; 2],
    /// Square root of the area in pixels.
    scale: f64,
    sine: f64,
    cosine: f64,
    /// The start of a pattern within its period, along each axis.
    phases: [f64; 2],
}

impl Pose {
    fn draw(rng: &mut ChaCha8Rng, size: f64) -> Self {
        let centre = [(); 2].map(|()| size * (0.5 + uniform(rng, [-SHIFT, SHIFT])));
        let scale = size * uniform(rng, AREA).sqrt();
        let t = uniform(rng, [-HALF_ROTATION, HALF_ROTATION]);
        let (sine, cosine) = (2. * t / (1. + t * t), (1. - t * t) / (1. + t * t));
        Self { centre, scale, sine, cosine, phases: [unit(rng), unit(rng)] }
    }

    /// The part of a pixel that the shape covers, 0 to 1.
    fn cover(&self, shape: Shape, row: usize, column: usize) -> f64 {
        let sample = |pixel: usize, sample: usize, centre: f64| {
            (pixel as f64 + (sample as f64 + 0.5) / SAMPLES as f64 - centre) / self.scale
        };
        let mut inside = 0;
        for (i, j) in (0..SAMPLES * SAMPLES).map(|n| (n / SAMPLES, n % SAMPLES)) {
            let (y, x) = (sample(row, i, self.centre[0]), sample(column, j, self.centre[1]));
            let (v, u) = (self.cosine * y - self.sine * x, self.sine * y + self.cosine * x);
            inside += usize::from(shape.covers(v, u, self.phases));
        }
        inside as f64 / (SAMPLES * SAMPLES) as f64
    }
}
