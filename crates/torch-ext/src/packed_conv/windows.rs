//! The factors of a convolution that mixes channels and pixels: the windows of the image, one in a row.

use std::marker::PhantomData;
use std::ops::Range;

use crate::depthwise::Plan;
use crate::simd::{Element, Kernel, Simd};
use crate::view::View;

/// Lays out the windows of the image, one in a row: tap by tap the channels of a pixel.
pub(super) struct Windows<'a, E: Element> {
    values: View<'a, E>,
    /// `k` numbers for each pixel, or elements.
    rows: *mut f32,
    relu: bool,
    plan: Plan,
    pixels: Range<usize>,
    k: usize,
    widen: bool,
    room: PhantomData<&'a mut [f32]>,
}

impl<'a, E: Element<Number = f32>> Windows<'a, E> {
    /// Fills `rows`, a row of `k` factors for each of the output pixels `pixels`: numbers with `widen`, elements
    /// otherwise, with `relu` after a ReLU.
    ///
    /// # Panics
    /// Where map or rows do not have the sizes of `plan`.
    pub(super) fn new(
        values: View<'a, E>,
        rows: &'a mut [f32],
        relu: bool,
        plan: &Plan,
        pixels: Range<usize>,
        k: usize,
        widen: bool,
    ) -> Self {
        let Plan { input, output, kernel: [kh, kw], .. } = *plan;
        let factor = if widen { size_of::<f32>() } else { size_of::<E>() };
        assert!(
            values.sizes() == input
                && output.n == input.n
                && pixels.end <= output.pixels()
                && kh * kw * input.c <= k
                && pixels.len() * k * factor <= size_of_val(rows),
            "expected a map and {} rows of {k} factors for {plan:?}, got {:?} and {} lanes",
            pixels.len(),
            values.sizes(),
            rows.len()
        );
        let rows = rows.as_mut_ptr();
        Self { values, rows, relu, plan: *plan, pixels, k, widen, room: PhantomData }
    }

    /// Copies `count` numbers from `from`, or zeros, to the rows at `at`.
    ///
    /// # Safety
    /// The CPU has the instructions of `S`, the numbers can be read, and the rows have as many factors from `at` on.
    #[inline(always)]
    unsafe fn copy<S: Simd<E>>(&self, from: Option<*const E>, at: usize, count: usize) {
        for c in (0..count).step_by(S::LANES) {
            let span = S::span(count - c);
            // SAFETY: the caller has the instructions; the span ends with the numbers on both sides.
            unsafe {
                let x = match from {
                    Some(from) => S::load(from.add(c), span),
                    None => S::zero(),
                };
                let x = if self.relu { S::relu(x) } else { x };
                if self.widen {
                    S::store_numbers(self.rows.add(at + c), span, x);
                } else {
                    S::store(self.rows.cast::<E>().add(at + c), span, x);
                }
            }
        }
    }
}

// SAFETY: `new` has compared map and rows with the plan; of windows that leave the image zeros are stored.
unsafe impl<E: Element<Number = f32>> Kernel<E> for Windows<'_, E> {
    #[inline(always)]
    unsafe fn run<S: Simd<E>>(self) {
        let Plan { input, output, kernel, stride, padding, dilation } = self.plan;
        let channels = input.c;
        for (index, pixel) in self.pixels.clone().enumerate() {
            let (row, ow) = (pixel / output.w, pixel % output.w);
            let (n, oh) = (row / output.h, row % output.h);
            let left = (ow * stride[1]).wrapping_sub(padding[1]);
            let mut at = index * self.k;
            for r in 0..kernel[0] {
                let ih = (oh * stride[0] + r * dilation[0]).wrapping_sub(padding[0]);
                let line = (n * input.h).wrapping_add(ih).wrapping_mul(input.w);
                // The taps of a line are neighbours in the image too, unless they are dilated or at its edge.
                let together = dilation[1] == 1 && left < input.w && left + kernel[1] <= input.w;
                let (runs, pixels) = if together { (1, kernel[1]) } else { (kernel[1], 1) };
                for q in 0..runs {
                    let iw = left.wrapping_add(q * dilation[1]);
                    let inside = ih < input.h && iw < input.w;
                    // SAFETY: the caller has the instructions; the pixels lie inside the map or are not read; the row of
                    // the tile has room for every tap's channels.
                    unsafe {
                        let from = inside.then(|| self.values.start().add((line + iw) * channels));
                        self.copy::<S>(from, at, pixels * channels);
                    }
                    at += pixels * channels;
                }
            }
            // bf16 rows are filled up to an even length. The weight there is zero, and must meet a number.
            // SAFETY: the caller has the instructions, and the rest of the pixel's row is left.
            unsafe { self.copy::<S>(None, at, (index + 1) * self.k - at) };
        }
    }
}
