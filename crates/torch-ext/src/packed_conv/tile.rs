//! Tile by tile: fill, multiply, finish.

use std::cell::RefCell;
use std::ops::Range;

use tch::Tensor;

use super::pack::{BLOCK, Packed};
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
            let k = conv.columns.k;
            // bf16 rows need half of it.
            rows.resize(rows.len().max(size * k), 0.0);
            sums.resize(sums.len().max(size * BLOCK), 0.0);
            for tile in tiles {
                let range = tile * size..((tile + 1) * size).min(pixels);
                let rows = Shared(rows.as_mut_ptr());
                fill::<E>(conv, plan, values, rows, range.clone(), around.opens_with_relu);
                for block in 0..conv.columns.c_out.div_ceil(BLOCK) {
                    let sums = Shared(sums.as_mut_ptr());
                    multiply(conv, rows, sums, block, range.len());
                    E::run(Finish::<E> {
                        sums,
                        bias: Shared(conv.columns.bias[block * BLOCK..].as_ptr().cast_mut()),
                        residual,
                        residual_relu: around.residual_relu,
                        relu: around.closes_with_relu,
                        to,
                        pixels: range.clone(),
                        columns: block * BLOCK..((block + 1) * BLOCK).min(conv.columns.c_out),
                        c_out: conv.columns.c_out,
                    });
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
            let numbers = |list: &Vec<f32>| Shared(list.as_ptr().cast_mut());
            let bias = bias.as_ref().map(numbers);
            let count = pixels.len();
            pixels_of::<E>(values, numbers(taps), bias, prologue, plan, pixels, outputs);
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

/// The sums of one block of columns over the rows of a tile.
fn multiply(conv: &PackedConv, rows: Shared<f32>, sums: Shared<f32>, block: usize, pixels: usize) {
    let k = conv.columns.k;
    let sizes = Block { m: pixels, n: BLOCK, k, ld_a: k };
    let start = block * k * BLOCK;
    // SAFETY: rows, sums and packed columns have these sizes.
    let done = unsafe {
        match &conv.columns.numbers {
            Packed::Fp32(columns) => sizes.multiply_fp32(rows.0, columns[start..].as_ptr(), sums.0),
            Packed::Bf16(columns) => {
                sizes.multiply_bf16(rows.0.cast(), columns[start..].as_ptr(), sums.0)
            }
        }
    };
    done.expect("the kernel was there when the weights were packed");
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
                let line = (n * input.h + ih).wrapping_mul(input.w);
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

/// Adds shift and residual to a block's sums, and writes them out.
struct Finish<E: Element> {
    sums: Shared<f32>,
    bias: Shared<f32>,
    residual: Option<Shared<E>>,
    residual_relu: bool,
    relu: bool,
    to: Shared<E>,
    pixels: Range<usize>,
    columns: Range<usize>,
    c_out: usize,
}

impl<E: Element<Number = f32>> Kernel<E> for Finish<E> {
    #[inline(always)]
    unsafe fn run<S: Simd<E>>(self) {
        let Self { sums, bias, residual, residual_relu, relu, to, pixels, columns, c_out } = self;
        for (index, pixel) in pixels.enumerate() {
            for c in (0..columns.len()).step_by(S::LANES) {
                let (span, at) = (S::span(columns.len() - c), pixel * c_out + columns.start + c);
                // SAFETY: the block's sums, the columns' biases, pixels of maps of the output's shape.
                unsafe {
                    let sum = S::load_numbers(sums.0.add(index * BLOCK + c), span);
                    let mut y = S::add(sum, S::load_numbers(bias.0.add(c), span));
                    if let Some(residual) = residual {
                        let x = S::load(residual.0.add(at), span);
                        y = S::add(y, if residual_relu { S::relu(x) } else { x });
                    }
                    S::store(to.0.add(at), span, if relu { S::relu(y) } else { y });
                }
            }
        }
    }
}
