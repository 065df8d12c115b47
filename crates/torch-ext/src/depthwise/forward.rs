//! The forward kernels: a 3×3 one that slides along a row with the image in registers, and one for every other.

use std::ops::Range;

use tch::Tensor;

use super::geometry::Plan;
use super::outputs::Outputs;
use crate::feature_map::{PendingMap, Prologue, with_prologue};
use crate::parallel::for_each_range_of;
use crate::simd::{Element, Kernel, Simd};
use crate::view::{NewMap, View, ViewMut};

/// Bytes of output that are walked channel vector by channel vector: with the rows that they are computed from they stay
/// in the second-level cache.
pub(super) const BAND: usize = 64 << 10;

/// The convolution of `xs` with the kernels `taps: [kh * kw, C]`.
pub(super) fn run<E: Element>(
    xs: &PendingMap,
    taps: &[E::Number],
    bs: Option<&[E::Number]>,
    plan: &Plan,
) -> Tensor {
    let mut ys = NewMap::empty(plan.output, xs.values());
    let (values, prologue, c) = (xs.view::<E>(), xs.prologue(), plan.output.c);
    let to = ViewMut::<E>::of(&mut ys).into_elements();
    for_each_range_of(to, plan.output.pixels(), &|pixels, to| {
        let outputs = Outputs::elements(to, c);
        pixels_of::<E>(values, taps, bs, prologue, plan, pixels, outputs);
    });
    ys.into_tensor()
}

/// Computes the output pixels `pixels`, counted over all images, on the calling thread.
///
/// # Panics
/// Where views and lists do not have the sizes of `plan`.
pub(crate) fn pixels_of<E: Element>(
    values: View<E>,
    taps: &[E::Number],
    bs: Option<&[E::Number]>,
    prologue: Prologue<E::Number>,
    plan: &Plan,
    pixels: Range<usize>,
    outputs: Outputs<E>,
) {
    let loops = Loops::<E>::new(values, taps, bs, prologue, plan, pixels, outputs);
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

/// The views and lists of both kernels, which have the sizes of the plan.
struct Loops<'a, E: Element> {
    values: View<'a, E>,
    taps: &'a [E::Number],
    bs: Option<&'a [E::Number]>,
    outputs: Outputs<'a, E>,
    prologue: Prologue<'a, E::Number>,
    plan: Plan,
    pixels: Range<usize>,
}

impl<'a, E: Element> Loops<'a, E> {
    fn new(
        values: View<'a, E>,
        taps: &'a [E::Number],
        bs: Option<&'a [E::Number]>,
        prologue: Prologue<'a, E::Number>,
        plan: &Plan,
        pixels: Range<usize>,
        outputs: Outputs<'a, E>,
    ) -> Self {
        let Plan { input, output, .. } = *plan;
        let c = input.c;
        assert!(
            values.sizes() == input
                && [output.n, output.c] == [input.n, c]
                && taps.len() == plan.taps() * c
                && bs.is_none_or(|bs| bs.len() == c)
                && prologue.fits(c)
                && pixels.end <= output.pixels()
                && outputs.fit(pixels.len(), c),
            "expected maps, kernels and statistics of {plan:?}, got {:?} and {} taps",
            values.sizes(),
            taps.len()
        );
        Self { values, taps, bs, outputs, prologue, plan: *plan, pixels }
    }
}

/// A 3×3 kernel at stride 1 or 2: the window moves right by loading the columns that it has not seen.
struct Sliding<'a, E: Element, const STRIDE: usize, const AFFINE: bool, const RELU: bool>(
    Loops<'a, E>,
);

