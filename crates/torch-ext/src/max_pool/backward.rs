//! The way back: each input pixel asks which windows it won, so no two threads write one pixel.

use std::ops::Range;

use tch::Tensor;

use super::Plan;
use crate::FeatureMap;
use crate::feature_map::{IntoMap, Prologue, gradients_by_row};
use crate::nhwc::elements;
use crate::parallel::Shared;
use crate::simd::{Element, Kernel, Simd};

/// The gradients in the map's inputs.
pub(super) fn run<E: Element>(
    xs: &FeatureMap,
    winners: &Tensor,
    gradient: &Tensor,
    plan: Plan,
) -> Vec<Option<Tensor>> {
    let (values, winners, gradients) =
        (elements(xs.values()), elements(winners), elements(gradient));
    let prologue = xs.prologue::<E>();
    gradients_by_row(xs, |rows, to, into_map| {
        E::run(Backward::<E> { values, winners, gradients, to, prologue, into_map, plan, rows });
    })
}

struct Backward<E: Element> {
    values: Shared<E>,
    winners: Shared<E>,
    gradients: Shared<E>,
    to: Shared<E>,
    prologue: Prologue<E::Number>,
    into_map: IntoMap<E>,
    plan: Plan,
    rows: Range<usize>,
}

impl<E: Element> Kernel<E> for Backward<E> {
    #[inline(always)]
    unsafe fn run<S: Simd<E>>(self) {
        let Self { values, winners, gradients, to, prologue, into_map, plan, rows } = self;
        let Plan { input, output, kernel, stride, before } = plan;
        let channels = input.c;
        // The windows over a line: from the first that reaches it to the last that starts at or ahead of it.
        let windows = |position: usize, before: usize, count: usize| {
            let end = position + before;
            (end + 1).saturating_sub(kernel).div_ceil(stride)..(end / stride + 1).min(count)
        };
        for (row, iw) in rows.flat_map(|row| (0..input.w).map(move |iw| (row, iw))) {
            let (n, ih) = (row / input.h, row % input.h);
            let lines = windows(ih, before[0], output.h);
            let columns = windows(iw, before[1], output.w);
            for c in (0..channels).step_by(S::LANES) {
                let (span, at) = (S::span(channels - c), (row * input.w + iw) * channels + c);
                // SAFETY: lines and columns lie within the maps, channels within the span.
                unsafe {
                    let mut g = S::zero();
                    for (oh, ow) in
                        lines.clone().flat_map(|oh| columns.clone().map(move |ow| (oh, ow)))
                    {
                        let tap =
                            (ih + before[0] - oh * stride) * kernel + iw + before[1] - ow * stride;
                        let from = ((n * output.h + oh) * output.w + ow) * channels + c;
                        let winner = S::load(winners.0.add(from), span);
                        let incoming = S::load(gradients.0.add(from), span);
                        g = S::add(g, S::where_equal(winner, S::splat(tap as f64), incoming));
                    }
                    let raw = S::load(values.0.add(at), span);
                    let x = prologue.apply::<E, S>(raw, c, span);
                    let g = into_map.pass::<S>(g, [raw, x], c, span);
                    S::store(to.0.add(at), span, g);
                }
            }
        }
    }
}
