//! Matrix products of our own, for inference on packed weights and for training on weights as they lie.
//!
//! libtorch leaves fp32 products to MKL, which runs on half of the vector width on AMD's CPUs, and bf16 products to
//! oneDNN, which packs and prepares anew for each of them. At small batches a training step has a hundred products of
//! a few dozen rows, so that preparing costs more than multiplying. Here a panel of columns is laid out by the thread
//! that needs it, just ahead of its use, from weights and maps as they lie; rounding to bf16 is part of that.

mod finish;
mod kernel;
mod panel;

use std::cell::RefCell;
use std::marker::PhantomData;
use std::ops::Range;

use tch::{Kind, Tensor};

use crate::nhwc::elements;
use crate::numbers;
use crate::parallel::{Shared, piece, share_out};
use crate::simd::{Bf16, Element, InstructionSet, chosen, pairs};

pub(crate) use finish::{Finish, Sums};
pub(crate) use kernel::{Pair, Product, Rows, Single};
use panel::Scheme;

/// Columns of a panel.
const BLOCK: usize = 64;

/// Rows that a panel is used for at most: with 728 factors each they fill most of a second-level cache of 1 MiB.
const ROWS: usize = 252;

/// Rows that a panel is used for at least, where there are as many: for fewer, laying it out would cost too much.
const FEWEST: usize = 48;

/// Numbers that are added up in registers: so many pixels' factors stay in the cache.
const DEPTH: usize = 256;

/// Pieces of work for each thread.
const PIECES: usize = 2;

/// What maps hold in training, and how it is multiplied.
pub(crate) trait Trained: Element<Number = f32> {
    /// fp32 by one, bf16 by two at a time; weights are fp32 and rounded on the way in.
    type Factors: Scheme;
}

impl Trained for f32 {
    type Factors = Single;
}

impl Trained for Bf16 {
    type Factors = Pair;
}

/// Runs a block with the element that maps of a kind hold as a type of the given name.
macro_rules! with_trained {
    ($kind:expr, $element:ident => $body:expr) => {
        match $kind {
            tch::Kind::Float => {
                type $element = f32;
                $body
            }
            _ => {
                type $element = crate::simd::Bf16;
                $body
            }
        }
    };
}
pub(crate) use with_trained;

/// The sizes of `ys[rows, columns] = xs[rows, k] * ws[columns, k]ᵀ`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    pub(crate) rows: usize,
    pub(crate) k: usize,
    pub(crate) columns: usize,
}

/// Whether maps of `kind` can be multiplied here: pairs need their instruction, and rows of whole pairs.
pub(crate) fn covers(kind: Kind, sizes: Sizes) -> bool {
    match kind {
        Kind::Float => true,
        Kind::BFloat16 => sizes.k % 2 == 0 && sizes.columns % 2 == 0 && pairs::available(),
        _ => false,
    }
}

/// Whether that is faster than libtorch's product on this CPU. It was measured on AMD's; on Intel's, MKL's fp32 and
/// oneDNN's bf16 products are as fast.
pub(crate) fn is_faster() -> bool {
    crate::cpu::is_amds() && chosen() == InstructionSet::Avx512
}

