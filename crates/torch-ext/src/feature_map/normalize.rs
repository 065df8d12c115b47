//! The gradient in the values of a map, element by element.

use tch::Tensor;

use super::batch_norm::Centre;
use super::{FeatureMap, Prologue};
use crate::nhwc::{Nhwc, elements};
use crate::parallel::{Shared, for_each_range};
use crate::simd::{Element, Kernel, Simd};

/// The gradient where the map's ReLU lets it through, times the scale of its normalisation if it has one: all
/// there is to it where statistics are fixed.
pub(super) fn passed_through<E: Element>(
    map: &FeatureMap,
    gradient: &Tensor,
    sizes: Nhwc,
) -> Tensor {
    run::<E>(map, gradient, None, sizes)
}

/// `scale * g - offset - slope * (x - mean)`, with `g` the gradient where the ReLU lets it through.
pub(super) fn centred<E: Element>(
    map: &FeatureMap,
    gradient: &Tensor,
    centre: &Centre,
    sizes: Nhwc,
) -> Tensor {
    let mean = map.mean().expect("centred on a normalisation's mean");
    let around = Around { mean, offset: centre.offset(), slope: centre.slope() };
    run::<E>(map, gradient, Some(around), sizes)
}

fn run<E: Element>(
    map: &FeatureMap,
    gradient: &Tensor,
    around: Option<Around<E>>,
    sizes: Nhwc,
) -> Tensor {
    let result = sizes.empty(&map.values);
    let (values, gradients) = (elements(&map.values), elements(gradient));
    let (to, prologue) = (elements(&result), map.prologue::<E>());
    for_each_range(sizes.pixels(), &|range| {
        E::run(Back::<E> { values, gradients, to, prologue, around, c: sizes.c, range });
    });
    result
}

struct Around<E: Element> {
    mean: Shared<E::Number>,
    offset: Shared<E::Number>,
    slope: Shared<E::Number>,
}

impl<E: Element> Clone for Around<E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E: Element> Copy for Around<E> {}

struct Back<E: Element> {
    values: Shared<E>,
    gradients: Shared<E>,
    to: Shared<E>,
    prologue: Prologue<E::Number>,
    around: Option<Around<E>>,
    c: usize,
    range: std::ops::Range<usize>,
}

impl<E: Element> Kernel<E> for Back<E> {
    #[inline(always)]
    unsafe fn run<S: Simd<E>>(self) {
        let Self { values, gradients, to, prologue, around, c: channels, range } = self;
        for pixel in range {
            for c in (0..channels).step_by(S::LANES) {
                let (span, at) = (S::span(channels - c), pixel * channels + c);
                // SAFETY: pixels of three maps of equal size, and `channels` numbers of each statistic.
                unsafe {
                    let x = S::load(values.0.add(at), span);
                    let mut g = S::load(gradients.0.add(at), span);
                    let scale = prologue.affine.map(|(scale, shift)| {
                        (
                            S::load_numbers(scale.0.add(c), span),
                            S::load_numbers(shift.0.add(c), span),
                        )
                    });
                    if prologue.relu {
                        let seen = scale.map_or(x, |(scale, shift)| S::fma(x, scale, shift));
                        g = S::where_positive(seen, g);
                    }
                    if let Some((scale, _)) = scale {
                        g = S::mul(g, scale);
                    }
                    if let Some(Around { mean, offset, slope }) = around {
                        let mean = S::load_numbers(mean.0.add(c), span);
                        let offset = S::load_numbers(offset.0.add(c), span);
                        let slope = S::load_numbers(slope.0.add(c), span);
                        g = S::sub(S::sub(g, offset), S::mul(slope, S::sub(x, mean)));
                    }
                    S::store(to.0.add(at), span, g);
                }
            }
        }
    }
}
