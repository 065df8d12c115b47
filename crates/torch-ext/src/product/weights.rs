//! The product that the pixels are summed over: the gradient in the weights.
//!
//! Both sides are laid out, some of the pixels at a time, and what those give is added to what earlier ones gave. A
//! panel of rows serves all columns, so the rows of the weights are shared out first.

use std::ops::Range;

use tch::Tensor;

use super::panel::Scheme;
use super::{BLOCK, FEWEST, Finish, PANELS, PIECES, Product, Rows, Sizes, Trained, VECTOR};
use crate::nhwc::elements;
use crate::parallel::{Shared, piece, share_out};

/// Pixels that are summed over in registers: so many pixels' factors stay in the cache.
const DEPTH: usize = 256;

static NO_BIAS: [f32; BLOCK] = [0.0; BLOCK];

/// `ws = ysᵀ * xs`, fp32, given the gradient `ys` in the product and `xs`, what was multiplied; sizes and kinds as in
/// [`forward`](super::forward).
pub(crate) fn weight_gradient<E: Trained>(sizes: Sizes, ys: &Tensor, xs: &Tensor, ws: &Tensor) {
    let Sizes { rows: pixels, k, columns } = sizes;
    let gradient = WeightGradient::<E> {
        pixels,
        ys: elements(ys),
        columns,
        xs: elements(xs),
        k,
        to: elements(ws),
    };
    let blocks = k.div_ceil(BLOCK);
    let pieces = tch::get_num_threads().max(1) as usize * PIECES;
    let row_parts = pieces.min(columns.div_ceil(FEWEST)).max(1);
    let block_parts = pieces.div_ceil(row_parts).min(blocks);
    share_out(row_parts * block_parts, &|tasks| {
        PANELS.with_borrow_mut(|panels| {
            for task in tasks {
                let rows = piece(columns, row_parts, task / block_parts);
                gradient.part(rows, piece(blocks, block_parts, task % block_parts), panels);
            }
        });
    });
}

struct WeightGradient<E> {
    pixels: usize,
    /// `[pixels, columns]`
    ys: Shared<E>,
    columns: usize,
    /// `[pixels, k]`
    xs: Shared<E>,
    k: usize,
    /// `[columns, k]`
    to: Shared<f32>,
}

impl<E: Trained> WeightGradient<E> {
    /// Some rows of the weights, and some blocks of their columns.
    fn part(&self, rows: Range<usize>, blocks: Range<usize>, panels: &mut [Vec<f32>; 2]) {
        let Self { pixels, ys, columns, xs, k, to } = *self;
        let width = rows.len().next_multiple_of(VECTOR);
        let most = DEPTH.div_ceil(E::Factors::NUMBERS);
        for (panel, width) in panels.iter_mut().zip([width, BLOCK]) {
            panel.resize(panel.len().max(most * width), 0.0);
        }
        let [row_panel, panel] = panels;
        let start = Shared(row_panel.as_mut_ptr());
        // Of no pixels, too, something must come: zeros.
        for first in (0..pixels.max(1)).step_by(DEPTH) {
            let depth = DEPTH.min(pixels - first);
            let factors = depth.div_ceil(E::Factors::NUMBERS);
            // SAFETY: these pixels' gradients.
            let from = unsafe { ys.offset(first * columns + rows.start) };
            E::Factors::fill_from_rows(from, columns, [depth, rows.len()], start);
            for block in blocks.clone() {
                let range = block * BLOCK..((block + 1) * BLOCK).min(k);
                // SAFETY: these pixels' values.
                let from = unsafe { xs.offset(first * k + range.start) };
                let to_panel = Shared(panel.as_mut_ptr());
                E::Factors::fill_from_rows(from, k, [depth, range.len()], to_panel);
                let finish = Finish::plain(to, k, rows.start, range.clone(), &NO_BIAS);
                let finish = Finish { residual: (first > 0).then_some(to), ..finish };
                let rows = Rows { start, count: rows.len(), row_step: 1, factor_step: width };
                let width = range.len().next_multiple_of(VECTOR);
                let panel = &panel[..factors * width];
                E::Factors::multiply(Product::new(rows, factors, panel, width, finish));
            }
        }
    }
}