thread_local! {
    /// Room for panels that a thread keeps: of rows and of columns.
    static PANELS: RefCell<[Vec<f32>; 2]> = const { RefCell::new([Vec::new(), Vec::new()]) };
}

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
    let mut bias: Vec<f32> = bs.map(numbers::read).unwrap_or_default();
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
    let threads = tch::get_num_threads().max(1) as usize;
    let chunks = rows.div_ceil(ROWS).max((threads * PIECES).div_ceil(blocks.max(1)));
    let chunks = chunks.min(rows.div_ceil(FEWEST));
    share_out(chunks * blocks, &|tasks| {
        PANELS.with_borrow_mut(|[_, columns_panel]| {
            columns_panel.resize(columns_panel.len().max(factors * BLOCK), 0.0);
            for task in tasks {
                let (chunk, block) = (piece(rows, chunks, task / blocks), task % blocks);
                let range = block * BLOCK..((block + 1) * BLOCK).min(columns);
                panel(range.clone(), Shared(columns_panel.as_mut_ptr()));
                let first = chunk.start * columns + range.start;
                E::Factors::multiply(Product {
                    // SAFETY: rows of the maps begin at these places.
                    rows: Rows {
                        start: Shared(unsafe { from.offset(chunk.start * k) }.0.cast()),
                        count: chunk.len(),
                        row_step: factors,
                        factor_step: 1,
                    },
                    k: factors,
                    panel: columns_panel,
                    width: range.len().next_multiple_of(panel::VECTOR),
                    finish: Finish {
                        bias: Shared::reading(&bias[range.start..]),
                        residual: None,
                        residual_relu: false,
                        relu: false,
                        // SAFETY: as above.
                        to: unsafe { to.offset(first) },
                        first,
                        columns: range.len(),
                        c_out: columns,
                    },
                    factors: PhantomData,
                });
            }
        });
    });
}

/// `ws = ysᵀ * xs`, fp32: the gradient in the weights, given that in the product and what was multiplied.
pub(crate) fn weight_gradient<E: Trained>(sizes: Sizes, ys: &Tensor, xs: &Tensor, ws: &Tensor) {
    let Sizes { rows: pixels, k, columns } = sizes;
    let (ys, xs, to) = (elements::<E>(ys), elements::<E>(xs), elements::<f32>(ws));
    let threads = tch::get_num_threads().max(1) as usize;
    // Rows of the weights are shared out first, for their panel serves all blocks; blocks where rows are too few.
    let (most, blocks) = (columns.div_ceil(FEWEST).max(1), k.div_ceil(BLOCK));
    let row_parts = (threads * PIECES).min(most);
    let block_parts = (threads * PIECES).div_ceil(row_parts).min(blocks);
    let bias = [0.0; BLOCK];
    let factors = DEPTH.div_ceil(E::Factors::NUMBERS);
    share_out(row_parts * block_parts, &|tasks| {
        PANELS.with_borrow_mut(|[row_panel, column_panel]| {
            column_panel.resize(column_panel.len().max(factors * BLOCK), 0.0);
            for task in tasks {
                let rows = piece(columns, row_parts, task / block_parts);
                let row_width = rows.len().next_multiple_of(panel::VECTOR);
                row_panel.resize(row_panel.len().max(factors * row_width), 0.0);
                for start in (0..pixels.max(1)).step_by(DEPTH) {
                    let depth = DEPTH.min(pixels - start);
                    let factors = depth.div_ceil(E::Factors::NUMBERS);
                    // SAFETY: pixels of the map.
                    let from = unsafe { ys.offset(start * columns + rows.start) };
                    let row_start = Shared(row_panel.as_mut_ptr());
                    E::Factors::fill_from_rows(from, columns, [depth, rows.len()], row_start);
                    for block in piece(blocks, block_parts, task % block_parts) {
                        let range = block * BLOCK..((block + 1) * BLOCK).min(k);
                        // SAFETY: as above.
                        let from = unsafe { xs.offset(start * k + range.start) };
                        let column_start = Shared(column_panel.as_mut_ptr());
                        E::Factors::fill_from_rows(from, k, [depth, range.len()], column_start);
                        let first = rows.start * k + range.start;
                        E::Factors::multiply(Product {
                            rows: Rows {
                                start: row_start,
                                count: rows.len(),
                                row_step: 1,
                                factor_step: row_width,
                            },
                            k: factors,
                            panel: column_panel,
                            width: range.len().next_multiple_of(panel::VECTOR),
                            finish: Finish {
                                bias: Shared::reading(&bias),
                                // What earlier pixels gave.
                                residual: (start > 0).then_some(to),
                                residual_relu: false,
                                relu: false,
                                // SAFETY: these rows and columns of the weights are this task's own.
                                to: unsafe { to.offset(first) },
                                first,
                                columns: range.len(),
                                c_out: k,
                            },
                            factors: PhantomData,
                        });
                    }
                }
            }
        });
    });
}

#[cfg(test)]
mod tests;
