//! Tile by tile: fill, multiply, finish.

use std::cell::RefCell;
use std::ops::Range;

use tch::Tensor;

use super::pack::Packed;
use super::{Around, FirstHalf, PackedConv};
use crate::depthwise::{Outputs, Plan, pixels_of};
use crate::feature_map::Prologue;
use crate::matrix_kernel::{self, Block};
use crate::nhwc::elements;
use crate::parallel::{Shared, for_each_range, share_out};
use crate::product::{BLOCK, Finish, Pair, Product, Rows, Single, Sums};
use crate::simd::{Bf16, Element, Kernel, Simd, pairs};
use crate::view::View;

/// Pixels of a tile at most: enough to use each weight many times, few enough to stay in the cache with it.
const PIXELS: usize = 192;

/// Pixels of a tile at least: for fewer the weights would be gone through too often.
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

pub(super) fn run<E: Element<Number = f32>>(
    conv: &PackedConv,
    plan: &Plan,
    xs: &Tensor,
    ys: &Tensor,
    around: Around,
) {
    let pixels = plan.output.pixels();
    let layer = Layer {
        conv,
        plan,
        values: View::of(xs),
        to: elements::<E>(ys),
        residual: around.residual.map(elements::<E>),
        opens_with_relu: around.opens_with_relu,
        residual_relu: around.residual_relu,
        closes_with_relu: around.closes_with_relu,
    };
    let threads = tch::get_num_threads().max(1) as usize;
    let size = tile_pixels(pixels, conv.columns.k);
    if pixels < threads * TILES * FEWEST {
        return layer.by_columns(size);
    }
    let size = size.min((pixels / (threads * TILES)).max(FEWEST));
    share_out(pixels.div_ceil(size), &|tiles| {
        SCRATCH.with_borrow_mut(|Scratch { rows, sums }| {
            let rows = layer.room(rows, size);
            for tile in tiles {
                let range = tile * size..((tile + 1) * size).min(pixels);
                layer.fill(rows, range.clone());
                (0..conv.columns.blocks()).for_each(|block| {
                    layer.multiply(rows, range.clone(), block, sums);
                });
            }
        });
        matrix_kernel::release();
    });
}

/// Pixels of a tile: as many as fit, but all tiles of one size.
fn tile_pixels(pixels: usize, k: usize) -> usize {
    let most = (BYTES / (k * size_of::<f32>())).clamp(16, PIXELS);
    pixels.div_ceil(pixels.div_ceil(most).max(1)).max(1)
}

/// A layer at work.
struct Layer<'a, E: Element> {
    conv: &'a PackedConv,
    plan: &'a Plan,
    values: View<'a, E>,
    to: Shared<E>,
    residual: Option<Shared<E>>,
    opens_with_relu: bool,
    residual_relu: bool,
    closes_with_relu: bool,
}

impl<E: Element<Number = f32>> Layer<'_, E> {
    /// Fills all of a small map first, then shares out the blocks of columns: each weight is read by one thread.
    fn by_columns(&self, size: usize) {
        let (pixels, blocks) = (self.plan.output.pixels(), self.conv.columns.blocks());
        let tiles = pixels.div_ceil(size);
        // Taken out, for this thread needs its own sums meanwhile.
        let mut shared = SCRATCH.with_borrow_mut(|scratch| std::mem::take(&mut scratch.rows));
        let rows = self.room(&mut shared, pixels);
        for_each_range(pixels, &|range| self.fill(self.row(rows, range.start), range));
        share_out(blocks * tiles, &|parts| {
            SCRATCH.with_borrow_mut(|Scratch { sums, .. }| {
                for part in parts {
                    let (block, tile) = (part / tiles, part % tiles);
                    let range = tile * size..((tile + 1) * size).min(pixels);
                    self.multiply(self.row(rows, range.start), range, block, sums);
                }
            });
            matrix_kernel::release();
        });
        SCRATCH.with_borrow_mut(|scratch| scratch.rows = shared);
    }

    /// Room for the rows of so many pixels. Rows of bf16 need half of it.
    fn room(&self, rows: &mut Vec<f32>, pixels: usize) -> Shared<f32> {
        rows.resize(rows.len().max(pixels * self.conv.columns.k), 0.0);
        Shared(rows.as_mut_ptr())
    }

    /// The row of the `pixel`-th pixel of those that start at `rows`.
    fn row(&self, rows: Shared<f32>, pixel: usize) -> Shared<f32> {
        let bytes = match self.conv.columns.numbers {
            Packed::Fp32(_) => size_of::<f32>(),
            Packed::Bf16(_) => size_of::<Bf16>(),
        };
        Shared(rows.0.wrapping_byte_add(pixel * self.conv.columns.k * bytes))
    }

    /// Multiplies the rows of `pixels` with a block of columns, and finishes what comes out.
    fn multiply(&self, rows: Shared<f32>, pixels: Range<usize>, block: usize, sums: &mut Vec<f32>) {
        let columns = &self.conv.columns;
        let (k, c_out) = (columns.k, columns.c_out);
        let (start, width) = columns.block(block);
        let exist = start..(start + width).min(c_out);
        let finish = Finish {
            residual: self.residual,
            residual_relu: self.residual_relu,
            relu: self.closes_with_relu,
            ..Finish::plain(self.to, c_out, pixels.start, exist, &columns.bias[start..])
        };
        let rows_of =
            |factors| Rows { start: rows, count: pixels.len(), row_step: factors, factor_step: 1 };
        match &columns.numbers {
            Packed::Fp32(numbers) => {
                let panel = &numbers[start * k..];
                E::run(Product::<E, Single>::new(rows_of(k), k, panel, width, finish));
            }
            Packed::Bf16(numbers) if super::multiplies_pairs() => {
                let panel = as_pairs(&numbers[start * k..]);
                E::run_pairs(Product::<E, Pair>::new(rows_of(k / 2), k / 2, panel, width, finish));
            }
            Packed::Bf16(numbers) => {
                sums.resize(sums.len().max(pixels.len() * BLOCK), 0.0);
                let sums = Shared(sums.as_mut_ptr());
                let block = Block { m: pixels.len(), n: width, k, ld_a: k };
                let weights = numbers[start * k..].as_ptr();
                // SAFETY: rows, packed columns and sums have these sizes.
                let done = unsafe { block.multiply_bf16(rows.0.cast(), weights, sums.0) };
                done.expect("the kernel was there when the weights were packed");
                E::run(Sums { sums, width, pixels: pixels.len(), finish });
            }
        }
    }

    /// Writes what the product reads: for each pixel a row of `k` factors.
    fn fill(&self, rows: Shared<f32>, pixels: Range<usize>) {
        let Self { conv, plan, values, .. } = *self;
        let (k, relu) = (conv.columns.k, self.opens_with_relu);
        let widen = matches!(conv.columns.numbers, Packed::Fp32(_));
        let prologue = Prologue::new(None, relu);
        match &conv.first {
            FirstHalf::Depthwise { taps, bias, paired, relu: closing, .. } => {
                let count = pixels.len();
                let bias = bias.as_deref();
                let paired = paired.as_ref().filter(|_| pairs::available() && plan.is_3x3(1));
                match (paired, values.cast::<Bf16>()) {
                    (Some(paired), Some(values)) => {
                        // SAFETY: room for `count` rows of `k` factors, here of bf16, starts at `rows`, and nobody else
                        // uses it meanwhile.
                        let outputs = unsafe { outputs_at::<Bf16>(rows, count * k, k, false) };
                        let outputs = outputs.with_relu(*closing);
                        paired.pixels_of(values, relu, plan, pixels, outputs);
                    }
                    _ => {
                        // SAFETY: as above, of the type that `widen` says.
                        let outputs = unsafe { outputs_at::<E>(rows, count * k, k, widen) };
                        let outputs = outputs.with_relu(*closing);
                        pixels_of::<E>(values, taps, bias, prologue, plan, pixels, outputs);
                    }
                }
                // bf16 rows are filled up to an even length; the weight there is zero, what it meets must be a number.
                if k > plan.input.c {
                    let row = |row| rows.0.cast::<u16>().wrapping_add(row * k - 1);
                    // SAFETY: the last place of each row.
                    (1..=count).for_each(|index| unsafe { *row(index) = 0 });
                }
            }
            FirstHalf::Windows { .. } => {
                E::run(Windows::<E> { values, rows, relu, plan: *plan, pixels, k, widen });
            }
        }
    }
}

