//! The backward kernels: the gradients in the map and in the kernels, from one walk over both.
//!
//! Seen from an input pixel, the outputs that it went into form a window of the gradient. Sliding along a row,
//! that window gives the pixel's own gradient (against the taps) and its part in every tap's (against its value).

use std::mem::MaybeUninit;
use std::ops::Range;

use tch::Tensor;

use super::geometry::Plan;
use crate::feature_map::{
    GradientSums, IntoMap, PendingMap, Prologue, add_to, sums_by_row, with_prologue,
};
use crate::simd::{Element, Kernel, Simd};
use crate::view::{NewMap, View, ViewMut};

/// Bytes of input that are walked channel vector by channel vector.
const BAND: usize = 64 << 10;

pub(super) struct Gradients {
    /// In the tensor that the map resolves to, cut off at its ReLU.
    pub(super) map: Tensor,
    /// In the taps, `[kh * kw, C]`.
    pub(super) taps: Vec<f64>,
    /// The sums that the map's normalisation needs, if it has one.
    pub(super) sums: Option<GradientSums>,
}

/// The gradients in `xs` and in `taps: [kh * kw, C]`, given that in the output.
pub(super) fn run<E: Element>(
    xs: &PendingMap,
    taps: &[E::Number],
    gradient: &Tensor,
    plan: &Plan,
) -> Gradients {
    let mut map = NewMap::empty(plan.input, xs.values());
    let maps = [xs.view::<E>(), View::of(gradient)];
    let (mean, prologue) = (xs.mean(), xs.prologue());
    // After the sums of the taps come those of the gradient and of its product with the centred value.
    let mut totals = sums_by_row(ViewMut::of(&mut map), plan.taps() + 2, |rows, to, sums| {
        let loops = Loops::<E>::new(maps, taps, to, prologue, mean, sums, plan, rows);
        if plan.is_3x3(1) {
            with_prologue!(prologue, AFFINE, RELU => E::run(Sliding::<E, AFFINE, RELU>(loops)));
        } else if plan.is_3x3(2) {
            E::run(General::<E, 3, 2>(loops));
        } else {
            E::run(General::<E, 0, 0>(loops));
        }
    });
    let of_map = totals.split_off(plan.taps());
    let sums = mean.map(|_| GradientSums::of(of_map));
    Gradients { map: map.into_tensor(), taps: totals.concat(), sums }
}

/// The views and lists of both kernels, which have the sizes of the plan.
struct Loops<'a, E: Element> {
    values: View<'a, E>,
    gradients: View<'a, E>,
    taps: &'a [E::Number],
    /// The rows `rows` of the gradient in the map.
    to: &'a mut [MaybeUninit<E>],
    prologue: Prologue<'a, E::Number>,
    mean: Option<&'a [E::Number]>,
    /// `[taps + 2, C]`.
    sums: &'a mut [E::Number],
    plan: Plan,
    rows: Range<usize>,
}

impl<'a, E: Element> Loops<'a, E> {
    fn new(
        [values, gradients]: [View<'a, E>; 2],
        taps: &'a [E::Number],
        to: &'a mut [MaybeUninit<E>],
        prologue: Prologue<'a, E::Number>,
        mean: Option<&'a [E::Number]>,
        sums: &'a mut [E::Number],
        plan: &Plan,
        rows: Range<usize>,
    ) -> Self {
        let Plan { input, output, .. } = *plan;
        let c = input.c;
        assert!(
            values.sizes() == input
                && gradients.sizes() == output
                && [output.n, output.c] == [input.n, c]
                && taps.len() == plan.taps() * c
                && rows.end <= input.rows()
                && to.len() == rows.len() * input.w * c
                && prologue.fits(c)
                && mean.is_none_or(|mean| mean.len() == c)
                && sums.len() == taps.len() + 2 * c,
            "expected maps, kernels and statistics of {plan:?}, got {:?}, a gradient of {:?} and {} taps",
            values.sizes(),
            gradients.sizes(),
            taps.len()
        );
        Self { values, gradients, taps, to, prologue, mean, sums, plan: *plan, rows }
    }
}

/// A 3×3 kernel at stride 1.
struct Sliding<'a, E: Element, const AFFINE: bool, const RELU: bool>(Loops<'a, E>);

