//! Tile by tile: fill, multiply, finish.

use std::cell::RefCell;
use std::ops::Range;

use tch::Tensor;

use super::lanes::{as_elements, as_numbers, as_numbers_mut, as_pairs};
use super::pack::Packed;
use super::windows::Windows;
use super::{FirstHalf, FusedOps, PackedConv};
use crate::depthwise::{Outputs, Plan, pixels_of};
use crate::feature_map::Prologue;
use crate::matrix_kernel::{self, Block};
use crate::matrix_product::{BLOCK, Blocks, Finish, Pair, Product, Rows, Single, Sums};
use crate::nhwc::Nhwc;
use crate::parallel::{for_each_range_of, share_out};
use crate::simd::{Bf16, Element, pairs};
use crate::view::{NewMap, View, ViewMut};

/// Pixels of a tile at most: enough to use each weight many times, few enough to stay in the cache with it.
const PIXELS: usize = 192;

/// Pixels of a tile at least: with fewer, each weight would be read too often.
const FEWEST: usize = 64;

/// Bytes of a tile's rows at most, under half of a server's second-level cache.
const BYTES: usize = 768 << 10;

/// Room that a thread keeps from layer to layer.
struct Scratch {
    /// For tiles.
    rows: Vec<f32>,
    /// For the sums of one block, where libtorch's kernel multiplies.
    sums: Vec<f32>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = const { RefCell::new(Scratch { rows: Vec::new(), sums: Vec::new() }) };
}

/// Tiles for each thread at least. Where the map has too few, the threads share the blocks of columns instead.
const TILES: usize = 4;

/// The map of the size `output` that `conv` computes from `xs`, a laid-out map of `E`, as the residual is.
pub(super) fn run<E: Element<Number = f32>>(
    conv: &PackedConv,
    plan: &Plan,
    xs: &Tensor,
    output: Nhwc,
    ops: FusedOps,
) -> Tensor {
    let mut ys = NewMap::empty(output, xs);
    let residual = ops.residual.map(|residual| View::<E>::of(residual).elements());
    let to = Blocks::new(ViewMut::of(&mut ys).into_elements(), output.c);
    let FusedOps { opens_with_relu, residual_relu, closes_with_relu, .. } = ops;
    let layer = Layer {
        conv,
        plan,
        values: View::<E>::of(xs),
        to,
        residual,
        opens_with_relu,
        residual_relu,
        closes_with_relu,
    };
    let pixels = output.pixels();
    let threads = tch::get_num_threads().max(1) as usize;
    let size = tile_pixels(pixels, conv.columns.k);
    if pixels < threads * TILES * FEWEST {
        layer.by_columns(size);
    } else {
        layer.by_pixels(size.min((pixels / (threads * TILES)).max(FEWEST)));
    }
    ys.into_tensor()
}

/// Pixels of a tile: as many as fit, but all tiles of one size.
fn tile_pixels(pixels: usize, k: usize) -> usize {
    let most = (BYTES / (k * size_of::<f32>()).max(1)).clamp(16, PIXELS);
    pixels.div_ceil(pixels.div_ceil(most).max(1)).max(1)
}

/// A layer in progress.
struct Layer<'a, E: Element> {
    conv: &'a PackedConv,
    plan: &'a Plan,
    values: View<'a, E>,
    to: Blocks<'a, E>,
    residual: Option<&'a [E]>,
    opens_with_relu: bool,
    residual_relu: bool,
    closes_with_relu: bool,
}

