//! Every few pixels of a map, with the operations that are pending on it applied: the input of a strided 1×1 convolution.
//!
//! libtorch would cut twice, rows and columns, and in the backward pass fill two maps with zeros in another layout than
//! the map's. The shortcut of the first module then costs as much as its convolutions.

use std::mem::MaybeUninit;
use std::ops::Range;

use tch::Tensor;

use crate::FeatureMap;
use crate::feature_map::{IntoMap, PendingMap, Prologue, gradients_by_row, record_on};
use crate::nhwc::{Nhwc, with_element};
use crate::parallel::for_each_range_of;
use crate::simd::{Element, Kernel, Simd};
use crate::view::{NewMap, View, ViewMut};

/// Every `stride`-th row and column of `xs: [N, C, H, W]`, from the first on: `[N, C, ⌈H / stride⌉, ⌈W / stride⌉]`.
///
/// # Panics
/// Where a stride is not positive.
pub(crate) fn every(xs: &FeatureMap, stride: [i64; 2]) -> Tensor {
    let plan = Plan::new(Nhwc::of(xs.values()), stride);
    let ys = tch::no_grad(|| {
        let xs = xs.laid_out();
        with_element!(xs.kind(), E => forward::<E>(&xs, &plan))
    });
    record_on(&[xs], &[], &[], &ys, move |maps, _, gradient, _| {
        with_element!(gradient.kind(), E => {
            backward::<E>(&maps[0], gradient, &plan)
        })
    });
    ys
}

/// Every size that the loops need.
#[derive(Debug, Clone, Copy)]
struct Plan {
    input: Nhwc,
    output: Nhwc,
    stride: [usize; 2],
}

impl Plan {
    fn new(input: Nhwc, stride: [i64; 2]) -> Self {
        assert!(
            stride.iter().all(|&step| step > 0),
            "expected a stride of at least 1, got {stride:?}"
        );
        let stride = stride.map(|step| step as usize);
        let (h, w) = (input.h.div_ceil(stride[0]), input.w.div_ceil(stride[1]));
        Self { input, output: Nhwc { h, w, ..input }, stride }
    }
}

fn forward<E: Element>(xs: &PendingMap, plan: &Plan) -> Tensor {
    let mut ys = NewMap::empty(plan.output, xs.values());
    let (values, prologue) = (xs.view::<E>(), xs.prologue());
    let to = ViewMut::<E>::of(&mut ys).into_elements();
    for_each_range_of(to, plan.output.rows(), &|rows, to| {
        E::run(Pick::<E>::new(values, to, prologue, plan, rows));
    });
    ys.into_tensor()
}

/// Reads the pixels that count.
struct Pick<'a, E: Element> {
    values: View<'a, E>,
    /// The rows `rows` of the result.
    to: &'a mut [MaybeUninit<E>],
    prologue: Prologue<'a, E::Number>,
    plan: Plan,
    rows: Range<usize>,
}

impl<'a, E: Element> Pick<'a, E> {
    fn new(
        values: View<'a, E>,
        to: &'a mut [MaybeUninit<E>],
        prologue: Prologue<'a, E::Number>,
        plan: &Plan,
        rows: Range<usize>,
    ) -> Self {
        let Plan { input, output, .. } = *plan;
        assert!(
            values.sizes() == input
                && rows.end <= output.rows()
                && to.len() == rows.len() * output.w * input.c
                && prologue.fits(input.c),
            "expected a map and statistics of {plan:?}, got {:?}",
            values.sizes()
        );
        Self { values, to, prologue, plan: *plan, rows }
    }
}

// SAFETY: `new` has compared the lists with the plan, whose outputs are pixels of the map.
unsafe impl<E: Element> Kernel<E> for Pick<'_, E> {
    #[inline(always)]
    unsafe fn run<S: Simd<E>>(self) {
        let Self { values, to, prologue, plan, rows } = self;
        let Plan { input, output, stride } = plan;
        let channels = input.c;
        let values = values.start();
        // The address of the first row of the whole result.
        let to = to.as_mut_ptr().cast::<E>().wrapping_sub(rows.start * output.w * channels);
        for (row, ow) in rows.flat_map(|row| (0..output.w).map(move |ow| (row, ow))) {
            let ih = row / output.h * input.h + row % output.h * stride[0];
            let from = (ih * input.w + ow * stride[1]) * channels;
            for c in (0..channels).step_by(S::LANES) {
                let span = S::span(channels - c);
                // SAFETY: the CPU has the instructions; rows are those of the kernel, and the span ends with the channels.
                unsafe {
                    let x = S::load(values.add(from + c), span);
                    let x = prologue.apply::<E, S>(x, c, span);
                    S::store(to.wrapping_add((row * output.w + ow) * channels + c), span, x);
                }
            }
        }
    }
}

