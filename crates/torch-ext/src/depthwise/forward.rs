//! The forward kernels: a 3×3 one that slides along a row with the picture in registers, and one for every other.

use std::ops::Range;

use tch::Tensor;

use super::geometry::Plan;
use crate::FeatureMap;
use crate::feature_map::{Prologue, numbers};
use crate::nhwc::elements;
use crate::parallel::{Shared, for_each, piece};
use crate::simd::{Element, Kernel, Simd};

/// Pieces that the output pixels are cut into for the pool.
const PIECES: usize = 64;

/// Bytes of output that are walked channel vector by channel vector: with the rows they are made of they stay
/// in the second-level cache.
const BAND: usize = 64 << 10;

/// Fills `ys` with the convolution of `xs` and the kernels `taps: [kh * kw, C]`.
pub(super) fn run<E: Element>(
    xs: &FeatureMap,
    taps: &Tensor,
    bs: Option<&Tensor>,
    ys: &Tensor,
    plan: &Plan,
) {
    let (values, taps, bs) = (elements::<E>(xs.values()), numbers(taps), bs.map(numbers));
    let (to, prologue, c) = (elements::<E>(ys), xs.prologue::<E>(), plan.output.c);
    for_each(PIECES, &|index| {
        let to = to;
        let pixels = piece(plan.output.pixels(), PIECES, index);
        // SAFETY: the piece lies within the output.
        let to = unsafe { to.0.add(pixels.start * c) }.cast();
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

/// Computes the output pixels `pixels`, counted over all pictures, on the thread that calls.
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
    match (plan.is_3x3(1), plan.is_3x3(2), prologue) {
        (true, _, Prologue { affine: None, relu: false }) => {
            E::run(Sliding::<E, 1, false, false>(loops));
        }
        (true, _, Prologue { affine: None, relu: true }) => {
            E::run(Sliding::<E, 1, false, true>(loops));
        }
        (true, _, Prologue { affine: Some(_), relu: false }) => {
            E::run(Sliding::<E, 1, true, false>(loops));
        }
        (true, _, Prologue { affine: Some(_), relu: true }) => {
            E::run(Sliding::<E, 1, true, true>(loops));
        }
        (_, true, Prologue { affine: None, relu: false }) => {
            E::run(Sliding::<E, 2, false, false>(loops));
        }
        (_, true, Prologue { affine: None, relu: true }) => {
            E::run(Sliding::<E, 2, false, true>(loops));
        }
        (_, true, Prologue { affine: Some(_), relu: false }) => {
            E::run(Sliding::<E, 2, true, false>(loops));
        }
        (_, true, Prologue { affine: Some(_), relu: true }) => {
            E::run(Sliding::<E, 2, true, true>(loops));
        }
        _ => E::run(General(loops)),
    }
}

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
                        let picture = values.0.add(n * input.h * input.w * channels + c);
                        let top = (oh * STRIDE) as isize - padding[0] as isize;
                        let column = |iw: isize| -> [S::Vector; 3] {
                            std::array::from_fn(|k| {
                                let ih = top + k as isize;
                                if (ih as usize) < input.h && (iw as usize) < input.w {
                                    let at = (ih as usize * input.w + iw as usize) * channels;
                                    let mut x = S::load(picture.add(at), span);
                                    if AFFINE {
                                        x = S::fma(x, scale, shift);
                                    }
                                    if RELU { S::relu(x) } else { x }
                                } else {
                                    S::zero()
                                }
                            })
                        };
                        let dot = |column: [S::Vector; 3], taps: [S::Vector; 3], sum| {
                            let sum = S::fma(column[0], taps[0], sum);
                            S::fma(column[2], taps[2], S::fma(column[1], taps[1], sum))
                        };
                        let left = (columns.start * STRIDE) as isize - padding[1] as isize;
                        let (mut first, mut second) = (column(left), column(left + 1));
                        for (step, ow) in columns.enumerate() {
                            let iw = (ow * STRIDE) as isize - padding[1] as isize;
                            if STRIDE == 2 && step > 0 {
                                second = column(iw + 1);
                            }
                            let third = column(iw + 2);
                            let sums = [dot(first, taps[0], bias), dot(second, taps[1], S::zero())];
                            let sum = S::add(dot(third, taps[2], sums[0]), sums[1]);
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