impl<E: Element<Number = f32>> Layer<'_, E> {
    /// Shares out the tiles: a thread fills one, multiplies it with all columns, and takes the next.
    fn by_pixels(&self, size: usize) {
        let (pixels, blocks) = (self.plan.output.pixels(), self.conv.columns.blocks());
        share_out(pixels.div_ceil(size), &|tiles| {
            SCRATCH.with_borrow_mut(|Scratch { rows, sums }| {
                for tile in tiles {
                    let range = tile * size..((tile + 1) * size).min(pixels);
                    let rows = self.room(rows, range.len());
                    self.fill(rows, range.clone());
                    for block in 0..blocks {
                        // SAFETY: no other task has these pixels.
                        unsafe { self.multiply(rows, range.clone(), block, sums) };
                    }
                }
            });
            matrix_kernel::release();
        });
    }

    /// Fills all of a small map first, then shares out the blocks of columns: each weight is read by one thread.
    fn by_columns(&self, size: usize) {
        let (pixels, blocks) = (self.plan.output.pixels(), self.conv.columns.blocks());
        let (tiles, lanes) = (pixels.div_ceil(size), self.conv.columns.lanes());
        // Taken out, because this thread borrows its sums meanwhile.
        let mut shared = SCRATCH.with_borrow_mut(|scratch| std::mem::take(&mut scratch.rows));
        let rows = self.room(&mut shared, pixels);
        for_each_range_of(rows, pixels, &|range, rows| self.fill(rows, range));
        let rows = &*rows;
        share_out(blocks * tiles, &|parts| {
            SCRATCH.with_borrow_mut(|Scratch { sums, .. }| {
                for part in parts {
                    let (block, tile) = (part / tiles, part % tiles);
                    let range = tile * size..((tile + 1) * size).min(pixels);
                    let rows = &rows[range.start * lanes..];
                    // SAFETY: no other task has this tile and this block.
                    unsafe { self.multiply(rows, range, block, sums) };
                }
            });
            matrix_kernel::release();
        });
        SCRATCH.with_borrow_mut(|scratch| scratch.rows = shared);
    }

    /// Room for the rows of so many pixels, with arbitrary numbers in it.
    fn room<'r>(&self, rows: &'r mut Vec<f32>, pixels: usize) -> &'r mut [f32] {
        let lanes = pixels * self.conv.columns.lanes();
        rows.resize(rows.len().max(lanes), 0.0);
        &mut rows[..lanes]
    }

    /// Multiplies `rows`, those of `pixels` first, with a block of columns, and stores the result.
    ///
    /// # Safety
    /// No other thread has these pixels in this block.
    unsafe fn multiply(
        &self,
        rows: &[f32],
        pixels: Range<usize>,
        block: usize,
        sums: &mut Vec<f32>,
    ) {
        let columns = &self.conv.columns;
        let (k, c_out, lanes) = (columns.k, columns.c_out, columns.lanes());
        let (start, width) = columns.block(block);
        let (count, exist) = (pixels.len(), start..(start + width).min(c_out));
        // SAFETY: the caller has these elements to itself.
        let place = unsafe { self.to.block(pixels, exist) };
        let finish = Finish::new(place, &columns.bias[start..]);
        let finish = finish.with_relu(self.closes_with_relu);
        let finish = match self.residual {
            Some(residual) => finish.with_residual(residual, self.residual_relu),
            None => finish,
        };
        match &columns.numbers {
            Packed::Fp32(numbers) => {
                let (rows, panel) = (Rows::new(rows, count, lanes), &numbers[start * k..]);
                E::run(Product::<E, Single>::new(rows, lanes, panel, width, finish));
            }
            Packed::Bf16(numbers) if super::multiplies_pairs() => {
                let (rows, panel) =
                    (Rows::new(rows, count, lanes), as_pairs(&numbers[start * k..]));
                E::run_pairs(Product::<E, Pair>::new(rows, lanes, panel, width, finish));
            }
            Packed::Bf16(numbers) => {
                sums.resize(sums.len().max(count * BLOCK), 0.0);
                let block = Block { m: count, n: width, k, ld_a: k };
                let done = block.multiply_bf16(as_numbers(rows), &numbers[start * k..], sums);
                done.expect("the kernel was there when the weights were packed");
                E::run(Sums::new(sums, width, finish));
            }
        }
    }

    /// Writes the factors of the product: for each pixel a row of `k`.
    fn fill(&self, rows: &mut [f32], pixels: Range<usize>) {
        let Self { conv, plan, values, .. } = *self;
        let (k, relu) = (conv.columns.k, self.opens_with_relu);
        let widen = matches!(conv.columns.numbers, Packed::Fp32(_));
        match &conv.first {
            FirstHalf::Depthwise { taps, bias, paired, relu: closing, .. } => {
                let (bias, prologue) = (bias.as_deref(), Prologue::new(None, relu));
                let paired = paired.as_ref().filter(|_| pairs::available() && plan.is_3x3(1));
                match (paired, values.cast::<Bf16>()) {
                    (Some(paired), Some(values)) if !widen => {
                        // SAFETY: the kernel only stores numbers.
                        let room = unsafe { as_elements::<Bf16>(rows) };
                        let outputs = Outputs::elements(room, k).with_relu(*closing);
                        paired.pixels_of(values, relu, plan, pixels, outputs);
                    }
                    _ => {
                        // SAFETY: the kernel only stores numbers.
                        let outputs = unsafe {
                            if widen {
                                Outputs::<E>::numbers(as_elements(rows), k)
                            } else {
                                Outputs::<E>::elements(as_elements(rows), k)
                            }
                        };
                        let outputs = outputs.with_relu(*closing);
                        pixels_of::<E>(values, taps, bias, prologue, plan, pixels, outputs);
                    }
                }
                // bf16 rows are filled up to an even length. The weight there is zero, and must meet a number.
                if k > plan.input.c {
                    let rows = as_numbers_mut(rows).chunks_exact_mut(k);
                    rows.for_each(|row| row[k - 1] = Bf16(0));
                }
            }
            FirstHalf::Windows { .. } => {
                E::run(Windows::<E>::new(values, rows, relu, plan, pixels, k, widen));
            }
        }
    }
}
