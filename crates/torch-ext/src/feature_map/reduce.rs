//! Sums over all pixels, channel by channel: batch statistics, and what the gradient of a normalisation needs.
//!
//! Sums are built in fp32 over a few dozen pixels, those over a piece of the map, and the pieces in fp64. The pieces
//! are the same however many threads there are, so the sums are too.

use std::ops::Range;

use tch::Tensor;

use super::{FeatureMap, GradientSums, Prologue, backward_of_masked};
use crate::nhwc::{Nhwc, elements};
use crate::parallel::{Shared, for_each, piece};
use crate::simd::{Element, Kernel, Number, Simd};

/// Pieces that `pixels` are cut into where sums are formed: enough for the threads of a large machine, and few enough
/// that adding them up costs little beside forming them. A matter of the map's size alone.
fn pieces_of(pixels: usize) -> usize {
    (pixels / 64).clamp(2, 64).min(pixels)
}

/// Bytes that are walked channel vector by channel vector, so that they had better stay in the first-level cache.
const BAND: usize = 16 << 10;

/// Mean and biased variance of each channel.
pub(super) fn moments<E: Element>(xs: &Tensor, sizes: Nhwc) -> (Vec<f64>, Vec<f64>) {
    let (values, pixels, c) = (elements::<E>(xs), sizes.pixels(), sizes.c);
    // Deviations are counted from the first pixel: sums of squares of raw values lose the variance of a map that
    // lies far from zero.
    let pivot = vec![E::Number::default(); c];
    let pivot = if pixels == 0 { pivot } else { first_pixel::<E>(values, c) };
    let pivot_numbers = Shared(pivot.as_ptr().cast_mut());
    let [sums, squares] = sums(pixels, c, |range, [sums, squares]| {
        E::run(Deviations::<E> { values, pivot: pivot_numbers, c, range, sums, squares });
    });
    let count = pixels.max(1) as f64;
    let mut mean = Vec::with_capacity(c);
    let mut variance = Vec::with_capacity(c);
    for ((sum, square), pivot) in sums.iter().zip(&squares).zip(&pivot) {
        let deviation = sum / count;
        mean.push(pivot.to_f64() + deviation);
        variance.push((square / count - deviation * deviation).max(0.0));
    }
    (mean, variance)
}

fn first_pixel<E: Element>(values: Shared<E>, c: usize) -> Vec<E::Number> {
    let mut pixel = vec![E::Number::default(); c];
    let numbers = Shared(pixel.as_mut_ptr());
    E::run(Widen { from: values, to: numbers, c });
    pixel
}

struct Widen<E: Element> {
    from: Shared<E>,
    to: Shared<E::Number>,
    c: usize,
}

impl<E: Element> Kernel<E> for Widen<E> {
    #[inline(always)]
    unsafe fn run<S: Simd<E>>(self) {
        for c in (0..self.c).step_by(S::LANES) {
            let span = S::span(self.c - c);
            // SAFETY: `c` channels lie behind both pointers.
            unsafe { S::store_numbers(self.to.0.add(c), span, S::load(self.from.0.add(c), span)) };
        }
    }
}

/// Calls `kernel` for each piece of the pixels with `K` rows of `c` zeros to add to; returns the totals.
fn sums<N: Number, const K: usize>(
    pixels: usize,
    c: usize,
    kernel: impl Fn(Range<usize>, [Shared<N>; K]) + Sync,
) -> [Vec<f64>; K] {
    let totals = sums_of_pieces(pixels, pieces_of(pixels), [K, c], |range, sums: Shared<N>| {
        // SAFETY: K rows of `c` sums.
        kernel(range, std::array::from_fn(|k| unsafe { sums.offset(k * c) }));
    });
    totals.try_into().expect("as many totals as rows of sums")
}

/// As [`sums`], for a kernel that walks whole rows of the images and keeps `sum_rows` rows of sums.
pub(crate) fn sums_by_row<N: Number>(
    sizes: Nhwc,
    sum_rows: usize,
    kernel: impl Fn(Range<usize>, Shared<N>) + Sync,
) -> Vec<Vec<f64>> {
    let pieces = pieces_of(sizes.pixels()).min(sizes.rows());
    sums_of_pieces(sizes.rows(), pieces, [sum_rows, sizes.c], kernel)
}

