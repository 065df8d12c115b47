//! What happens to a product's sums on their way out: shift, residual, ReLU.

use std::ops::Range;

use super::kernel::LINE;
use crate::parallel::Shared;
use crate::simd::{Element, Kernel, Simd};

/// One block of columns of one tile of pixels.
pub(crate) struct Finish<E: Element> {
    /// What is added to each column, filled up to whole vectors.
    pub(crate) bias: *const f32,
    /// A map of the output's shape that is added.
    pub(crate) residual: Option<Shared<E>>,
    pub(crate) residual_relu: bool,
    pub(crate) relu: bool,
    /// The tile's first pixel at the block's first column.
    pub(crate) to: Shared<E>,
    /// The place of that number in the whole map.
    pub(crate) first: usize,
    /// Columns that exist.
    pub(crate) columns: usize,
    /// Numbers between two pixels.
    pub(crate) c_out: usize,
}

impl<E: Element> Finish<E> {
    /// Nothing but a bias: sums go to the rows from `row` on, and the columns `columns`, of a matrix that is `c_out`
    /// wide and starts at `matrix`.
    pub(crate) fn plain(
        matrix: Shared<E>,
        c_out: usize,
        row: usize,
        columns: Range<usize>,
        bias: &[f32],
    ) -> Self {
        let first = row * c_out + columns.start;
        Self {
            bias: bias.as_ptr(),
            residual: None,
            residual_relu: false,
            relu: false,
            to: Shared(matrix.0.wrapping_add(first)),
            first,
            columns: columns.len(),
            c_out,
        }
    }
}

impl<E: Element<Number = f32>> Finish<E> {
    /// Asks for what the `count` columns from `c` on of the tile's `pixel` are written over, and for what is added to
    /// them, to be there when the sums are.
    #[inline(always)]
    pub(super) fn ask<S: Simd<E>>(&self, pixel: usize, c: usize, count: usize) {
        let at = pixel * self.c_out + c;
        for line in (0..count * size_of::<E>()).step_by(LINE) {
            S::prefetch_to_write(self.to.0.wrapping_add(at).wrapping_byte_add(line).cast());
            if let Some(residual) = self.residual {
                let from = residual.0.wrapping_add(self.first + at);
                S::prefetch(from.wrapping_byte_add(line).cast());
            }
        }
    }

    /// Finishes the sums of columns `c` and on of the tile's `pixel`.
    ///
    /// # Safety
    /// The pixel belongs to the tile, and the column to the block's vectors.
    #[inline(always)]
    pub(crate) unsafe fn put<S: Simd<E>>(&self, pixel: usize, c: usize, sum: S::Vector) {
        let Some(columns) = self.columns.checked_sub(c).filter(|&columns| columns > 0) else {
            return;
        };
        let (span, at) = (S::span(columns), pixel * self.c_out + c);
        // SAFETY: the caller's.
        unsafe {
            let mut y = S::add(sum, S::load_numbers(self.bias.add(c), span));
            if let Some(residual) = self.residual {
                let x = S::load(residual.0.add(self.first + at), span);
                y = S::add(y, if self.residual_relu { S::relu(x) } else { x });
            }
            S::store(self.to.0.add(at), span, if self.relu { S::relu(y) } else { y });
        }
    }
}

/// Finishes sums that lie in memory, `[pixels, width]`.
pub(crate) struct Sums<E: Element> {
    pub(crate) sums: Shared<f32>,
    pub(crate) width: usize,
    pub(crate) pixels: usize,
    pub(crate) finish: Finish<E>,
}

// SAFETY: sums, bias and outputs have the sizes that the fields say.
unsafe impl<E: Element<Number = f32>> Kernel<E> for Sums<E> {
    #[inline(always)]
    unsafe fn run<S: Simd<E>>(self) {
        for pixel in 0..self.pixels {
            for c in (0..self.width).step_by(S::LANES) {
                // SAFETY: the sums have these sizes.
                unsafe {
                    let at = self.sums.0.add(pixel * self.width + c);
                    let sum = S::load_numbers(at, S::span(S::LANES));
                    self.finish.put::<S>(pixel, c, sum);
                }
            }
        }
    }
}
