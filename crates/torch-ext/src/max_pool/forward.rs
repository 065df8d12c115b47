//! The largest value under each window, and its tap.

use std::mem::MaybeUninit;
use std::ops::Range;

use tch::Tensor;

use super::{LARGEST, Plan};
use crate::feature_map::{PendingMap, Prologue};
use crate::parallel::{Cut, for_each_of, ranges};
use crate::simd::{Element, Kernel, Simd};
use crate::view::{NewMap, View, ViewMut};

/// The result and, if it is `kept` for the backward pass, the tap that won each window.
pub(super) fn run<E: Element>(
    xs: &PendingMap,
    kept: bool,
    plan: &Plan,
) -> (Tensor, Option<Tensor>) {
    let mut ys = NewMap::empty(plan.output, xs.values());
    let mut winners = kept.then(|| NewMap::empty(plan.output, xs.values()));
    let rows = if plan.output.elements() == 0 { 0 } else { plan.output.rows() };
    let mut to = Cut::new(ViewMut::<E>::of(&mut ys).into_elements(), rows);
    let mut kept =
        winners.as_mut().map(|map| Cut::new(ViewMut::<E>::of(map).into_elements(), rows));
    let parts = ranges(rows).into_iter().map(|rows| {
        let kept = kept.as_mut().map(|kept| kept.take(rows.len()));
        (to.take(rows.len()), kept, rows)
    });
    let (values, prologue) = (xs.view::<E>(), xs.prologue());
    for_each_of(parts.collect(), &|(to, kept, rows)| match kept {
        Some(winners) => {
            E::run(Forward::<E, true>::new(values, to, winners, prologue, plan, rows));
        }
        None => E::run(Forward::<E, false>::new(values, to, &mut [], prologue, plan, rows)),
    });
    (ys.into_tensor(), winners.map(NewMap::into_tensor))
}

/// The largest values and, if they are `KEPT` for the backward pass, the taps that won.
struct Forward<'a, E: Element, const KEPT: bool> {
    values: View<'a, E>,
    /// The rows `rows` of the result.
    to: &'a mut [MaybeUninit<E>],
    /// The same rows, or nothing.
    winners: &'a mut [MaybeUninit<E>],
    prologue: Prologue<'a, E::Number>,
    plan: Plan,
    rows: Range<usize>,
}

impl<'a, E: Element, const KEPT: bool> Forward<'a, E, KEPT> {
    fn new(
        values: View<'a, E>,
        to: &'a mut [MaybeUninit<E>],
        winners: &'a mut [MaybeUninit<E>],
        prologue: Prologue<'a, E::Number>,
        plan: &Plan,
        rows: Range<usize>,
    ) -> Self {
        let Plan { input, output, kernel, .. } = *plan;
        assert!(
            values.sizes() == input
                && [output.n, output.c] == [input.n, input.c]
                && kernel <= LARGEST as usize
                && rows.end <= output.rows()
                && to.len() == rows.len() * output.w * output.c
                && (winners.len() == to.len() || !KEPT)
                && prologue.fits(input.c),
            "expected a map and statistics of {plan:?}, got {:?}",
            values.sizes()
        );
        Self { values, to, winners, prologue, plan: *plan, rows }
    }
}

// SAFETY: `new` has compared maps and lists with the plan; windows are cut off at the edges of the image.
unsafe impl<E: Element, const KEPT: bool> Kernel<E> for Forward<'_, E, KEPT> {
    #[inline(always)]
    unsafe fn run<S: Simd<E>>(self) {
        let Self { values, to, winners, prologue, plan, rows } = self;
        let Plan { input, output, kernel, stride, before } = plan;
        let channels = input.c;
        let (values, start) = (values.start(), rows.start * output.w * channels);
        // The addresses of the first row of both whole maps.
        let [to, winners] =
            [to, winners].map(|list| list.as_mut_ptr().cast::<E>().wrapping_sub(start));
        // The places and taps of the pixels under a window, once for all channels.
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
                // SAFETY: the CPU has the instructions; the window's pixels lie within the map, rows are those of the
                // kernel, and the span ends with the channels.
                unsafe {
                    let mut best = S::splat(f64::NEG_INFINITY);
                    let mut winner = S::splat(-1.0);
                    for &(pixel, tap) in &window[..count] {
                        let x = S::load(values.add(pixel + c), span);
                        let x = prologue.apply::<E, S>(x, c, span);
                        if KEPT {
                            winner = S::where_greater(x, best, S::splat(tap as f64), winner);
                        }
                        best = S::where_greater(x, best, x, best);
                    }
                    let at = (row * output.w + ow) * channels + c;
                    S::store(to.wrapping_add(at), span, best);
                    if KEPT {
                        S::store(winners.wrapping_add(at), span, winner);
                    }
                }
            }
        }
    }
}
