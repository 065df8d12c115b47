//! Tile by tile: fill, multiply, finish.

use std::cell::RefCell;
use std::ops::Range;

use tch::Tensor;

use super::finish::{Finish, Sums};
use super::pack::{BLOCK, Packed};
use super::product::Product;
use super::{Around, FirstHalf, PackedConv};
use crate::depthwise::{Outputs, Plan, pixels_of};
use crate::feature_map::Prologue;
use crate::matrix_kernel::{self, Block};
use crate::nhwc::elements;
use crate::parallel::{Shared, for_each_range};
use crate::simd::{Element, Kernel, Simd};

/// Pixels of a tile at most: enough to use each weight many times, few enough to stay in the cache with it.
const PIXELS: usize = 192;

/// Bytes of a tile's rows at most, under half of a server's second-level cache.
const BYTES: usize = 768 << 10;

thread_local! {
    /// A tile and the sums of one block, kept from layer to layer.
    static SCRATCH: RefCell<(Vec<f32>, Vec<f32>)> = const { RefCell::new((Vec::new(), Vec::new())) };
}

pub(super) fn run<E: Element<Number = f32>>(
    conv: &PackedConv,
    plan: &Plan,
    xs: &Tensor,
    ys: &Tensor,
    around: Around,
) {
    let pixels = plan.output.pixels();
    let size = tile_pixels(pixels, conv.columns.k);
    let (values, to) = (elements::<E>(xs), elements::<E>(ys));
    let residual = around.residual.map(elements::<E>);
    for_each_range(pixels.div_ceil(size), &|tiles| {
        SCRATCH.with_borrow_mut(|(rows, sums)| {
            let (k, c_out) = (conv.columns.k, conv.columns.c_out);
            // bf16 rows need half of it.
            rows.resize(rows.len().max(size * k), 0.0);
            sums.resize(sums.len().max(size * BLOCK), 0.0);
            for tile in tiles {
                let range = tile * size..((tile + 1) * size).min(pixels);
                let rows = Shared(rows.as_mut_ptr());
                fill::<E>(conv, plan, values, rows, range.clone(), around.opens_with_relu);
                for (start, width) in conv.columns.blocks() {
                    let finish = Finish {
                        bias: Shared(conv.columns.bias[start..].as_ptr().cast_mut()),
                        residual,
                        residual_relu: around.residual_relu,
                        relu: around.closes_with_relu,
                        // SAFETY: the tile's first pixel, and the block's first column.
                        to: unsafe { to.offset(range.start * c_out + start) },
                        first: range.start * c_out + start,
                        columns: width.min(c_out - start),
                        c_out,
                    };
                    match &conv.columns.numbers {
                        Packed::Fp32(numbers) => {
                            let panel = &numbers[start * k..];
                            E::run(Product { rows, pixels: range.len(), k, panel, width, finish });
                        }
                        Packed::Bf16(numbers) => {
                            let sums = Shared(sums.as_mut_ptr());
                            let block = Block { m: range.len(), n: width, k, ld_a: k };
                            let columns = numbers[start * k..].as_ptr();
                            // SAFETY: rows, packed columns and sums have these sizes.
                            let done =
                                unsafe { block.multiply_bf16(rows.0.cast(), columns, sums.0) };
                            done.expect("the kernel was there when the weights were packed");
                            E::run(Sums { sums, width, pixels: range.len(), finish });
                        }
                    }
                }
            }
        });
        matrix_kernel::release();
    });
}

/// Pixels of a tile: tiles of equal size, as many as go around the threads evenly.
fn tile_pixels(pixels: usize, k: usize) -> usize {
    let most = (BYTES / (k * size_of::<f32>())).clamp(16, PIXELS);
    let threads = tch::get_num_threads().max(1) as usize;
    let rounds = pixels.div_ceil(threads * most).max(1);
    pixels.div_ceil(threads * rounds).max(1)
}

/// Writes what the product reads: for each pixel of the tile a row of `k` factors.
fn fill<E: Element<Number = f32>>(
    conv: &PackedConv,
    plan: &Plan,
    values: Shared<E>,
    rows: Shared<f32>,
    pixels: Range<usize>,
    relu: bool,
) {
    let k = conv.columns.k;
    let widen = matches!(conv.columns.numbers, Packed::Fp32(_));
    let prologue = Prologue { affine: None, relu };
    match &conv.first {
        FirstHalf::Depthwise { taps, bias, relu, .. } => {
            let outputs = Outputs { to: rows.0.cast(), ld: k, widen, relu: *relu };
            let (taps, bias) = (Shared::reading(taps), bias.as_deref().map(Shared::reading));
            let count = pixels.len();
            pixels_of::<E>(values, taps, bias, prologue, plan, pixels, outputs);
            // bf16 rows are filled up to an even length; the weight there is zero, what it meets must be a number.
            if k > plan.input.c {
                // SAFETY: the last place of each row.
                (1..=count).for_each(|row| unsafe { *rows.0.cast::<u16>().add(row * k - 1) = 0 });
            }
        }
        FirstHalf::Windows { .. } => {
            E::run(Windows::<E> { values, rows, relu, plan: *plan, pixels, k, widen });
        }
    }
}

/// Lays out the windows of the picture, one in a row: tap by tap the channels of a pixel.
struct Windows<E: Element> {
    values: Shared<E>,
    rows: Shared<f32>,
    relu: bool,
    plan: Plan,
    pixels: Range<usize>,
    k: usize,
    widen: bool,
}

impl<E: Element<Number = f32>> Windows<E> {
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

impl<E: Element<Number = f32>> Kernel<E> for Windows<E> {
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
                // The taps of a line are neighbours in the picture too, unless they are dilated or at its edge.
                let together = dilation[1] == 1 && left < input.w && left + kernel[1] <= input.w;
                let (runs, pixels) = if together { (1, kernel[1]) } else { (kernel[1], 1) };
                for q in 0..runs {
                    let iw = left.wrapping_add(q * dilation[1]);
                    let inside = ih < input.h && iw < input.w;
                    // SAFETY: inside the map, or not read; a row of the tile has room for every tap's channels.
                    unsafe {
                        let from =
                            inside.then(|| self.values.0.add((line + iw) * channels).cast_const());
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