/// The gradients in a map's inputs, from a kernel that writes the one in what the map resolves to.
///
/// `kernel` is given rows of the map, where to write all of their pixels, and what becomes of each gradient first.
pub(crate) fn gradients_by_row<E: Element>(
    map: &FeatureMap,
    kernel: impl Fn(Range<usize>, Shared<E>, IntoMap<E>) + Sync,
) -> Vec<Option<Tensor>> {
    let sizes = Nhwc::of(&map.values);
    let gradient = sizes.empty(&map.values);
    let (to, mean, relu) = (elements::<E>(&gradient), map.mean(), map.relu);
    let totals = sums_by_row(sizes, 2, |rows, sums| {
        kernel(rows, to, IntoMap { relu, mean, sums, channels: sizes.c });
    });
    let sums = mean.map(|_| GradientSums::of(totals));
    backward_of_masked::<E>(map, gradient, sums.as_ref())
}

/// The totals, row by row, of what `kernel` adds to each piece's own `[rows, c]` sums.
fn sums_of_pieces<N: Number>(
    items: usize,
    pieces: usize,
    [rows, c]: [usize; 2],
    kernel: impl Fn(Range<usize>, Shared<N>) + Sync,
) -> Vec<Vec<f64>> {
    let mut partial = vec![N::default(); pieces * rows * c];
    let sums = Shared(partial.as_mut_ptr());
    for_each(pieces, &|index| {
        // SAFETY: each piece has sums of its own.
        kernel(piece(items, pieces, index), unsafe { sums.offset(index * rows * c) });
    });
    let total = |row: usize| {
        let mut total = vec![0.0; c];
        for index in 0..pieces {
            let part = &partial[(index * rows + row) * c..][..c];
            total.iter_mut().zip(part).for_each(|(sum, number)| *sum += number.to_f64());
        }
        total
    };
    (0..rows).map(total).collect()
}

/// Adds the deviations from `pivot` and their squares over `range`.
struct Deviations<E: Element> {
    values: Shared<E>,
    pivot: Shared<E::Number>,
    c: usize,
    range: Range<usize>,
    sums: Shared<E::Number>,
    squares: Shared<E::Number>,
}

impl<E: Element> Kernel<E> for Deviations<E> {
    #[inline(always)]
    unsafe fn run<S: Simd<E>>(self) {
        let Self { values, pivot, c: channels, range, sums, squares } = self;
        for band in bands::<E>(range, channels) {
            for c in (0..channels).step_by(S::LANES) {
                let span = S::span(channels - c);
                // SAFETY: pixels of the map, and `channels` numbers in each row of sums.
                unsafe {
                    let pivot = S::load_numbers(pivot.0.add(c), span);
                    let (mut sum, mut square) = (S::zero(), S::zero());
                    for pixel in band.clone() {
                        let x = S::load(values.0.add(pixel * channels + c), span);
                        let deviation = S::sub(x, pivot);
                        sum = S::add(sum, deviation);
                        square = S::fma(deviation, deviation, square);
                    }
                    add_to::<E, S>(sums.0.add(c), span, sum);
                    add_to::<E, S>(squares.0.add(c), span, square);
                }
            }
        }
    }
}

/// Adds a band's sum to its piece's. Sums of sums lose fewer digits than one long sum.
///
/// # Safety
/// The span's numbers lie at `at`, and the CPU has the instructions of `S`.
#[inline(always)]
pub(crate) unsafe fn add_to<E: Element, S: Simd<E>>(
    at: *mut E::Number,
    span: S::Span,
    sum: S::Vector,
) {
    // SAFETY: the caller's.
    unsafe { S::store_numbers(at, span, S::add(S::load_numbers(at, span), sum)) }
}

