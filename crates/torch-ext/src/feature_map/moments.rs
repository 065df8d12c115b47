//! Mean and variance of a batch, channel by channel.

use std::ops::Range;

use tch::Tensor;

use super::sums::{add_to, bands, sums};
use crate::simd::{Element, Kernel, Number, Simd};
use crate::view::View;

/// Mean and biased variance of each channel of `xs`, which is laid out; zeros of an empty map.
pub(super) fn moments<E: Element>(xs: &Tensor) -> (Vec<f64>, Vec<f64>) {
    let values = View::<E>::of(xs);
    let (pixels, c) = (values.sizes().pixels(), values.sizes().c);
    // Deviations are counted from the first pixel: sums of squares of raw values lose the variance of a map that
    // lies far from zero.
    let mut pivot = vec![E::Number::default(); c];
    if pixels > 0 {
        E::run(FirstPixel::<E>::new(values, &mut pivot));
    }
    let [sums, squares] = sums(pixels, c, |range, [sums, squares]| {
        E::run(Deviations::<E>::new(values, &pivot, range, sums, squares));
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

/// The first pixel of a map, in the type that the kernels compute in.
struct FirstPixel<'a, E: Element> {
    from: View<'a, E>,
    to: &'a mut [E::Number],
}

impl<'a, E: Element> FirstPixel<'a, E> {
    fn new(from: View<'a, E>, to: &'a mut [E::Number]) -> Self {
        let sizes = from.sizes();
        assert!(sizes.pixels() > 0 && to.len() == sizes.c, "expected a pixel of {sizes:?}");
        Self { from, to }
    }
}

// SAFETY: `new` has found a pixel, and as many places as its channels.
unsafe impl<E: Element> Kernel<E> for FirstPixel<'_, E> {
    #[inline(always)]
    unsafe fn run<S: Simd<E>>(self) {
        let (from, to, channels) = (self.from.start(), self.to.as_mut_ptr(), self.to.len());
        for c in (0..channels).step_by(S::LANES) {
            let span = S::span(channels - c);
            // SAFETY: the CPU has the instructions; the span ends with the channels.
            unsafe { S::store_numbers(to.add(c), span, S::load(from.add(c), span)) };
        }
    }
}

/// Adds the deviations from `pivot` and their squares over `range`.
struct Deviations<'a, E: Element> {
    values: View<'a, E>,
    pivot: &'a [E::Number],
    range: Range<usize>,
    sums: &'a mut [E::Number],
    squares: &'a mut [E::Number],
}

impl<'a, E: Element> Deviations<'a, E> {
    fn new(
        values: View<'a, E>,
        pivot: &'a [E::Number],
        range: Range<usize>,
        sums: &'a mut [E::Number],
        squares: &'a mut [E::Number],
    ) -> Self {
        let sizes = values.sizes();
        assert!(
            range.end <= sizes.pixels() && [pivot.len(), sums.len(), squares.len()] == [sizes.c; 3],
            "expected a number for each of {} channels",
            sizes.c
        );
        Self { values, pivot, range, sums, squares }
    }
}

// SAFETY: `new` has compared the pixels and channels of all lists.
unsafe impl<E: Element> Kernel<E> for Deviations<'_, E> {
    #[inline(always)]
    unsafe fn run<S: Simd<E>>(self) {
        let Self { values, pivot, range, sums, squares } = self;
        let (channels, values, pivot) = (pivot.len(), values.start(), pivot.as_ptr());
        let (sums, squares) = (sums.as_mut_ptr(), squares.as_mut_ptr());
        for band in bands::<E>(range, channels) {
            for c in (0..channels).step_by(S::LANES) {
                let span = S::span(channels - c);
                // SAFETY: the CPU has the instructions; pixels are of the range, and the span ends with the channels.
                unsafe {
                    let pivot = S::load_numbers(pivot.add(c), span);
                    let (mut sum, mut square) = (S::zero(), S::zero());
                    for pixel in band.clone() {
                        let x = S::load(values.add(pixel * channels + c), span);
                        let deviation = S::sub(x, pivot);
                        sum = S::add(sum, deviation);
                        square = S::fma(deviation, deviation, square);
                    }
                    add_to::<E, S>(sums.add(c), span, sum);
                    add_to::<E, S>(squares.add(c), span, square);
                }
            }
        }
    }
}
