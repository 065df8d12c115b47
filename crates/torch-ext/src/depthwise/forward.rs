//! The forward kernels: a 3×3 one that slides along a row with the image in registers, and one for every other.

use std::ops::Range;

use tch::Tensor;

use super::geometry::Plan;
use crate::FeatureMap;
use crate::feature_map::{Prologue, with_prologue};
use crate::nhwc::elements;
use crate::parallel::{Shared, for_each_range};
use crate::simd::{Element, Kernel, Simd};

/// Bytes of output that are walked channel vector by channel vector: with the rows they are made of they stay
/// in the second-level cache.
pub(super) const BAND: usize = 64 << 10;

/// Fills `ys` with the convolution of `xs` and the kernels `taps: [kh * kw, C]`.
pub(super) fn run<E: Element>(
    xs: &FeatureMap,
    taps: &[E::Number],
    bs: Option<&[E::Number]>,
    ys: &Tensor,
    plan: &Plan,
) {
    let (taps, bs) = (Shared::reading(taps), bs.map(Shared::reading));
    let values = elements::<E>(xs.values());
    let (to, prologue, c) = (elements::<E>(ys), xs.prologue::<E>(), plan.output.c);
    for_each_range(plan.output.pixels(), &|pixels| {
        // SAFETY: the pixels lie within the output.
        let to = unsafe { to.offset(pixels.start * c) }.0.cast();
        let outputs = Outputs { to, ld: c, widen: false, relu: false };
        pixels_of::<E>(values, taps, bs, prologue, plan, pixels, outputs);
    });
}

/// Where a run of output pixels goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outputs {
    /// The first pixel.
    pub(crate) to: *mut u8,
    /// Numbers between two pixels.
    pub(crate) ld: usize,
    /// Whether they are stored in what they were computed in, not in the map's elements.
    pub(crate) widen: bool,
    /// Whether a ReLU comes first.
    pub(crate) relu: bool,
}

/// Computes the output pixels `pixels`, counted over all images, on the thread that calls.
pub(crate) fn pixels_of<E: Element>(
    values: Shared<E>,
    taps: Shared<E::Number>,
    bs: Option<Shared<E::Number>>,
    prologue: Prologue<E::Number>,
    plan: &Plan,
    pixels: Range<usize>,
    outputs: Outputs,
) {
    let loops = Loops::<E> { values, taps, bs, outputs, prologue, plan: *plan, pixels };
    if plan.is_3x3(1) {
        with_prologue!(prologue, AFFINE, RELU => E::run(Sliding::<E, 1, AFFINE, RELU>(loops)));
    } else if plan.is_3x3(2) {
        with_prologue!(prologue, AFFINE, RELU => E::run(Sliding::<E, 2, AFFINE, RELU>(loops)));
    } else {
        E::run(General(loops));
    }
}

/// A vector of any element, zero in each lane.
pub(super) static ZEROS: [u64; 8] = [0; 8];

struct Loops<E: Element> {
    values: Shared<E>,
    taps: Shared<E::Number>,
    bs: Option<Shared<E::Number>>,
    outputs: Outputs,
    prologue: Prologue<E::Number>,
    plan: Plan,
    pixels: Range<usize>,
}

impl Outputs {
    /// Stores channels `c` and on of the `index`-th pixel.
    ///
    /// # Safety
    /// The pixel has a place, and the span lies within its channels.
    #[inline(always)]
    unsafe fn put<E: Element, S: Simd<E>>(
        self,
        index: usize,
        c: usize,
        span: S::Span,
        sum: S::Vector,
    ) {
        // SAFETY: the caller's.
        unsafe {
            let sum = if self.relu { S::relu(sum) } else { sum };
            let at = index * self.ld + c;
            if self.widen {
                S::store_numbers(self.to.cast::<E::Number>().add(at), span, sum);
            } else {
                S::store(self.to.cast::<E>().add(at), span, sum);
            }
        }
    }
}

