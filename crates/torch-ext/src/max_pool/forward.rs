//! The largest value under each window, and which tap it was.

use std::ops::Range;

use tch::Tensor;

use super::{LARGEST, Plan};
use crate::FeatureMap;
use crate::feature_map::Prologue;
use crate::nhwc::elements;
use crate::parallel::{Shared, for_each_range};
use crate::simd::{Element, Kernel, Simd};

/// Fills `ys` and, where they are asked for, the `winners`.
pub(super) fn run<E: Element>(xs: &FeatureMap, ys: &Tensor, winners: Option<&Tensor>, plan: Plan) {
    let (values, to, winners) = (elements(xs.values()), elements(ys), winners.map(elements));
    let (prologue, rows) = (xs.prologue::<E>(), plan.output.rows());
    for_each_range(rows, &|rows| match winners {
        Some(winners) => {
            E::run(Forward::<E, true> { values, to, winners, prologue, plan, rows });
        }
        None => {
            let winners = Shared(std::ptr::null_mut());
            E::run(Forward::<E, false> { values, to, winners, prologue, plan, rows });
        }
    });
}

/// The largest values and, if they are to be `KEPT` for the way back, which tap won.
struct Forward<E: Element, const KEPT: bool> {
    values: Shared<E>,
    to: Shared<E>,
    winners: Shared<E>,
    prologue: Prologue<E::Number>,
    plan: Plan,
    rows: Range<usize>,
}

impl<E: Element, const KEPT: bool> Kernel<E> for Forward<E, KEPT> {
    #[inline(always)]
    unsafe fn run<S: Simd<E>>(self) {
        let Self { values, to, winners, prologue, plan, rows } = self;
        let Plan { input, output, kernel, stride, before } = plan;
        let channels = input.c;
        // Where the pixels under a window lie, once for all channels, and which taps they are.
        let mut window = [(0, 0); (LARGEST * LARGEST) as usize];
        for (row, ow) in rows.flat_map(|row| (0..output.w).map(move |ow| (row, ow))) {
            let (n, oh) = (row / output.h, row % output.h);
            let span_of = |position: usize, before: usize, pixels: usize| {
                let start = position * stride;
                start.saturating_sub(before)..(start + kernel - before).min(pixels)
            };
            let mut count = 0;
            for ih in span_of(oh, before[0], input.h) {
                for iw in span_of(ow, before[1], input.w) {
                    let tap =
                        (ih + before[0] - oh * stride) * kernel + iw + before[1] - ow * stride;
                    window[count] = (((n * input.h + ih) * input.w + iw) * channels, tap);
                    count += 1;
                }
            }
            for c in (0..channels).step_by(S::LANES) {
                let span = S::span(channels - c);
                // SAFETY: the window lies within the map, channels within the span.
                unsafe {
                    let mut best = S::splat(f64::NEG_INFINITY);
                    let mut winner = S::splat(-1.0);
                    for &(pixel, tap) in &window[..count] {
                        let x = S::load(values.0.add(pixel + c), span);
                        let x = prologue.apply::<E, S>(x, c, span);
                        if KEPT {
                            winner = S::where_greater(x, best, S::splat(tap as f64), winner);
                        }
                        best = S::where_greater(x, best, x, best);
                    }
                    let at = (row * output.w + ow) * channels + c;
                    S::store(to.0.add(at), span, best);
                    if KEPT {
                        S::store(winners.0.add(at), span, winner);
                    }
                }
            }
        }
    }
}
