//! The product that is summed over the pixels: the gradient in the weights.
//!
//! Both sides are laid out, some of the pixels at a time, and their product is added to that of the earlier ones. A
//! panel of rows serves all columns, so the rows of the weights are shared out first.

use std::ops::Range;

use tch::Tensor;

use super::blocks::{Blocks, NewMatrix};
use super::panel::Scheme;
use super::{BLOCK, FEWEST, Finish, PANELS, PIECES, Product, Rows, Sizes, Trained, VECTOR, map_of};
use crate::parallel::{piece, share_out};

/// Pixels that are summed over in registers: so many pixels' factors stay in the cache.
const DEPTH: usize = 256;

static NO_BIAS: [f32; BLOCK] = [0.0; BLOCK];

/// `ysᵀ * xs: [columns, k]`, fp32: the gradient in the weights, given the gradient `ys` in the product and the factors
/// `xs`, both laid-out maps of `E` whose pixels are the rows.
///
/// # Panics
/// Where a map does not have the `sizes`.
pub(crate) fn weight_gradient<E: Trained>(sizes: Sizes, ys: &Tensor, xs: &Tensor) -> Tensor {
    let Sizes { rows: pixels, k, columns } = sizes;
    let mut ws = NewMatrix::empty(columns, k);
    let gradient = WeightGradient::<E> {
        pixels,
        ys: map_of(ys, pixels, columns),
        columns,
        xs: map_of(xs, pixels, k),
        k,
        to: Blocks::new(ws.memory(), k),
    };
    let blocks = k.div_ceil(BLOCK);
    let pieces = tch::get_num_threads().max(1) as usize * PIECES;
    let row_parts = pieces.min(columns.div_ceil(FEWEST)).max(1);
    let block_parts = pieces.div_ceil(row_parts).min(blocks);
    share_out(row_parts * block_parts, &|tasks| {
        PANELS.with_borrow_mut(|panels| {
            for task in tasks {
                let rows = piece(columns, row_parts, task / block_parts);
                let blocks = piece(blocks, block_parts, task % block_parts);
                // SAFETY: no other task has these rows and these blocks.
                unsafe { gradient.part(rows, blocks, panels) };
            }
        });
    });
    ws.into_tensor()
}

struct WeightGradient<'a, E> {
    pixels: usize,
    /// `[pixels, columns]`
    ys: &'a [E],
    columns: usize,
    /// `[pixels, k]`
    xs: &'a [E],
    k: usize,
    /// `[columns, k]`
    to: Blocks<'a, f32>,
}

impl<E: Trained> WeightGradient<'_, E> {
    /// Some rows of the weights, and some blocks of their columns.
    ///
    /// # Safety
    /// No other thread has the same elements of the weights.
    unsafe fn part(&self, rows: Range<usize>, blocks: Range<usize>, panels: &mut [Vec<f32>; 2]) {
        let Self { pixels, ys, columns, xs, k, ref to } = *self;
        let width = rows.len().next_multiple_of(VECTOR);
        let most = DEPTH.div_ceil(E::Factors::NUMBERS);
        for (panel, width) in panels.iter_mut().zip([width, BLOCK]) {
            panel.resize(panel.len().max(most * width), 0.0);
        }
        let [row_panel, panel] = panels;
        // The sum over no pixels is zero, and must be stored as well.
        for first in (0..pixels.max(1)).step_by(DEPTH) {
            let depth = DEPTH.min(pixels - first);
            let factors = depth.div_ceil(E::Factors::NUMBERS);
            let from = rest(ys, first * columns + rows.start);
            E::Factors::fill_from_rows(from, columns, [depth, rows.len()], row_panel);
            for block in blocks.clone() {
                let range = block * BLOCK..((block + 1) * BLOCK).min(k);
                let from = rest(xs, first * k + range.start);
                E::Factors::fill_from_rows(from, k, [depth, range.len()], panel);
                // SAFETY: the caller has these elements to itself, and the last block is done.
                let finish =
                    Finish::new(unsafe { to.block(rows.clone(), range.clone()) }, &NO_BIAS);
                let finish = if first == 0 {
                    finish
                } else {
                    // SAFETY: the first pass has written the block.
                    unsafe { finish.accumulating() }
                };
                let rows = Rows::strided(row_panel, rows.len(), 1, width);
                let width = range.len().next_multiple_of(VECTOR);
                let panel = &panel[..factors * width];
                E::Factors::multiply(Product::new(rows, factors, panel, width, finish));
            }
        }
    }
}

/// `list` from `start` on; of an empty list, which stands for no pixels, nothing.
fn rest<T>(list: &[T], start: usize) -> &[T] {
    list.get(start..).unwrap_or_default()
}
