//! Sums over all pixels, channel by channel: batch statistics, and what the gradient of a normalisation needs.
//!
//! Sums are built in fp32 over a few dozen pixels, those over a piece of the map, and the pieces in fp64. The pieces
//! are the same however many threads there are, so the sums are too.

use std::ops::Range;

use tch::Tensor;

use super::{FeatureMap, GradientSums, Prologue};
use crate::nhwc::{Nhwc, elements};
use crate::parallel::{Shared, for_each, piece};
use crate::simd::{Element, Kernel, Number, Simd};

/// Pieces that `pixels` are cut into where sums are formed: enough for the threads of a large machine, and few enough
/// that adding them up costs little beside forming them. A matter of the map's size alone.
pub(crate) fn pieces_of(pixels: usize) -> usize {
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
    let pieces = pieces_of(pixels);
    let mut partial = vec![N::default(); pieces * K * c];
    let base = Shared(partial.as_mut_ptr());
    for_each(pieces, &|index| {
        // SAFETY: each piece has K rows of its own.
        let rows = std::array::from_fn(|k| unsafe { base.offset((index * K + k) * c) });
        kernel(piece(pixels, pieces, index), rows);
    });
    std::array::from_fn(|k| total(&partial, pieces, K * c, k * c, c))
}

/// The sums over pieces of the `c` numbers at `offset` in each piece's `stride`.
pub(crate) fn total<N: Number>(
    partial: &[N],
    pieces: usize,
    stride: usize,
    offset: usize,
    c: usize,
) -> Vec<f64> {
    let mut total = vec![0.0; c];
    for index in 0..pieces {
        let row = &partial[index * stride + offset..][..c];
        total.iter_mut().zip(row).for_each(|(sum, number)| *sum += number.to_f64());
    }
    total
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