// SAFETY: `Loops::new` has compared views and lists with the plan, which `pixels_of` has asked for its 3×3 kernel; windows
// that leave the image read zeros instead.
unsafe impl<E: Element, const STRIDE: usize, const AFFINE: bool, const RELU: bool> Kernel<E>
    for Sliding<'_, E, STRIDE, AFFINE, RELU>
{
    #[inline(always)]
    unsafe fn run<S: Simd<E>>(self) {
        let Loops { values, taps, bs, outputs, prologue, plan, pixels } = self.0;
        let Plan { input, output, padding, .. } = plan;
        let channels = input.c;
        let (values, taps) = (values.start(), taps.as_ptr());
        let band_pixels = (BAND / (channels * size_of::<E>()).max(1)).max(1);
        for start in pixels.clone().step_by(band_pixels) {
            let band = start..(start + band_pixels).min(pixels.end);
            for c in (0..channels).step_by(S::LANES) {
                let span = S::span(channels - c);
                // SAFETY: the CPU has the instructions; rows and columns are compared with the map's sizes before they
                // are read, and the span ends with the channels.
                unsafe {
                    let taps: [[S::Vector; 3]; 3] = std::array::from_fn(|column| {
                        std::array::from_fn(|row| {
                            S::load_numbers(taps.add((row * 3 + column) * channels + c), span)
                        })
                    });
                    let bias = match bs {
                        Some(bs) => S::load_numbers(bs.as_ptr().add(c), span),
                        None => S::zero(),
                    };
                    let (scale, shift) = match prologue.affine() {
                        Some((scale, shift)) if AFFINE => (
                            S::load_numbers(scale.add(c), span),
                            S::load_numbers(shift.add(c), span),
                        ),
                        _ => (S::zero(), S::zero()),
                    };
                    let mut pixel = band.start;
                    while pixel < band.end {
                        let (row, first_column) = (pixel / output.w, pixel % output.w);
                        let columns = first_column..(first_column + band.end - pixel).min(output.w);
                        let (n, oh) = (row / output.h, row % output.h);
                        // An image without pixels has no address.
                        let image = values.wrapping_add(n * input.h * input.w * channels + c);
                        // A row outside of the image is read as zeros, column after column, and has taps of zero.
                        let mut row_taps = taps;
                        let lines = std::array::from_fn(|k| {
                            let ih = (oh * STRIDE + k).wrapping_sub(padding[0]);
                            if ih < input.h {
                                return (image.add(ih * input.w * channels), channels);
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
                            outputs.put::<S>(pixel - pixels.start, c, span, sum);
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

/// The three lines of the image under a row of windows: the start of each, and the distance between its pixels.
///
/// Each line has `width` pixels with the channels of the span, or reads the same zeros for all of them.
struct Lines<E: Element, S: Simd<E>, const AFFINE: bool, const RELU: bool> {
    lines: [(*const E, usize); 3],
    width: usize,
    span: S::Span,
    scale: S::Vector,
    shift: S::Vector,
}

impl<E: Element, S: Simd<E>, const AFFINE: bool, const RELU: bool> Lines<E, S, AFFINE, RELU> {
    /// The column `iw`.
    ///
    /// # Safety
    /// The CPU has the instructions of `S`, and the column lies within the image.
    #[inline(always)]
    unsafe fn inside(&self, iw: usize) -> [S::Vector; 3] {
        // SAFETY: the caller has the instructions.
        let mut column = [unsafe { S::zero() }; 3];
        for (x, (line, step)) in column.iter_mut().zip(self.lines) {
            // SAFETY: the caller has the instructions and a column within the image.
            unsafe {
                *x = S::load(line.add(iw * step), self.span);
                // The next channels of the row, which come into the cache for the next pass over the band.
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
    ///
    /// # Safety
    /// The CPU has the instructions of `S`.
    #[inline(always)]
    unsafe fn column(&self, iw: usize) -> [S::Vector; 3] {
        // SAFETY: the caller has the instructions; the column is compared with the width first.
        unsafe { if iw < self.width { self.inside(iw) } else { [S::zero(); 3] } }
    }
}

/// `column · taps + sum`
///
/// # Safety
/// The CPU has the instructions of `S`.
#[inline(always)]
unsafe fn dot<E: Element, S: Simd<E>>(
    column: [S::Vector; 3],
    taps: [S::Vector; 3],
    sum: S::Vector,
) -> S::Vector {
    // SAFETY: the caller has the instructions.
    unsafe {
        let sum = S::fma(column[0], taps[0], sum);
        S::fma(column[2], taps[2], S::fma(column[1], taps[1], sum))
    }
}

/// Any kernel, stride, padding and dilation.
struct General<'a, E: Element>(Loops<'a, E>);

// SAFETY: `Loops::new` has compared views and lists with the plan; taps beside the image are skipped.
unsafe impl<E: Element> Kernel<E> for General<'_, E> {
    #[inline(always)]
    unsafe fn run<S: Simd<E>>(self) {
        let Loops { values, taps, bs, outputs, prologue, plan, pixels } = self.0;
        let Plan { input, output, kernel, stride, padding, dilation } = plan;
        let channels = input.c;
        let (values, taps) = (values.start(), taps.as_ptr());
        for pixel in pixels.clone() {
            let (row, ow) = (pixel / output.w, pixel % output.w);
            let (n, oh) = (row / output.h, row % output.h);
            for c in (0..channels).step_by(S::LANES) {
                let span = S::span(channels - c);
                // SAFETY: the CPU has the instructions; rows and columns are compared with the map's sizes before they
                // are read, and the span ends with the channels.
                unsafe {
                    let mut sum = match bs {
                        Some(bs) => S::load_numbers(bs.as_ptr().add(c), span),
                        None => S::zero(),
                    };
                    for (r, q) in (0..kernel[0]).flat_map(|r| (0..kernel[1]).map(move |q| (r, q))) {
                        let ih = (oh * stride[0] + r * dilation[0]).wrapping_sub(padding[0]);
                        let iw = (ow * stride[1] + q * dilation[1]).wrapping_sub(padding[1]);
                        if ih >= input.h || iw >= input.w {
                            continue;
                        }
                        let at = ((n * input.h + ih) * input.w + iw) * channels + c;
                        let x = prologue.apply::<E, S>(S::load(values.add(at), span), c, span);
                        let tap = taps.add((r * kernel[1] + q) * channels + c);
                        sum = S::fma(x, S::load_numbers(tap, span), sum);
                    }
                    outputs.put::<S>(pixel - pixels.start, c, span, sum);
                }
            }
        }
    }
}
