//! Every few pixels of a map, with what is pending on it applied: what a strided 1×1 convolution reads.
//!
//! libtorch would cut twice, rows and columns, and on the way back fill two maps with zeros in a layout that is not
//! the map's. The shortcut of the first module then costs as much as its convolutions.

use std::ops::Range;

use tch::Tensor;

use crate::FeatureMap;
use crate::feature_map::{IntoMap, Prologue, gradients_by_row, record_on};
use crate::nhwc::{Nhwc, elements, laid_out, with_element};
use crate::parallel::{Shared, for_each_range};
use crate::simd::{Element, Kernel, Simd};

/// Every `stride`-th row and column of `xs: [N, C, H, W]`, from the first on: `[N, C, ⌈H / stride⌉, ⌈W / stride⌉]`.
pub(crate) fn every(xs: &FeatureMap, stride: [i64; 2]) -> Tensor {
    let input = Nhwc::of(xs.values());
    let stride = stride.map(|step| step as usize);
    let (h, w) = (input.h.div_ceil(stride[0]), input.w.div_ceil(stride[1]));
    let plan = Plan { input, output: Nhwc { h, w, ..input }, stride };
    let ys = tch::no_grad(|| {
        let xs = xs.tail().of(&laid_out(&xs.values().detach()));
        let ys = plan.output.empty(xs.values());
        with_element!(ys.kind(), E => forward::<E>(&xs, &ys, plan));
        ys
    });
    record_on(&[xs], &[], &[], &ys, move |maps, _, gradient, _| {
        with_element!(gradient.kind(), E => {
            backward::<E>(&maps[0], gradient, plan)
        })
    });
    ys
}

#[derive(Clone, Copy)]
struct Plan {
    input: Nhwc,
    output: Nhwc,
    stride: [usize; 2],
}

fn forward<E: Element>(xs: &FeatureMap, ys: &Tensor, plan: Plan) {
    let (values, to, prologue) = (elements(xs.values()), elements(ys), xs.prologue::<E>());
    for_each_range(plan.output.rows(), &|rows| {
        E::run(Pick::<E> { values, to, prologue, plan, rows });
    });
}

/// Reads the pixels that count.
struct Pick<E: Element> {
    values: Shared<E>,
    to: Shared<E>,
    prologue: Prologue<E::Number>,
    plan: Plan,
    rows: Range<usize>,
}

impl<E: Element> Kernel<E> for Pick<E> {
    #[inline(always)]
    unsafe fn run<S: Simd<E>>(self) {
        let Self { values, to, prologue, plan, rows } = self;
        let Plan { input, output, stride } = plan;
        let channels = input.c;
        for (row, ow) in rows.flat_map(|row| (0..output.w).map(move |ow| (row, ow))) {
            let ih = row / output.h * input.h + row % output.h * stride[0];
            let from = (ih * input.w + ow * stride[1]) * channels;
            for c in (0..channels).step_by(S::LANES) {
                let span = S::span(channels - c);
                // SAFETY: pixels of both maps, channels within the span.
                unsafe {
                    let x = S::load(values.0.add(from + c), span);
                    let x = prologue.apply::<E, S>(x, c, span);
                    S::store(to.0.add((row * output.w + ow) * channels + c), span, x);
                }
            }
        }
    }
}

/// The gradients in the map's inputs.
fn backward<E: Element>(xs: &FeatureMap, gradient: &Tensor, plan: Plan) -> Vec<Option<Tensor>> {
    let (values, gradients) = (elements(xs.values()), elements(gradient));
    let prologue = xs.prologue::<E>();
    gradients_by_row(xs, |rows, to, into_map| {
        E::run(Spread::<E> { values, gradients, to, prologue, into_map, plan, rows });
    })
}

/// Puts the gradient where it was read, and zeros between.
struct Spread<E: Element> {
    values: Shared<E>,
    gradients: Shared<E>,
    to: Shared<E>,
    prologue: Prologue<E::Number>,
    into_map: IntoMap<E>,
    plan: Plan,
    rows: Range<usize>,
}

