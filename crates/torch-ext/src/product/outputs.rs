//! The products whose rows are pixels: the output, and the gradient in the input.
//!
//! The columns come from the weights, so that a panel serves many pixels. A thread takes some of the pixels and some
//! of the columns at a time.

use std::ops::Range;

use tch::Tensor;

use super::panel::Scheme;
use super::{BLOCK, FEWEST, Finish, PANELS, PIECES, Product, Rows, Sizes, Trained, VECTOR};
use crate::nhwc::elements;
use crate::numbers;
use crate::parallel::{Shared, piece, share_out};

/// Pixels that a panel is used for at most: with 728 factors each they fill most of a second-level cache of 1 MiB.
const PIXELS: usize = 252;

/// `ys = xs * wsᵀ + bs`: `xs: [rows, k]` and `ys: [rows, columns]` of `E`, `ws: [columns, k]` fp32, all contiguous.
pub(crate) fn forward<E: Trained>(
    sizes: Sizes,
    xs: &Tensor,
    ws: &Tensor,
    bs: Option<&Tensor>,
    ys: &Tensor,
) {
    let Sizes { rows, k, columns } = sizes;
    let ws = elements::<f32>(ws);
    let bias = bs.map(|bs| numbers::read_channels(bs, columns));
    let mut bias: Vec<f32> = bias.unwrap_or_default();
    bias.resize(columns.next_multiple_of(BLOCK), 0.0);
    let panel = |range: Range<usize>, to| {
        // SAFETY: rows of the weights.
        let from = unsafe { ws.offset(range.start * k) };
        E::Factors::fill_from_columns(from, k, [k, range.len()], to);
    };
    outputs([rows, k, columns], elements::<E>(xs), &panel, &bias, elements::<E>(ys));
}

/// `xs = ys * ws`: the gradient in what was multiplied, given that in the product. As [`forward`] otherwise.
pub(crate) fn input_gradient<E: Trained>(sizes: Sizes, ys: &Tensor, ws: &Tensor, xs: &Tensor) {
    let Sizes { rows, k, columns } = sizes;
    let ws = elements::<f32>(ws);
    let bias = vec![0.0; k.next_multiple_of(BLOCK)];
    let panel = |range: Range<usize>, to| {
        // SAFETY: columns of the weights.
        let from = unsafe { ws.offset(range.start) };
        E::Factors::fill_from_rows(from, k, [columns, range.len()], to);
    };
    outputs([rows, columns, k], elements::<E>(ys), &panel, &bias, elements::<E>(xs));
}

/// `to[rows, columns] = from[rows, k] * panels + bias`, where `panel` lays out some of the columns.
fn outputs<E: Trained>(
    [rows, k, columns]: [usize; 3],
    from: Shared<E>,
    panel: &(dyn Fn(Range<usize>, Shared<f32>) + Sync),
    bias: &[f32],
    to: Shared<E>,
) {
    let (blocks, factors) = (columns.div_ceil(BLOCK), k.div_ceil(E::Factors::NUMBERS));
    let pieces = tch::get_num_threads().max(1) as usize * PIECES;
    let chunks = rows.div_ceil(PIXELS).max(pieces.div_ceil(blocks.max(1)));
    let chunks = chunks.min(rows.div_ceil(FEWEST));
    // The blocks of one chunk follow one another, so that its pixels are still near.
    let multiply = |task: usize, room: &mut [f32]| {
        let (pixels, block) = (piece(rows, chunks, task / blocks), task % blocks);
        let range = block * BLOCK..((block + 1) * BLOCK).min(columns);
        panel(range.clone(), Shared(room.as_mut_ptr()));
        // SAFETY: the chunk's pixels begin there.
        let start = Shared(unsafe { from.offset(pixels.start * k) }.0.cast());
        let rows = Rows { start, count: pixels.len(), row_step: factors, factor_step: 1 };
        let finish = Finish::plain(to, columns, pixels.start, range.clone(), &bias[range.start..]);
        let width = range.len().next_multiple_of(VECTOR);
        let laid_out = &room[..factors * width];
        E::Factors::multiply(Product::new(rows, factors, laid_out, width, finish));
    };
    share_out(chunks * blocks, &|tasks| {
        PANELS.with_borrow_mut(|[_, room]| {
            room.resize(room.len().max(factors * BLOCK), 0.0);
            tasks.for_each(|task| multiply(task, room));
        });
    });
}
