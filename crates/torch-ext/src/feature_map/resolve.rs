//! A map, or the sum of two, as a tensor: one pass applies everything that is pending.

use std::mem::MaybeUninit;
use std::ops::Range;

use tch::Tensor;

use super::{FeatureMap, PendingMap, Prologue, backward, record_on};
use crate::dense::described;
use crate::nhwc::{Nhwc, covers, with_element};
use crate::parallel::for_each_range_of;
use crate::simd::{Element, Kernel, Simd};
use crate::view::{NewMap, View, ViewMut};

/// The sum `[N, C, H, W]` of two maps with everything applied.
///
/// Maps of different kinds are added as libtorch does, in the kind that holds both. PyTorch: `a + b`.
/// Differentiable in both maps and in what is pending on them; there is no second derivative.
///
/// # Panics
/// Where the maps differ in shape or device.
pub fn add(a: &FeatureMap, b: &FeatureMap) -> Tensor {
    assert_eq!(a.size(), b.size(), "expected feature maps of one shape to add");
    let (a_values, b_values) = (a.values(), b.values());
    assert!(
        a_values.device() == b_values.device(),
        "expected feature maps on one device to add, got {} and {}",
        described(a_values),
        described(b_values)
    );
    if !(covers(a_values) && covers(b_values) && b_values.kind() == a_values.kind()) {
        return a.resolve() + b.resolve();
    }
    let sum = tch::no_grad(|| combined(&a.laid_out(), Some(&b.laid_out())));
    record_on(&[a, b], &[], &[], &sum, |maps, _, gradient, _| {
        maps.iter().flat_map(|map| backward(map, gradient)).collect()
    });
    sum
}

/// The map with everything applied.
pub(super) fn resolve(map: &FeatureMap) -> Tensor {
    let values = tch::no_grad(|| combined(&map.laid_out(), None));
    record_on(&[map], &[], &[], &values, |maps, _, gradient, _| backward(&maps[0], gradient));
    values
}

fn combined(a: &PendingMap, b: Option<&PendingMap>) -> Tensor {
    let mut result = NewMap::empty(a.sizes(), a.values());
    with_element!(a.kind(), E => {
        let (a, b) = (term::<E>(a), b.map(term::<E>));
        let to = ViewMut::<E>::of(&mut result);
        let pixels = to.sizes().pixels();
        for_each_range_of(to.into_elements(), pixels, &|range, to| {
            E::run(Sum::<E>::new(a, b, to, range));
        });
    });
    result.into_tensor()
}

/// A map and what is pending on it.
type Term<'a, E> = (View<'a, E>, Prologue<'a, <E as Element>::Number>);

fn term<E: Element>(map: &PendingMap) -> Term<'_, E> {
    (map.view(), map.prologue())
}

struct Sum<'a, E: Element> {
    a: Term<'a, E>,
    b: Option<Term<'a, E>>,
    /// The pixels `range` of the sum.
    to: &'a mut [MaybeUninit<E>],
    range: Range<usize>,
}

impl<'a, E: Element> Sum<'a, E> {
    fn new(
        a: Term<'a, E>,
        b: Option<Term<'a, E>>,
        to: &'a mut [MaybeUninit<E>],
        range: Range<usize>,
    ) -> Self {
        let sizes: Nhwc = a.0.sizes();
        let fits = |(map, prologue): Term<E>| map.sizes() == sizes && prologue.fits(sizes.c);
        assert!(
            fits(a)
                && b.is_none_or(fits)
                && range.end <= sizes.pixels()
                && to.len() == range.len() * sizes.c,
            "expected maps of {sizes:?} to add, got {:?}",
            b.map(|(map, _)| map.sizes())
        );
        Self { a, b, to, range }
    }
}

// SAFETY: `new` has compared the pixels and channels of all lists.
unsafe impl<E: Element> Kernel<E> for Sum<'_, E> {
    #[inline(always)]
    unsafe fn run<S: Simd<E>>(self) {
        let Self { a, b, to, range } = self;
        let channels = a.0.sizes().c;
        // The address of the first pixel of the whole sum, so that one index serves all maps.
        let to = to.as_mut_ptr().cast::<E>().wrapping_sub(range.start * channels);
        for pixel in range {
            for c in (0..channels).step_by(S::LANES) {
                let (span, at) = (S::span(channels - c), pixel * channels + c);
                // SAFETY: the CPU has the instructions; the pixel is one of the range, the span ends with the channels.
                unsafe {
                    let applied = |(map, prologue): Term<E>| {
                        prologue.apply::<E, S>(S::load(map.start().add(at), span), c, span)
                    };
                    let sum = match b {
                        Some(b) => S::add(applied(a), applied(b)),
                        None => applied(a),
                    };
                    S::store(to.wrapping_add(at), span, sum);
                }
            }
        }
    }
}