/// What becomes of a gradient on its way into the map that a kernel read.
pub(crate) struct IntoMap<E: Element> {
    pub(crate) relu: bool,
    /// Of the values, where they are normalised: the gradient and its product with the centred value are added up.
    pub(crate) mean: Option<Shared<E::Number>>,
    /// Both sums, `[2, C]`.
    pub(crate) sums: Shared<E::Number>,
    pub(crate) channels: usize,
}

impl<E: Element> IntoMap<E> {
    /// `g` cut off at the ReLU, added to the sums. `raw` is the value as stored, `x` what the kernel made of it.
    ///
    /// # Safety
    /// The span at channel `c` lies within the map's channels, and the CPU has the instructions of `S`.
    #[inline(always)]
    pub(crate) unsafe fn pass<S: Simd<E>>(
        &self,
        g: S::Vector,
        [raw, x]: [S::Vector; 2],
        c: usize,
        span: S::Span,
    ) -> S::Vector {
        // SAFETY: the caller's.
        unsafe {
            // What the ReLU left is positive where the value ahead of it was.
            let g = if self.relu { S::where_positive(x, g) } else { g };
            if let Some(mean) = self.mean {
                let centred = S::sub(raw, S::load_numbers(mean.0.add(c), span));
                add_to::<E, S>(self.sums.0.add(c), span, g);
                add_to::<E, S>(self.sums.0.add(self.channels + c), span, S::mul(g, centred));
            }
            g
        }
    }
}

/// Cuts `range` into runs of pixels that fit a cache.
fn bands<E: Element>(range: Range<usize>, channels: usize) -> impl Iterator<Item = Range<usize>> {
    let step = (BAND / (channels * size_of::<E>()).max(1)).max(4);
    let end = range.end;
    range.step_by(step).map(move |start| start..(start + step).min(end))
}

/// The sums of `gradient`, cut off at the map's ReLU, and of its product with the centred values.
pub(super) fn gradient_sums<E: Element>(
    map: &FeatureMap,
    gradient: &Tensor,
    sizes: Nhwc,
) -> GradientSums {
    let mean = map.mean().expect("only a normalisation needs sums");
    let (values, gradients) = (elements::<E>(&map.values), elements::<E>(gradient));
    let prologue = map.prologue::<E>();
    let [gradient, product] = sums(sizes.pixels(), sizes.c, |range, [sums, products]| {
        let c = sizes.c;
        E::run(Products::<E> { values, gradients, mean, prologue, c, range, sums, products });
    });
    GradientSums { gradient, product }
}

struct Products<E: Element> {
    values: Shared<E>,
    gradients: Shared<E>,
    mean: Shared<E::Number>,
    prologue: Prologue<E::Number>,
    c: usize,
    range: Range<usize>,
    sums: Shared<E::Number>,
    products: Shared<E::Number>,
}

impl<E: Element> Kernel<E> for Products<E> {
    #[inline(always)]
    unsafe fn run<S: Simd<E>>(self) {
        let Self { values, gradients, mean, prologue, c: channels, range, sums, products } = self;
        let (scale, shift) = prologue.affine.expect("a normalisation has a scale");
        for band in bands::<E>(range, channels) {
            for c in (0..channels).step_by(S::LANES) {
                let span = S::span(channels - c);
                // SAFETY: pixels of both maps, and `channels` numbers in each row of sums.
                unsafe {
                    let mean = S::load_numbers(mean.0.add(c), span);
                    let scale = S::load_numbers(scale.0.add(c), span);
                    let shift = S::load_numbers(shift.0.add(c), span);
                    let (mut sum, mut product) = (S::zero(), S::zero());
                    for pixel in band.clone() {
                        let at = pixel * channels + c;
                        let x = S::load(values.0.add(at), span);
                        let mut g = S::load(gradients.0.add(at), span);
                        if prologue.relu {
                            g = S::where_positive(S::fma(x, scale, shift), g);
                        }
                        sum = S::add(sum, g);
                        product = S::fma(g, S::sub(x, mean), product);
                    }
                    add_to::<E, S>(sums.0.add(c), span, sum);
                    add_to::<E, S>(products.0.add(c), span, product);
                }
            }
        }
    }
}
