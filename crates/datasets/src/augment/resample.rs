//! Resizing: each new pixel is the mean of old ones, weighted by a curve. The curve is two pixels wide, four if bicubic, six
//! if Lanczos, on the coarser of the two grids (antialiased).
//!
//! On bytes it equals Pillow's `resize(…, BILINEAR)`, `BICUBIC`, `LANCZOS` and `NEAREST` to the byte: weights have 22 bits, and bytes
//! are written between the two passes. On floats it equals PyTorch's `interpolate(antialias=True)`.

/// The curve that weights pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Interpolation {
    /// A triangle. Pillow: `BILINEAR`.
    #[default]
    Bilinear,
    /// Cubic pieces, partly below 0, which keeps edges sharp (Keys 1981 with a = -0.5). Pillow: `BICUBIC`.
    Bicubic,
    /// A sine curve under another one, three pixels to each side. Pillow: `LANCZOS`.
    Lanczos,
    /// No mean: the old pixel that lies nearest. Pillow: `NEAREST`.
    Nearest,
}

impl Interpolation {
    /// Half of the curve's width, in pixels.
    fn reach(self) -> f64 {
        match self {
            Interpolation::Bilinear => 1.,
            Interpolation::Bicubic => 2.,
            Interpolation::Lanczos => 3.,
            Interpolation::Nearest => 0.5,
        }
    }

    /// The value of the curve at `distance` from its middle.
    fn at(self, distance: f64) -> f64 {
        const A: f64 = -0.5;
        let x = distance.abs();
        match self {
            Interpolation::Bilinear => (1. - x).max(0.),
            Interpolation::Bicubic if x < 1. => ((A + 2.) * x - (A + 3.)) * x * x + 1.,
            Interpolation::Bicubic if x < 2. => (((x - 5.) * x + 8.) * x - 4.) * A,
            Interpolation::Bicubic => 0.,
            Interpolation::Lanczos if x < 3. => sinc(x) * sinc(x / 3.),
            Interpolation::Lanczos => 0.,
            Interpolation::Nearest => f64::from(x <= 0.5),
        }
    }
}

/// The sine of `x` half turns, over `x` half turns.
fn sinc(x: f64) -> f64 {
    let angle = x * std::f64::consts::PI;
    if angle == 0. { 1. } else { angle.sin() / angle }
}

/// A pixel that can be resampled.
pub(crate) trait Pixel: Copy {
    /// The weight of a pixel.
    type Weight: Copy;

    /// A sum of pixels times their weights.
    type Sum: Copy;

    /// The start of a sum.
    const EMPTY: Self::Sum;

    /// The weight for a number of -1 to 1.
    fn weight(weight: f64) -> Self::Weight;

    /// `sum` plus this pixel times `weight`.
    fn added(self, sum: Self::Sum, weight: Self::Weight) -> Self::Sum;

    /// The pixel of a sum whose weights add up to 1.
    fn of(sum: Self::Sum) -> Self;
}

/// Fractional bits of a weight of bytes.
const WEIGHT_BITS: u32 = 22;

impl Pixel for [u8; 3] {
    type Weight = i32;
    type Sum = [i32; 3];

    const EMPTY: [i32; 3] = [1 << (WEIGHT_BITS - 1); 3];

    fn weight(weight: f64) -> i32 {
        (weight * f64::from(1 << WEIGHT_BITS)).round() as i32
    }

    #[inline]
    fn added(self, sum: [i32; 3], weight: i32) -> [i32; 3] {
        std::array::from_fn(|channel| sum[channel] + i32::from(self[channel]) * weight)
    }

    #[inline]
    fn of(sum: [i32; 3]) -> Self {
        sum.map(|channel| (channel >> WEIGHT_BITS).clamp(0, 255) as u8)
    }
}

impl Pixel for [f32; 3] {
    type Weight = f32;
    type Sum = [f32; 3];

    const EMPTY: [f32; 3] = [0.; 3];

    fn weight(weight: f64) -> f32 {
        weight as f32
    }

    #[inline]
    fn added(self, sum: [f32; 3], weight: f32) -> [f32; 3] {
        std::array::from_fn(|channel| sum[channel] + self[channel] * weight)
    }

    #[inline]
    fn of(sum: [f32; 3]) -> Self {
        sum
    }
}

/// The change of images from one size to another.
pub(crate) struct Resize<P: Pixel> {
    rows: Taps<P::Weight>,
    columns: Taps<P::Weight>,
}

impl<P: Pixel> Resize<P> {
    /// From size `from` to size `to`: height and width in pixels, at least 1.
    pub(crate) fn new(from: [usize; 2], to: [usize; 2], interpolation: Interpolation) -> Self {
        let taps = |axis: usize| Taps::new::<P>(from[axis], 0..to[axis], to[axis], interpolation);
        Self { rows: taps(0), columns: taps(1) }
    }

    /// The same, but makes only the window of `size` that starts at `origin`.
    pub(crate) fn window(
        from: [usize; 2],
        to: [usize; 2],
        origin: [usize; 2],
        size: [usize; 2],
        interpolation: Interpolation,
    ) -> Self {
        let taps = |axis: usize| {
            let outputs = origin[axis]..origin[axis] + size[axis];
            Taps::new::<P>(from[axis], outputs, to[axis], interpolation)
        };
        Self { rows: taps(0), columns: taps(1) }
    }