// SAFETY: `Loops::new` has compared views and lists with the plan, which `run` has asked for its 3×3 kernel; outputs
// beside the map read zeros instead.
unsafe impl<E: Element, const AFFINE: bool, const RELU: bool> Kernel<E>
    for Sliding<'_, E, AFFINE, RELU>
{
    #[inline(always)]
    unsafe fn run<S: Simd<E>>(self) {
        let Loops { values, gradients, taps, to, prologue, mean, sums, plan, rows } = self.0;
        let Plan { input, output, padding, .. } = plan;
        let channels = input.c;
        let (values, gradients, taps) = (values.start(), gradients.start(), taps.as_ptr());
        let sums = sums.as_mut_ptr();
        // The address of the first row of the whole map, so that one index serves values and gradient.
        let to = to.as_mut_ptr().cast::<E>().wrapping_sub(rows.start * input.w * channels);
        let band_rows = (BAND / (input.w * channels * size_of::<E>()).max(1)).max(1);
        for start in rows.clone().step_by(band_rows) {
            let band = start..(start + band_rows).min(rows.end);
            for c in (0..channels).step_by(S::LANES) {
                let span = S::span(channels - c);
                // SAFETY: the CPU has the instructions; rows are those of the kernel, outputs are compared with the map's
                // sizes before they are read, and the span ends with the channels.
                unsafe {
                    let at_tap = |row: usize, column: usize| (row * 3 + column) * channels + c;
                    let taps: [[S::Vector; 3]; 3] = std::array::from_fn(|column| {
                        std::array::from_fn(|row| {
                            S::load_numbers(taps.add(at_tap(row, column)), span)
                        })
                    });
                    let mut tap_sums = [[S::zero(); 3]; 3];
                    let (mut sum, mut product) = (S::zero(), S::zero());
                    let mut statistics = [S::zero(); 3];
                    if let (true, Some((scale, shift)), Some(mean)) =
                        (AFFINE, prologue.affine(), mean)
                    {
                        statistics = [scale, shift, mean.as_ptr()]
                            .map(|at| S::load_numbers(at.add(c), span));
                    }
                    let [scale, shift, mean] = statistics;
                    for row in band.clone() {
                        let (n, ih) = (row / input.h, row % input.h);
                        let image = gradients.add(n * output.h * output.w * channels + c);
                        let bottom = ih + padding[0];
                        // Tap row r of input row ih belongs to output row ih + padding - r; columns likewise.
                        let column = |ow: usize| -> [S::Vector; 3] {
                            std::array::from_fn(|r| {
                                let oh = bottom.wrapping_sub(r);
                                if oh < output.h && ow < output.w {
                                    S::load(image.add((oh * output.w + ow) * channels), span)
                                } else {
                                    S::zero()
                                }
                            })
                        };
                        let at = row * input.w * channels + c;
                        let mut third = column(padding[1].wrapping_sub(2));
                        let mut second = column(padding[1].wrapping_sub(1));
                        for iw in 0..input.w {
                            let first = column(iw + padding[1]);
                            let raw = S::load(values.add(at + iw * channels), span);
                            let opened = if AFFINE { S::fma(raw, scale, shift) } else { raw };
                            let x = if RELU { S::relu(opened) } else { opened };
                            let window = [first, second, third];
                            let mut parts = [S::zero(); 3];
                            for q in 0..3 {
                                for r in 0..3 {
                                    parts[q] = S::fma(window[q][r], taps[q][r], parts[q]);
                                    tap_sums[q][r] = S::fma(window[q][r], x, tap_sums[q][r]);
                                }
                            }
                            let mut g = S::add(S::add(parts[0], parts[1]), parts[2]);
                            if RELU {
                                g = S::where_positive(opened, g);
                            }
                            if AFFINE {
                                sum = S::add(sum, g);
                                product = S::fma(g, S::sub(raw, mean), product);
                            }
                            S::store(to.wrapping_add(at + iw * channels), span, g);
                            third = second;
                            second = first;
                        }
                    }
                    for (column, sums_of_column) in tap_sums.into_iter().enumerate() {
                        for (row, sum) in sums_of_column.into_iter().enumerate() {
                            add_to::<E, S>(sums.add(at_tap(row, column)), span, sum);
                        }
                    }
                    add_to::<E, S>(sums.add(9 * channels + c), span, sum);
                    add_to::<E, S>(sums.add(10 * channels + c), span, product);
                }
            }
        }
    }
}