/// A 3×3 kernel at stride 1 or 2: the window moves right by loading the columns that it has not seen.
struct Sliding<E: Element, const STRIDE: usize, const AFFINE: bool, const RELU: bool>(Loops<E>);

impl<E: Element, const STRIDE: usize, const AFFINE: bool, const RELU: bool> Kernel<E>
    for Sliding<E, STRIDE, AFFINE, RELU>
{
    #[inline(always)]
    unsafe fn run<S: Simd<E>>(self) {
        let Loops { values, taps, bs, outputs, prologue, plan, pixels } = self.0;
        let Plan { input, output, padding, .. } = plan;
        let channels = input.c;
        let band_pixels = (BAND / (channels * size_of::<E>()).max(1)).max(1);
        for start in pixels.clone().step_by(band_pixels) {
            let band = start..(start + band_pixels).min(pixels.end);
            for c in (0..channels).step_by(S::LANES) {
                let span = S::span(channels - c);
                // SAFETY: rows and columns are checked against the map's sizes, channels by the span.
                unsafe {
                    let taps: [[S::Vector; 3]; 3] = std::array::from_fn(|column| {
                        std::array::from_fn(|row| {
                            S::load_numbers(taps.0.add((row * 3 + column) * channels + c), span)
                        })
                    });
                    let bias = match bs {
                        Some(bs) => S::load_numbers(bs.0.add(c), span),
                        None => S::zero(),
                    };
                    let (scale, shift) = match prologue.affine {
                        Some((scale, shift)) if AFFINE => (
                            S::load_numbers(scale.0.add(c), span),
                            S::load_numbers(shift.0.add(c), span),
                        ),
                        _ => (S::zero(), S::zero()),
                    };
                    let mut pixel = band.start;
                    while pixel < band.end {
                        let (row, first_column) = (pixel / output.w, pixel % output.w);
                        let columns = first_column..(first_column + band.end - pixel).min(output.w);
                        let (n, oh) = (row / output.h, row % output.h);
                        let image = values.0.add(n * input.h * input.w * channels + c);
                        // A row outside of the image is read as zeros, over and over, and counts for nothing.
                        let mut row_taps = taps;
                        let lines = std::array::from_fn(|k| {
                            let ih = (oh * STRIDE + k).wrapping_sub(padding[0]);
                            if ih < input.h {
                                return (image.add(ih * input.w * channels).cast_const(), channels);
                            }
                            if AFFINE {
                                row_taps.iter_mut().for_each(|column| column[k] = S::zero());
                            }
                            (ZEROS.as_ptr().cast::<E>(), 0)
                        });
                        let lines = Lines::<E, S, AFFINE, RELU> {
                            lines,
                            width: input.w,
                            span,
                            scale,
                            shift,
                        };
                        let to_input = |ow: usize| (ow * STRIDE).wrapping_sub(padding[1]);
                        let left = to_input(columns.start);
                        let mut first = lines.column(left);
                        let mut second = lines.column(left.wrapping_add(1));
                        // Up to here the columns that a step adds lie within the image.
                        let checked_from =
                            (input.w + padding[1]).saturating_sub(2).div_ceil(STRIDE);
                        let checked_from = checked_from.clamp(columns.start, columns.end);
                        for ow in columns.clone() {
                            let iw = to_input(ow);
                            let third = if ow < checked_from {
                                if STRIDE == 2 && ow > columns.start {
                                    second = lines.inside(iw.wrapping_add(1));
                                }
                                lines.inside(iw.wrapping_add(2))
                            } else {
                                if STRIDE == 2 && ow > columns.start {
                                    second = lines.column(iw.wrapping_add(1));
                                }
                                lines.column(iw.wrapping_add(2))
                            };
                            let sum = dot::<E, S>(first, row_taps[0], bias);
                            let other = dot::<E, S>(second, row_taps[1], S::zero());
                            let sum = S::add(dot::<E, S>(third, row_taps[2], sum), other);
                            outputs.put::<E, S>(pixel - pixels.start, c, span, sum);
                            first = if STRIDE == 1 { second } else { third };
                            second = third;
                            pixel += 1;
                        }
                    }
                }
            }
        }
    }
}

