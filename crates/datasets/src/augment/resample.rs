//! Pictures of another size: bilinear, and where pixels come together the mean of all of them under
//! the same triangle (antialiased).
//!
//! Bytes as Pillow's `resize(…, BILINEAR)` to the byte, whose weights are of 22 bits and which writes
//! bytes between its two passes; floats as PyTorch's `interpolate(mode="bilinear", antialias=True)`.

/// What is resampled.
pub(crate) trait Pixel: Copy {
    /// What it is weighted by.
    type Weight: Copy;

    /// `weight` of 0 to 1 as such.
    fn weight(weight: f64) -> Self::Weight;

    /// The sum of pixels times their weights, which add up to 1.
    fn weighted(terms: impl Iterator<Item = (Self, Self::Weight)>) -> Self;
}

/// Bits of a weight of bytes.
const WEIGHT_BITS: u32 = 22;

impl Pixel for [u8; 3] {
    type Weight = i32;

    fn weight(weight: f64) -> i32 {
        (weight * f64::from(1 << WEIGHT_BITS) + 0.5) as i32
    }

    fn weighted(terms: impl Iterator<Item = (Self, i32)>) -> Self {
        let half = [1 << (WEIGHT_BITS - 1); 3];
        let sum = terms.fold(half, |sum, (pixel, weight)| {
            std::array::from_fn(|channel| sum[channel] + i32::from(pixel[channel]) * weight)
        });
        sum.map(|channel| (channel >> WEIGHT_BITS).min(255) as u8)
    }
}

impl Pixel for [f32; 3] {
    type Weight = f32;

    fn weight(weight: f64) -> f32 {
        weight as f32
    }

    fn weighted(terms: impl Iterator<Item = (Self, f32)>) -> Self {
        terms.fold([0.; 3], |sum, (pixel, weight)| {
            std::array::from_fn(|channel| sum[channel] + pixel[channel] * weight)
        })
    }
}

/// From one size to another.
pub(crate) struct Resize<P: Pixel> {
    rows: Taps<P::Weight>,
    columns: Taps<P::Weight>,
}

impl<P: Pixel> Resize<P> {
    /// Sizes are height and width in pixels, 1 or more.
    pub(crate) fn new(from: [usize; 2], to: [usize; 2]) -> Self {
        Self { rows: Taps::new::<P>(from[0], to[0]), columns: Taps::new::<P>(from[1], to[1]) }
    }

    /// Writes to `output`, `[height, width]` of the new size, the picture of the old size that `input`
    /// begins with, whose rows begin `stride` pixels apart. `between` is room.
    pub(crate) fn apply(&self, input: &[P], stride: usize, between: &mut Vec<P>, output: &mut [P]) {
        between.clear();
        for row in input.chunks(stride).take(self.rows.inputs) {
            between.extend(self.columns.each().map(|(first, weights)| {
                P::weighted(row[first..].iter().copied().zip(weights.iter().copied()))
            }));
        }
        let width = self.columns.spans.len();
        for (output, (first, weights)) in output.chunks_exact_mut(width).zip(self.rows.each()) {
            for (column, output) in output.iter_mut().enumerate() {
                let pixels = between[first * width + column..].iter().step_by(width).copied();
                *output = P::weighted(pixels.zip(weights.iter().copied()));
            }
        }
    }
}

/// Along one axis, which pixels each new one is made of.
struct Taps<W> {
    inputs: usize,
    /// For each output the first input, and where its weights end.
    spans: Vec<(usize, usize)>,
    weights: Vec<W>,
}

impl<W> Taps<W> {
    fn new<P: Pixel<Weight = W>>(inputs: usize, outputs: usize) -> Self {
        let scale = inputs as f64 / outputs as f64;
        // Half the triangle's base: two pixels of whichever grid is the coarser meet under it.
        let support = scale.max(1.);
        let (mut spans, mut weights) = (Vec::with_capacity(outputs), Vec::new());
        for output in 0..outputs {
            let centre = (output as f64 + 0.5) * scale;
            let first = (centre - support + 0.5).max(0.) as usize;
            let end = ((centre + support + 0.5) as usize).min(inputs);
            let raw = |input: usize| {
                (1. - ((input as f64 - centre + 0.5) * (1. / support)).abs()).max(0.)
            };
            let sum: f64 = (first..end).map(raw).sum();
            weights.extend((first..end).map(|input| P::weight(raw(input) / sum)));
            spans.push((first, weights.len()));
        }
        Self { inputs, spans, weights }
    }

    /// For each output the first input and the weights from there on.
    fn each(&self) -> impl Iterator<Item = (usize, &[W])> {
        self.spans.iter().scan(0, |start, &(first, end)| {
            let weights = &self.weights[*start..end];
            *start = end;
            Some((first, weights))
        })
    }
}

#[cfg(test)]
mod tests {
    use tch::{Kind, Tensor};

    use super::*;

    /// Against libtorch, for batches of another size.
    #[test]
    fn floats_are_resized_as_pytorch_does() {
        for (from, to) in
            [([32, 32], [24, 24]), ([9, 12], [20, 7]), ([5, 4], [5, 4]), ([8, 3], [1, 1])]
        {
            let pixels: Vec<[f32; 3]> = (0..from[0] * from[1])
                .map(|n| [0., 1., 2.].map(|channel: f32| (n as f32 * 0.7 + channel).sin()))
                .collect();
            let mut ours = vec![[f32::NAN; 3]; to[0] * to[1]];
            Resize::new(from, to).apply(&pixels, from[1], &mut Vec::new(), &mut ours);

            let image = Tensor::from_slice(pixels.as_flattened())
                .view([1, from[0] as i64, from[1] as i64, 3])
                .permute([0, 3, 1, 2]);
            let theirs = image
                .internal_upsample_bilinear2d_aa(to.map(|size| size as i64), false, None, None)
                .permute([0, 2, 3, 1]);
            let ours = Tensor::from_slice(ours.as_flattened()).view_as(&theirs);
            let error = (ours - theirs).abs().max().to_kind(Kind::Double).double_value(&[]);
            assert!(error < 1e-6, "{from:?} to {to:?}: {error}");
        }
    }

    #[test]
    fn the_same_size_is_the_same_picture() {
        let pixels: Vec<[f32; 3]> = (0..20).map(|n| [0.1, 7., -3.].map(|c| c * n as f32)).collect();
        let mut copy = vec![[0.; 3]; 20];
        Resize::new([4, 5], [4, 5]).apply(&pixels, 5, &mut Vec::new(), &mut copy);
        assert_eq!(copy, pixels);
    }
}