/// Memory for `count` factors in rows of `k`: numbers where they are to be widened, elements otherwise.
///
/// # Safety
/// As many factors of that type can be written at `rows`, and nobody else uses the memory during `'a`.
unsafe fn outputs_at<'a, E: Element<Number = f32>>(
    rows: Shared<f32>,
    count: usize,
    k: usize,
    widen: bool,
) -> Outputs<'a, E> {
    // SAFETY: the caller's memory is as large, and nobody else uses it.
    unsafe {
        if widen {
            Outputs::numbers(std::slice::from_raw_parts_mut(rows.0.cast(), count), k)
        } else {
            Outputs::elements(std::slice::from_raw_parts_mut(rows.0.cast(), count), k)
        }
    }
}

/// Packed columns as what fills the lanes of a vector.
fn as_pairs(numbers: &[Bf16]) -> &[f32] {
    // SAFETY: blocks of columns start at multiples of 64 bytes and hold whole pairs.
    let (before, pairs, after) = unsafe { numbers.align_to::<f32>() };
    debug_assert!(before.is_empty() && after.is_empty());
    pairs
}

/// Lays out the windows of the image, one in a row: tap by tap the channels of a pixel.
struct Windows<'a, E: Element> {
    values: View<'a, E>,
    rows: Shared<f32>,
    relu: bool,
    plan: Plan,
    pixels: Range<usize>,
    k: usize,
    widen: bool,
}

impl<E: Element<Number = f32>> Windows<'_, E> {
    /// Copies `count` numbers, or zeros, to the rows at `at`.
    #[inline(always)]
    unsafe fn copy<S: Simd<E>>(&self, from: Option<*const E>, at: usize, count: usize) {
        for c in (0..count).step_by(S::LANES) {
            let span = S::span(count - c);
            // SAFETY: the caller's: `count` numbers lie behind `from`, and there is room for them.
            unsafe {
                let x = match from {
                    Some(from) => S::load(from.add(c), span),
                    None => S::zero(),
                };
                let x = if self.relu { S::relu(x) } else { x };
                if self.widen {
                    S::store_numbers(self.rows.0.add(at + c), span, x);
                } else {
                    S::store(self.rows.0.cast::<E>().add(at + c), span, x);
                }
            }
        }
    }
}

// SAFETY: map and rows have the sizes that the fields say.
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
                    // SAFETY: inside the map, or not read; a row of the tile has room for every tap's channels.
                    unsafe {
                        let from = inside.then(|| self.values.start().add((line + iw) * channels));
                        self.copy::<S>(from, at, pixels * channels);
                    }
                    at += pixels * channels;
                }
            }
            // As above, for bf16 rows of an odd length.
            // SAFETY: the rest of the pixel's row.
            unsafe { self.copy::<S>(None, at, (index + 1) * self.k - at) };
        }
    }
}