/// The gradients in the map's inputs.
fn backward<E: Element>(xs: &PendingMap, gradient: &Tensor, plan: &Plan) -> Vec<Option<Tensor>> {
    let maps = [xs.view::<E>(), View::of(gradient)];
    let prologue = xs.prologue();
    gradients_by_row(xs, |rows, to, into_map| {
        E::run(Spread::<E>::new(maps, to, prologue, into_map, plan, rows));
    })
}

/// Puts the gradient where it was read, and zeros between.
struct Spread<'a, E: Element> {
    values: View<'a, E>,
    gradients: View<'a, E>,
    /// The rows `rows` of the gradient in the map.
    to: &'a mut [MaybeUninit<E>],
    prologue: Prologue<'a, E::Number>,
    into_map: IntoMap<'a, E>,
    plan: Plan,
    rows: Range<usize>,
}

impl<'a, E: Element> Spread<'a, E> {
    fn new(
        [values, gradients]: [View<'a, E>; 2],
        to: &'a mut [MaybeUninit<E>],
        prologue: Prologue<'a, E::Number>,
        into_map: IntoMap<'a, E>,
        plan: &Plan,
        rows: Range<usize>,
    ) -> Self {
        let Plan { input, output, .. } = *plan;
        assert!(
            [values.sizes(), gradients.sizes()] == [input, output]
                && rows.end <= input.rows()
                && to.len() == rows.len() * input.w * input.c
                && prologue.fits(input.c)
                && into_map.fits(input.c),
            "expected maps of {plan:?}, got {:?} and a gradient of {:?}",
            values.sizes(),
            gradients.sizes()
        );
        Self { values, gradients, to, prologue, into_map, plan: *plan, rows }
    }
}

// SAFETY: `new` has compared the lists with the plan; pixels at multiples of the stride are those of the output.
unsafe impl<E: Element> Kernel<E> for Spread<'_, E> {
    #[inline(always)]
    unsafe fn run<S: Simd<E>>(self) {
        let Self { values, gradients, to, prologue, mut into_map, plan, rows } = self;
        let Plan { input, output, stride } = plan;
        let channels = input.c;
        let (values, gradients) = (values.start(), gradients.start());
        // The address of the first row of the whole map, so that one index serves values and gradient.
        let to = to.as_mut_ptr().cast::<E>().wrapping_sub(rows.start * input.w * channels);
        for (row, iw) in rows.flat_map(|row| (0..input.w).map(move |iw| (row, iw))) {
            let (n, ih) = (row / input.h, row % input.h);
            let read = ih % stride[0] == 0 && iw % stride[1] == 0;
            let pixel = (n * output.h + ih / stride[0]) * output.w + iw / stride[1];
            for c in (0..channels).step_by(S::LANES) {
                let (span, at) = (S::span(channels - c), (row * input.w + iw) * channels + c);
                // SAFETY: the CPU has the instructions; rows are those of the kernel, and the span ends with the channels.
                unsafe {
                    let g = if read {
                        let raw = S::load(values.add(at), span);
                        let x = prologue.apply::<E, S>(raw, c, span);
                        let g = S::load(gradients.add(pixel * channels + c), span);
                        into_map.pass::<S>(g, [raw, x], c, span)
                    } else {
                        S::zero()
                    };
                    S::store(to.wrapping_add(at), span, g);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;
    use crate::shapes::{Pointwise, pointwise_shapes};
    use crate::simd::tests::on_every_set;
    use crate::{BatchNorm, Statistics};

    /// Pixels and gradients (map, scale, shift) of a normalised and activated map, of which `pick` reads some.
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

    #[track_caller]
    fn check(Pointwise { shape, stride, .. }: Pointwise) {
        tch::manual_seed(0);
        let xs = Tensor::randn(shape, (Kind::Double, Device::Cpu));
        let expected = run(&xs, Kind::Double, |map| {
            map.resolve().slice(2, 0, None, stride[0]).slice(3, 0, None, stride[1])
        });
        let agree = |got: Vec<Tensor>, bound: f64| {
            for (index, (got, expected)) in got.iter().zip(&expected).enumerate() {
                assert_eq!(got.size(), expected.size());
                let off = (got - expected).abs().max().double_value(&[]);
                let scale = expected.abs().max().double_value(&[]).max(1.0);
                assert!(off < bound * scale, "result {index} is off by {off:e}");
            }
        };
        agree(run(&xs, Kind::Double, |map| every(map, stride)), 1e-12);
        // Among the values of a large map some lie so near a ReLU's kink that fp32 rounds them to its other side.
        if shape.iter().product::<i64>() > 1 << 16 {
            return;
        }
        on_every_set(|_| agree(run(&xs, Kind::Float, |map| every(map, stride)), 1e-3));
    }

    macro_rules! named {
        ($($name:ident: $case:expr,)*) => {
            mod the_pixels_are_those_of_a_slice {
                use super::*;
                $(#[test]
                fn $name() {
                    check($case);
                })*
            }
        };
    }
    pointwise_shapes!(named);
}
