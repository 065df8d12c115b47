//! The products whose rows are pixels: the output, and the gradient in the input.
//!
//! The columns come from the weights, so that a panel serves many pixels. A thread takes some of the pixels and some
//! of the columns at a time.

use std::ops::Range;

use tch::Tensor;

use super::blocks::Blocks;
use super::panel::Scheme;
use super::{
    BLOCK, FEWEST, Finish, PANELS, PIECES, Product, Rows, Sizes, Trained, VECTOR, aligned, map_of,
    matrix_of,
};
use crate::channel_values;
use crate::nhwc::Nhwc;
use crate::parallel::{piece, share_out};
use crate::view::{NewMap, ViewMut};

/// Pixels that a panel is used for at most: with 728 factors each they fill most of a second-level cache of 1 MiB.
const PIXELS: usize = 252;

/// `ys = xs * wsᵀ + bs`, a map of the size `output`, whose channels are the columns: `xs` is a laid-out map of `E` whose
/// pixels are the rows, `ws: [columns, k]` fp32 and contiguous, `bs: [columns]`.
///
/// # Panics
/// Where a tensor or `output` does not have the `sizes`.
pub(crate) fn forward<E: Trained>(
    sizes: Sizes,
    xs: &Tensor,
    ws: &Tensor,
    bs: Option<&Tensor>,
    output: Nhwc,
) -> Tensor {
    let Sizes { rows, k, columns } = sizes;
    let ws = matrix_of(ws, columns, k);
    let bias = bs.map(|bs| channel_values::read_channels(bs, columns));
    let mut bias: Vec<f32> = bias.unwrap_or_default();
    bias.resize(columns.next_multiple_of(BLOCK), 0.0);
    let panel = |range: Range<usize>, to: &mut [f32]| {
        E::Factors::fill_from_columns(&ws[range.start * k..], k, [k, range.len()], to);
    };
    outputs::<E>([rows, k, columns], xs, &panel, &bias, output)
}

/// `xs = ys * ws`, a map of the size `input`: the gradient in the product's rows, given the gradient `ys` in its result.
/// As [`forward`] otherwise.
///
/// # Panics
/// As [`forward`].
pub(crate) fn input_gradient<E: Trained>(
    sizes: Sizes,
    ys: &Tensor,
    ws: &Tensor,
    input: Nhwc,
) -> Tensor {
    let Sizes { rows, k, columns } = sizes;
    let ws = matrix_of(ws, columns, k);
    let bias = vec![0.0; k.next_multiple_of(BLOCK)];
    let panel = |range: Range<usize>, to: &mut [f32]| {
        E::Factors::fill_from_rows(&ws[range.start..], k, [columns, range.len()], to);
    };
    outputs::<E>([rows, columns, k], ys, &panel, &bias, input)
}

/// The map `[rows, k] * panels + bias`, where `panel` lays out some of the columns.
fn outputs<E: Trained>(
    [rows, k, columns]: [usize; 3],
    from: &Tensor,
    panel: &(dyn Fn(Range<usize>, &mut [f32]) + Sync),
    bias: &[f32],
    output: Nhwc,
) -> Tensor {
    let from = &aligned(from);
    let pixels_of = map_of::<E>(from, rows, k);
    assert!(
        output.pixels() == rows && output.c == columns,
        "expected a result of {rows} pixels and {columns} channels, got {output:?}"
    );
    let mut result = NewMap::empty(output, from);
    let to = Blocks::new(ViewMut::<E>::of(&mut result).into_elements(), columns);
    let (blocks, factors) = (columns.div_ceil(BLOCK), k.div_ceil(E::Factors::NUMBERS));
    let pieces = tch::get_num_threads().max(1) as usize * PIECES;
    let chunks = rows.div_ceil(PIXELS).max(pieces.div_ceil(blocks.max(1)));
    let chunks = chunks.min(rows.div_ceil(FEWEST));
    // The blocks of one chunk follow one another, so that its pixels are still near.
    let multiply = |task: usize, room: &mut [f32]| {
        let (pixels, block) = (piece(rows, chunks, task / blocks), task % blocks);
        let range = block * BLOCK..((block + 1) * BLOCK).min(columns);
        panel(range.clone(), room);
        let rows = Rows::new(&pixels_of[pixels.start * k..], pixels.len(), factors);
        // SAFETY: no other task has this chunk and this block of columns.
        let place = unsafe { to.block(pixels, range.clone()) };
        let finish = Finish::new(place, &bias[range.start..]);
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
    result.into_tensor()
}