impl<E: Element> Kernel<E> for Spread<E> {
    #[inline(always)]
    unsafe fn run<S: Simd<E>>(self) {
        let Self { values, gradients, to, prologue, into_map, plan, rows } = self;
        let Plan { input, output, stride } = plan;
        let channels = input.c;
        for (row, iw) in rows.flat_map(|row| (0..input.w).map(move |iw| (row, iw))) {
            let (n, ih) = (row / input.h, row % input.h);
            let read = ih % stride[0] == 0 && iw % stride[1] == 0;
            let pixel = (n * output.h + ih / stride[0]) * output.w + iw / stride[1];
            for c in (0..channels).step_by(S::LANES) {
                let (span, at) = (S::span(channels - c), (row * input.w + iw) * channels + c);
                // SAFETY: pixels of both maps, channels within the span.
                unsafe {
                    let g = if read {
                        let raw = S::load(values.0.add(at), span);
                        let x = prologue.apply::<E, S>(raw, c, span);
                        let g = S::load(gradients.0.add(pixel * channels + c), span);
                        into_map.pass::<S>(g, [raw, x], c, span)
                    } else {
                        S::zero()
                    };
                    S::store(to.0.add(at), span, g);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;
    use crate::simd::tests::on_every_set;
    use crate::{BatchNorm, Statistics};

    /// Pixels and gradients (map, scale, shift) of a normalised and activated map, as `pick` takes them.
    fn run(xs: &Tensor, kind: Kind, pick: impl Fn(&FeatureMap) -> Tensor) -> Vec<Tensor> {
        let xs = xs.to_kind(kind).detach().copy().set_requires_grad(true);
        let ramp = Tensor::arange(xs.size()[1], (kind, Device::Cpu)) * 0.1;
        let [weight, bias] = [&ramp - 0.65, ramp * 0.3].map(|t| t.set_requires_grad(true));
        let running = [weight.zeros_like(), weight.ones_like()].map(|t| t.detach());
        let norm = BatchNorm {
            weight: &weight,
            bias: &bias,
            running_mean: &running[0],
            running_var: &running[1],
            momentum: 0.1,
            eps: 1e-5,
            correction: 1.0,
        };
        let map = FeatureMap::batch_normalized(xs.shallow_clone(), &norm, Statistics::OfBatch);
        let ys = pick(&map.expect("our kernels cover it").relu());
        let pull = Tensor::arange(ys.numel() as i64, (kind, Device::Cpu)).sin();
        (&ys * pull.view(ys.size().as_slice())).sum(kind).backward();
        [ys.detach(), xs.grad(), weight.grad(), bias.grad()].into()
    }

    #[test]
    fn the_pixels_are_those_of_a_slice() {
        tch::manual_seed(0);
        for (shape, stride) in
            [([2, 19, 7, 6], [2, 2]), ([3, 5, 4, 9], [3, 1]), ([1, 33, 1, 5], [2, 4])]
        {
            let xs = Tensor::randn(shape, (Kind::Double, Device::Cpu));
            let expected = run(&xs, Kind::Double, |map| {
                map.resolve().slice(2, 0, None, stride[0]).slice(3, 0, None, stride[1])
            });
            let agree = |got: Vec<Tensor>, bound: f64| {
                for (index, (got, expected)) in got.iter().zip(&expected).enumerate() {
                    assert_eq!(got.size(), expected.size());
                    let off = (got - expected).abs().max().double_value(&[]);
                    assert!(
                        off < bound,
                        "result {index} of {shape:?} by {stride:?} is off by {off:e}"
                    );
                }
            };
            agree(run(&xs, Kind::Double, |map| every(map, stride)), 1e-12);
            on_every_set(|_| agree(run(&xs, Kind::Float, |map| every(map, stride)), 1e-3));
        }
    }
}