/// The three lines of the image under a row of windows: where each starts, and how far its pixels lie apart.
struct Lines<E: Element, S: Simd<E>, const AFFINE: bool, const RELU: bool> {
    lines: [(*const E, usize); 3],
    width: usize,
    span: S::Span,
    scale: S::Vector,
    shift: S::Vector,
}

impl<E: Element, S: Simd<E>, const AFFINE: bool, const RELU: bool> Lines<E, S, AFFINE, RELU> {
    /// The column `iw`, which lies within the image.
    #[inline(always)]
    unsafe fn inside(&self, iw: usize) -> [S::Vector; 3] {
        let mut column = [unsafe { S::zero() }; 3];
        for (x, (line, step)) in column.iter_mut().zip(self.lines) {
            // SAFETY: the column is the caller's promise.
            unsafe {
                *x = S::load(line.add(iw * step), self.span);
                // The next channels of the row that nobody has read yet.
                S::prefetch_near(line.wrapping_add(iw * step).cast::<u8>().wrapping_add(64));
                if AFFINE {
                    *x = S::fma(*x, self.scale, self.shift);
                }
                if RELU {
                    *x = S::relu(*x);
                }
            }
        }
        column
    }

    /// The column `iw`, zero beside the image.
    #[inline(always)]
    unsafe fn column(&self, iw: usize) -> [S::Vector; 3] {
        // SAFETY: checked.
        unsafe { if iw < self.width { self.inside(iw) } else { [S::zero(); 3] } }
    }
}

/// `column · taps + sum`
#[inline(always)]
unsafe fn dot<E: Element, S: Simd<E>>(
    column: [S::Vector; 3],
    taps: [S::Vector; 3],
    sum: S::Vector,
) -> S::Vector {
    // SAFETY: the instruction set is the caller's promise.
    unsafe {
        let sum = S::fma(column[0], taps[0], sum);
        S::fma(column[2], taps[2], S::fma(column[1], taps[1], sum))
    }
}

/// Any kernel, stride, padding and dilation.
struct General<E: Element>(Loops<E>);

impl<E: Element> Kernel<E> for General<E> {
    #[inline(always)]
    unsafe fn run<S: Simd<E>>(self) {
        let Loops { values, taps, bs, outputs, prologue, plan, pixels } = self.0;
        let Plan { input, output, kernel, stride, padding, dilation } = plan;
        let channels = input.c;
        for pixel in pixels.clone() {
            let (row, ow) = (pixel / output.w, pixel % output.w);
            let (n, oh) = (row / output.h, row % output.h);
            for c in (0..channels).step_by(S::LANES) {
                let span = S::span(channels - c);
                // SAFETY: rows and columns are checked against the map's sizes, channels by the span.
                unsafe {
                    let mut sum = match bs {
                        Some(bs) => S::load_numbers(bs.0.add(c), span),
                        None => S::zero(),
                    };
                    for (r, q) in (0..kernel[0]).flat_map(|r| (0..kernel[1]).map(move |q| (r, q))) {
                        let ih = (oh * stride[0] + r * dilation[0]).wrapping_sub(padding[0]);
                        let iw = (ow * stride[1] + q * dilation[1]).wrapping_sub(padding[1]);
                        if ih >= input.h || iw >= input.w {
                            continue;
                        }
                        let at = ((n * input.h + ih) * input.w + iw) * channels + c;
                        let x = prologue.apply::<E, S>(S::load(values.0.add(at), span), c, span);
                        let tap = taps.0.add((r * kernel[1] + q) * channels + c);
                        sum = S::fma(x, S::load_numbers(tap, span), sum);
                    }
                    outputs.put::<E, S>(pixel - pixels.start, c, span, sum);
                }
            }
        }
    }
}