/// Any kernel, stride, padding and dilation. `K` and `STRIDE` are known to the compiler where they are not zero.
struct General<'a, E: Element, const K: usize, const STRIDE: usize>(Loops<'a, E>);

// SAFETY: `Loops::new` has compared views and lists with the plan, and constants that are not zero are the plan's, for
// `run` asks it first; outputs beside the map are skipped.
unsafe impl<E: Element, const K: usize, const STRIDE: usize> Kernel<E>
    for General<'_, E, K, STRIDE>
{
    #[inline(always)]
    unsafe fn run<S: Simd<E>>(self) {
        let Loops { values, gradients, taps, to, prologue, mean, sums, plan, rows } = self.0;
        let Plan { input, output, kernel, stride, padding, dilation } = plan;
        let (kernel, stride) = if K == 0 { (kernel, stride) } else { ([K; 2], [STRIDE; 2]) };
        let dilation = if K == 0 { dilation } else { [1; 2] };
        let channels = input.c;
        let (sums, map_sums) = sums.split_at_mut(taps.len());
        let mut into_map = IntoMap::<E>::new(prologue.relu(), mean, map_sums, channels);
        let (values, gradients, taps) = (values.start(), gradients.start(), taps.as_ptr());
        let sums = sums.as_mut_ptr();
        // The address of the first row of the whole map, so that one index serves values and gradient.
        let to = to.as_mut_ptr().cast::<E>().wrapping_sub(rows.start * input.w * channels);
        for (row, iw) in rows.flat_map(|row| (0..input.w).map(move |iw| (row, iw))) {
            let (n, ih) = (row / input.h, row % input.h);
            for c in (0..channels).step_by(S::LANES) {
                let (span, at) = (S::span(channels - c), (row * input.w + iw) * channels + c);
                // SAFETY: the CPU has the instructions; rows are those of the kernel, outputs are compared with the map's
                // sizes before they are read, and the span ends with the channels.
                unsafe {
                    let raw = S::load(values.add(at), span);
                    let x = prologue.apply::<E, S>(raw, c, span);
                    let mut g = S::zero();
                    for r in 0..kernel[0] {
                        let Some(oh) = (ih + padding[0]).checked_sub(r * dilation[0]) else {
                            break;
                        };
                        if oh % stride[0] != 0 || oh / stride[0] >= output.h {
                            continue;
                        }
                        for q in 0..kernel[1] {
                            let Some(ow) = (iw + padding[1]).checked_sub(q * dilation[1]) else {
                                break;
                            };
                            if ow % stride[1] != 0 || ow / stride[1] >= output.w {
                                continue;
                            }
                            let (oh, ow) = (oh / stride[0], ow / stride[1]);
                            let from = ((n * output.h + oh) * output.w + ow) * channels + c;
                            let incoming = S::load(gradients.add(from), span);
                            let tap = r * kernel[1] + q;
                            let weight = S::load_numbers(taps.add(tap * channels + c), span);
                            g = S::fma(incoming, weight, g);
                            add_to::<E, S>(sums.add(tap * channels + c), span, S::mul(incoming, x));
                        }
                    }
                    let g = into_map.pass::<S>(g, [raw, x], c, span);
                    S::store(to.wrapping_add(at), span, g);
                }
            }
        }
    }
}