    /// Writes `output`, `[height, width]` of the new size. The image of the old size starts at the start of `input`,
    /// with rows `stride` pixels apart. `between` is a buffer that may be reused.
    pub(crate) fn apply(&self, input: &[P], stride: usize, between: &mut Vec<P>, output: &mut [P]) {
        between.clear();
        // Only the rows that some output needs.
        let above = self.rows.first_input();
        for row in input.chunks(stride).take(self.rows.last_input()).skip(above) {
            between.extend(self.columns.each().map(|(first, weights)| {
                let terms = row[first..first + weights.len()].iter().zip(weights);
                P::of(terms.fold(P::EMPTY, |sum, (pixel, &weight)| pixel.added(sum, weight)))
            }));
        }
        let width = self.columns.spans.len();
        // Row by row, so that the compiler adds neighbours together.
        let mut sums = vec![P::EMPTY; width];
        for (output, (first, weights)) in output.chunks_exact_mut(width).zip(self.rows.each()) {
            sums.fill(P::EMPTY);
            let rows = between[(first - above) * width..].chunks_exact(width);
            for (row, &weight) in rows.zip(weights) {
                for (sum, pixel) in sums.iter_mut().zip(row) {
                    *sum = pixel.added(*sum, weight);
                }
            }
            for (output, &sum) in output.iter_mut().zip(&sums) {
                *output = P::of(sum);
            }
        }
    }
}

/// The old pixels of each new pixel along one axis.
struct Taps<W> {
    /// For each output the first input, and the end of its weights.
    spans: Vec<(usize, usize)>,
    weights: Vec<W>,
}

impl<W> Taps<W> {
    /// The taps of `outputs`, where `inputs` pixels become `size`.
    fn new<P: Pixel<Weight = W>>(
        inputs: usize,
        outputs: std::ops::Range<usize>,
        size: usize,
        interpolation: Interpolation,
    ) -> Self {
        let scale = inputs as f64 / size as f64;
        let stretch = scale.max(1.);
        let support = interpolation.reach() * stretch;
        let (mut spans, mut weights) = (Vec::with_capacity(outputs.len()), Vec::new());
        if interpolation == Interpolation::Nearest {
            // Added up, as Pillow does: where a place falls between two pixels, its rounding decides.
            let places = std::iter::successors(Some(0.5 * scale), |place| Some(place + scale));
            for place in places.skip(outputs.start).take(outputs.len()) {
                spans.push(((place as usize).min(inputs - 1), weights.len() + 1));
                weights.push(P::weight(1.));
            }
            return Self { spans, weights };
        }
        for output in outputs {
            let centre = (output as f64 + 0.5) * scale;
            let first = (centre - support + 0.5).max(0.) as usize;
            let end = ((centre + support + 0.5) as usize).min(inputs);
            let raw =
                |input: usize| interpolation.at((input as f64 - centre + 0.5) * (1. / stretch));
            let sum: f64 = (first..end).map(raw).sum();
            weights.extend((first..end).map(|input| P::weight(raw(input) / sum)));
            spans.push((first, weights.len()));
        }
        Self { spans, weights }
    }

    fn first_input(&self) -> usize {
        self.spans.first().map_or(0, |&(first, _)| first)
    }

    fn last_input(&self) -> usize {
        self.each().last().map_or(0, |(first, weights)| first + weights.len())
    }

    /// For each output the first input and the weights of the inputs from there.
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

    /// Compared with libtorch, for batches of another size.
    #[test]
    fn floats_are_resized_as_pytorch_does() {
        for (from, to) in
            [([32, 32], [24, 24]), ([9, 12], [20, 7]), ([5, 4], [5, 4]), ([8, 3], [1, 1])]
        {
            let pixels: Vec<[f32; 3]> = (0..from[0] * from[1])
                .map(|n| [0., 1., 2.].map(|channel: f32| (n as f32 * 0.7 + channel).sin()))
                .collect();
            let mut ours = vec![[f32::NAN; 3]; to[0] * to[1]];
            let resize = Resize::new(from, to, Interpolation::Bilinear);
            resize.apply(&pixels, from[1], &mut Vec::new(), &mut ours);

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
    fn the_same_size_is_the_same_image() {
        let pixels: Vec<[f32; 3]> = (0..20).map(|n| [0.1, 7., -3.].map(|c| c * n as f32)).collect();
        let mut copy = vec![[0.; 3]; 20];
        for interpolation in
            [Interpolation::Bilinear, Interpolation::Bicubic, Interpolation::Nearest]
        {
            let resize = Resize::new([4, 5], [4, 5], interpolation);
            resize.apply(&pixels, 5, &mut Vec::new(), &mut copy);
            assert_eq!(copy, pixels);
        }
    }

    #[test]
    fn a_window_is_cut_from_the_whole() {
        let pixels: Vec<[u8; 3]> = (0..90).map(|n| [n, n * 2, 255 - n * 2]).collect();
        for interpolation in [Interpolation::Bilinear, Interpolation::Bicubic] {
            for to in [[4, 5], [13, 21]] {
                let mut whole = vec![[0; 3]; to[0] * to[1]];
                let resize = Resize::new([9, 10], to, interpolation);
                resize.apply(&pixels, 10, &mut Vec::new(), &mut whole);
                let mut window = vec![[0; 3]; 6];
                let resize = Resize::window([9, 10], to, [2, 1], [2, 3], interpolation);
                resize.apply(&pixels, 10, &mut Vec::new(), &mut window);
                for (row, window) in window.chunks(3).enumerate() {
                    assert_eq!(window, &whole[(2 + row) * to[1] + 1..][..3], "{to:?}");
                }
            }
        }
    }
}
