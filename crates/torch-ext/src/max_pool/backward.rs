//! The backward pass: each input pixel asks which windows it won, so no two threads write one pixel.

use std::mem::MaybeUninit;
use std::ops::Range;

use tch::Tensor;

use super::Plan;
use crate::feature_map::{IntoMap, PendingMap, Prologue, gradients_by_row};
use crate::simd::{Element, Kernel, Simd};
use crate::view::View;

/// The gradients in the map's inputs.
pub(super) fn run<E: Element>(
    xs: &PendingMap,
    winners: &Tensor,
    gradient: &Tensor,
    plan: &Plan,
) -> Vec<Option<Tensor>> {
    let maps = [xs.view::<E>(), View::of(winners), View::of(gradient)];
    let prologue = xs.prologue();
    gradients_by_row(xs, |rows, to, into_map| {
        E::run(Backward::<E>::new(maps, to, prologue, into_map, plan, rows));
    })
}

struct Backward<'a, E: Element> {
    values: View<'a, E>,
    winners: View<'a, E>,
    gradients: View<'a, E>,
    /// The rows `rows` of the gradient in the map.
    to: &'a mut [MaybeUninit<E>],
    prologue: Prologue<'a, E::Number>,
    into_map: IntoMap<'a, E>,
    plan: Plan,
    rows: Range<usize>,
}

impl<'a, E: Element> Backward<'a, E> {
    fn new(
        [values, winners, gradients]: [View<'a, E>; 3],
        to: &'a mut [MaybeUninit<E>],
        prologue: Prologue<'a, E::Number>,
        into_map: IntoMap<'a, E>,
        plan: &Plan,
        rows: Range<usize>,
    ) -> Self {
        let Plan { input, output, .. } = *plan;
        assert!(
            values.sizes() == input
                && [winners.sizes(), gradients.sizes()] == [output; 2]
                && [output.n, output.c] == [input.n, input.c]
                && rows.end <= input.rows()
                && to.len() == rows.len() * input.w * input.c
                && prologue.fits(input.c)
                && into_map.fits(input.c),
            "expected maps of {plan:?}, got {:?} and a gradient of {:?}",
            values.sizes(),
            gradients.sizes()
        );
        Self { values, winners, gradients, to, prologue, into_map, plan: *plan, rows }
    }
}

// SAFETY: `new` has compared all maps with the plan; windows are those of its output that cover the pixel.
unsafe impl<E: Element> Kernel<E> for Backward<'_, E> {
    #[inline(always)]
    unsafe fn run<S: Simd<E>>(self) {
        let Self { values, winners, gradients, to, prologue, mut into_map, plan, rows } = self;
        let Plan { input, output, kernel, stride, before } = plan;
        let channels = input.c;
        let (values, winners, gradients) = (values.start(), winners.start(), gradients.start());
        // The address of the first row of the whole map, so that one index serves values and gradient.
        let to = to.as_mut_ptr().cast::<E>().wrapping_sub(rows.start * input.w * channels);
        // The windows over a line: from the first that reaches it to the last that starts at or before it.
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
                // SAFETY: the CPU has the instructions; rows are those of the kernel, lines and columns end with the
                // output, the span with the channels.
                unsafe {
                    let mut g = S::zero();
                    for (oh, ow) in
                        lines.clone().flat_map(|oh| columns.clone().map(move |ow| (oh, ow)))
                    {
                        let tap =
                            (ih + before[0] - oh * stride) * kernel + iw + before[1] - ow * stride;
                        let from = ((n * output.h + oh) * output.w + ow) * channels + c;
                        let winner = S::load(winners.add(from), span);
                        let incoming = S::load(gradients.add(from), span);
                        g = S::add(g, S::where_equal(winner, S::splat(tap as f64), incoming));
                    }
                    let raw = S::load(values.add(at), span);
                    let x = prologue.apply::<E, S>(raw, c, span);
                    let g = into_map.pass::<S>(g, [raw, x], c, span);
                    S::store(to.wrapping_add(at), span, g);
                }
            }
        }
    }
}
