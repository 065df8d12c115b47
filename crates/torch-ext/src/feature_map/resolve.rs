//! A map, or the sum of two, as a tensor: one pass applies everything that was pending.

use tch::Tensor;

use super::{FeatureMap, Prologue, backward, record_on};
use crate::nhwc::{Nhwc, covers, elements, laid_out, with_element};
use crate::parallel::{Shared, for_each_range};
use crate::simd::{Element, Kernel, Simd};

/// Both maps with everything applied, added; `[N, C, H, W]` and like kinds, or it panics.
pub fn add(a: &FeatureMap, b: &FeatureMap) -> Tensor {
    assert_eq!(a.size(), b.size(), "expected feature maps of one shape to add");
    if !(covers(a.values()) && b.values().kind() == a.values().kind()) {
        return a.resolve() + b.resolve();
    }
    let sum = tch::no_grad(|| combined(a, Some(b)));
    record_on(&[a, b], &[], &[], &sum, |maps, _, gradient, _| {
        maps.iter().flat_map(|map| backward(map, gradient)).collect()
    });
    sum
}

/// The map with everything applied.
pub(super) fn resolve(map: &FeatureMap) -> Tensor {
    let values = tch::no_grad(|| combined(map, None));
    record_on(&[map], &[], &[], &values, |maps, _, gradient, _| backward(&maps[0], gradient));
    values
}

fn combined(a: &FeatureMap, b: Option<&FeatureMap>) -> Tensor {
    let sizes = Nhwc::of(a.values());
    let a_values = laid_out(&a.values().detach());
    let b_values = b.map(|b| laid_out(&b.values().detach()));
    let result = sizes.empty(a.values());
    with_element!(result.kind(), E => {
        let to = elements::<E>(&result);
        let a = (elements::<E>(&a_values), a.prologue::<E>());
        let b = b.zip(b_values.as_ref()).map(|(b, values)| (elements::<E>(values), b.prologue::<E>()));
        for_each_range(sizes.pixels(), &|range| {
            E::run(Sum::<E> { a, b, to, c: sizes.c, range });
        });
    });
    result
}

struct Sum<E: Element> {
    a: (Shared<E>, Prologue<E::Number>),
    b: Option<(Shared<E>, Prologue<E::Number>)>,
    to: Shared<E>,
    c: usize,
    range: std::ops::Range<usize>,
}

impl<E: Element> Kernel<E> for Sum<E> {
    #[inline(always)]
    unsafe fn run<S: Simd<E>>(self) {
        let Self { a, b, to, c: channels, range } = self;
        for pixel in range {
            for c in (0..channels).step_by(S::LANES) {
                let (span, at) = (S::span(channels - c), pixel * channels + c);
                // SAFETY: pixels of maps of equal size, and `channels` numbers of each statistic.
                unsafe {
                    let applied = |(values, prologue): (Shared<E>, Prologue<E::Number>)| {
                        prologue.apply::<E, S>(S::load(values.0.add(at), span), c, span)
                    };
                    let sum = match b {
                        Some(b) => S::add(applied(a), applied(b)),
                        None => applied(a),
                    };
                    S::store(to.0.add(at), span, sum);
                }
            }
        }
    }
}
