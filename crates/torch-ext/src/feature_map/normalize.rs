//! The gradient in the values of a map, element by element.

use std::mem::MaybeUninit;
use std::ops::Range;

use tch::Tensor;

use super::batch_norm::Centre;
use super::{PendingMap, Prologue};
use crate::parallel::for_each_range_of;
use crate::simd::{Element, Kernel, Simd};
use crate::view::{NewMap, View, ViewMut};

/// The gradient where the map's ReLU lets it through, times the scale of its normalisation if it has one. Nothing is
/// missing where statistics are fixed.
pub(super) fn passed_through<E: Element>(map: &PendingMap, gradient: &Tensor) -> Tensor {
    run::<E>(map, gradient, None)
}

/// `scale * g - offset - slope * (x - mean)`, with `g` the gradient where the ReLU lets it through.
pub(super) fn centred<E: Element>(map: &PendingMap, gradient: &Tensor, centre: &Centre) -> Tensor {
    let mean = map.mean().expect("centred on a normalisation's mean");
    let statistics = [mean, centre.offset(), centre.slope()];
    run::<E>(map, gradient, Some(statistics))
}

fn run<E: Element>(
    map: &PendingMap,
    gradient: &Tensor,
    statistics: Option<[&[E::Number]; 3]>,
) -> Tensor {
    let mut result = NewMap::empty(map.sizes(), map.values());
    let maps = [map.view::<E>(), View::of(gradient)];
    let (pixels, prologue) = (map.sizes().pixels(), map.prologue());
    let to = ViewMut::<E>::of(&mut result).into_elements();
    for_each_range_of(to, pixels, &|range, to| {
        E::run(Back::<E>::new(maps, to, prologue, statistics, range));
    });
    result.into_tensor()
}

struct Back<'a, E: Element> {
    values: View<'a, E>,
    gradients: View<'a, E>,
    /// The pixels `range` of the result.
    to: &'a mut [MaybeUninit<E>],
    prologue: Prologue<'a, E::Number>,
    /// Mean, offset and slope, a number for each channel.
    statistics: Option<[&'a [E::Number]; 3]>,
    range: Range<usize>,
}

impl<'a, E: Element> Back<'a, E> {
    fn new(
        [values, gradients]: [View<'a, E>; 2],
        to: &'a mut [MaybeUninit<E>],
        prologue: Prologue<'a, E::Number>,
        statistics: Option<[&'a [E::Number]; 3]>,
        range: Range<usize>,
    ) -> Self {
        let (sizes, c) = (values.sizes(), values.sizes().c);
        assert!(
            gradients.sizes() == sizes
                && range.end <= sizes.pixels()
                && to.len() == range.len() * c
                && prologue.fits(c)
                && statistics.iter().flatten().all(|list| list.len() == c),
            "expected a gradient of {sizes:?} and statistics of {c} channels, got {:?}",
            gradients.sizes()
        );
        Self { values, gradients, to, prologue, statistics, range }
    }
}

// SAFETY: `new` has compared the pixels and channels of all lists.
unsafe impl<E: Element> Kernel<E> for Back<'_, E> {
    #[inline(always)]
    unsafe fn run<S: Simd<E>>(self) {
        let Self { values, gradients, to, prologue, statistics, range } = self;
        let channels = values.sizes().c;
        let (values, gradients) = (values.start(), gradients.start());
        // The address of the first pixel of the whole result, so that one index serves all three maps.
        let to = to.as_mut_ptr().cast::<E>().wrapping_sub(range.start * channels);
        let statistics = statistics.map(|lists| lists.map(<[_]>::as_ptr));
        for pixel in range {
            for c in (0..channels).step_by(S::LANES) {
                let (span, at) = (S::span(channels - c), pixel * channels + c);
                // SAFETY: the CPU has the instructions; the pixel is one of the range, the span ends with the channels.
                unsafe {
                    let x = S::load(values.add(at), span);
                    let mut g = S::load(gradients.add(at), span);
                    let scale = prologue.affine().map(|(scale, shift)| {
                        (S::load_numbers(scale.add(c), span), S::load_numbers(shift.add(c), span))
                    });
                    if prologue.relu() {
                        let seen = scale.map_or(x, |(scale, shift)| S::fma(x, scale, shift));
                        g = S::where_positive(seen, g);
                    }
                    if let Some((scale, _)) = scale {
                        g = S::mul(g, scale);
                    }
                    if let Some([mean, offset, slope]) = statistics {
                        let mean = S::load_numbers(mean.add(c), span);
                        let offset = S::load_numbers(offset.add(c), span);
                        let slope = S::load_numbers(slope.add(c), span);
                        g = S::sub(S::sub(g, offset), S::mul(slope, S::sub(x, mean)));
                    }
                    S::store(to.wrapping_add(at), span, g);
                }
            }
        }
    }
}
