//! The kernels against libtorch's own convolution in fp64, over every geometry that fits, and against each other.

use tch::{Device, Kind};

use super::*;
use crate::shapes::{Depthwise, depthwise_shapes};
use crate::simd::tests::on_every_set;
use crate::{BatchNorm, Statistics};

const PLAIN: Depthwise = Depthwise::same([2, 5, 7, 6]);

impl Depthwise {
    fn geometry(&self) -> DepthwiseGeometry {
        let Self { shape, stride, padding, dilation, .. } = *self;
        DepthwiseGeometry { stride, padding, dilation, groups: shape[1] }
    }

    /// Input, kernels and bias, fp64, in no particular layout.
    fn tensors(&self) -> (Tensor, Tensor, Option<Tensor>) {
        // Not from libtorch's generator: tests that run meanwhile draw from it too, and a draw within a rounding of
        // a ReLU's kink has another gradient in fp32.
        let noise = |shape: &[i64]| {
            let count = shape.iter().product::<i64>();
            let phase = Tensor::arange(count, (Kind::Double, Device::Cpu)) * 12.9898 + 0.618;
            ((phase.sin() * 43_758.545_3).frac() * 2.0).view(shape)
        };
        let c_out = self.shape[1] * self.multiplier;
        let [kh, kw] = self.kernel;
        (noise(&self.shape), noise(&[c_out, 1, kh, kw]), self.bias.then(|| noise(&[c_out])))
    }
}

/// The operations that are pending on the map.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Pending {
    Nothing,
    Relu,
    Norm,
    NormRelu,
}

impl Pending {
    const ALL: [Self; 4] = [Self::Nothing, Self::Relu, Self::Norm, Self::NormRelu];

    fn normalises(self) -> bool {
        matches!(self, Self::Norm | Self::NormRelu)
    }

    fn opens(self) -> bool {
        matches!(self, Self::Relu | Self::NormRelu)
    }
}

/// Output and gradients (map, kernels, bias, scale, shift) of the convolution that `convolve` computes.
fn run(
    case: &Depthwise,
    kind: Kind,
    tensors: &(Tensor, Tensor, Option<Tensor>),
    convolve: impl Fn(&Tensor, &Tensor, Option<&Tensor>, &[Tensor; 2]) -> Tensor,
) -> Vec<Tensor> {
    let leaf = |tensor: &Tensor, kind| tensor.to_kind(kind).detach().copy().set_requires_grad(true);
    let weights_kind = if kind == Kind::Double { kind } else { Kind::Float };
    let (xs, ws) = (leaf(&tensors.0, kind), leaf(&tensors.1, weights_kind));
    let bs = tensors.2.as_ref().map(|bs| leaf(bs, weights_kind));
    let channels = case.shape[1];
    let ramp =
        Tensor::arange(channels, (weights_kind, Device::Cpu)) * (0.5 / channels.max(1) as f64);
    let affine = [leaf(&(&ramp + 0.7), weights_kind), leaf(&(ramp - 0.2), weights_kind)];
    let ys = convolve(&xs, &ws, bs.as_ref(), &affine);
    let pull = Tensor::arange(ys.numel() as i64, (Kind::Double, Device::Cpu)) * 0.7;
    let pull = pull.sin().view(ys.size().as_slice());
    (ys.to_kind(Kind::Double) * pull).sum(Kind::Double).backward();
    let mut results = vec![ys.detach()];
    results.extend([&xs, &ws].into_iter().chain(bs.as_ref()).chain(&affine).map(Tensor::grad));
    results.into_iter().filter(Tensor::defined).map(|tensor| tensor.to_kind(Kind::Double)).collect()
}

fn ours(
    case: &Depthwise,
    pending: Pending,
    statistics: Statistics,
    kind: Kind,
    tensors: &(Tensor, Tensor, Option<Tensor>),
) -> Vec<Tensor> {
    run(case, kind, tensors, |xs, ws, bs, [weight, bias]| {
        let map = if pending.normalises() {
            let [running_mean, running_var] = &running_statistics(case.shape[1], weight.kind());
            let (momentum, eps, correction) = (0.1, 1e-5, 1.0);
            let norm =
                BatchNorm { weight, bias, running_mean, running_var, momentum, eps, correction };
            FeatureMap::batch_normalized(xs.shallow_clone(), &norm, statistics).unwrap()
        } else {
            FeatureMap::from(xs)
        };
        let map = if pending.opens() { map.relu() } else { map };
        depthwise_conv2d(&map, ws, bs, case.geometry())
    })
}

fn running_statistics(channels: i64, kind: Kind) -> [Tensor; 2] {
    let ramp = Tensor::arange(channels, (kind, Device::Cpu)) * 0.01;
    [&ramp - 0.1, ramp + 0.5]
}

/// The same in libtorch's operators.
fn libtorch(
    case: &Depthwise,
    pending: Pending,
    statistics: Statistics,
    kind: Kind,
    tensors: &(Tensor, Tensor, Option<Tensor>),
) -> Vec<Tensor> {
    run(case, kind, tensors, |xs, ws, bs, [scale, shift]| {
        let mut xs = xs.shallow_clone();
        if pending.normalises() {
            let [mean, variance] = running_statistics(case.shape[1], scale.kind());
            let of_batch = statistics == Statistics::OfBatch;
            xs = xs.batch_norm(
                Some(scale),
                Some(shift),
                Some(&mean),
                Some(&variance),
                of_batch,
                0.1,
                1e-5,
                false,
            );
        }
        let xs = if pending.opens() { xs.relu() } else { xs };
        let DepthwiseGeometry { stride, padding, dilation, groups } = case.geometry();
        xs.conv2d(ws, bs, stride, padding, dilation, groups)
    })
}

/// The largest difference, relative to the largest expected value.
fn distance(got: &Tensor, expected: &Tensor) -> f64 {
    assert_eq!(got.size(), expected.size());
    if expected.numel() == 0 {
        return 0.0;
    }
    let scale = expected.abs().max().double_value(&[]).max(1.0);
    (got - expected).abs().max().double_value(&[]) / scale
}

#[track_caller]
fn check(case: Depthwise, pending: Pending) {
    let tensors = case.tensors();
    for statistics in [Statistics::OfBatch, Statistics::Fixed] {
        let expected = libtorch(&case, pending, statistics, Kind::Double, &tensors);
        let exact = ours(&case, pending, statistics, Kind::Double, &tensors);
        assert_eq!(exact.len(), expected.len());
        for (index, (got, expected)) in exact.iter().zip(&expected).enumerate() {
            let distance = distance(got, expected);
            assert!(
                distance < 1e-10,
                "fp64, result {index} is off by {distance:e}: {case:?} {pending:?} {statistics:?}"
            );
        }
        let pixels = case.shape[0] * case.shape[2] * case.shape[3];
        if pending.normalises() && statistics == Statistics::OfBatch && pixels < 32 {
            // The deviation of a few numbers may be near zero: fp32 has too few digits to compare.
            continue;
        }
        on_every_set(|set| {
            let got = ours(&case, pending, statistics, Kind::Float, &tensors);
            for (index, (got, expected)) in got.iter().zip(&expected).enumerate() {
                let distance = distance(got, expected);
                assert!(
                    distance < 2e-5,
                    "{set:?}, result {index} is off by {distance:e}: {case:?} {pending:?} {statistics:?}"
                );
            }
        });
    }
}

/// Numbers that look random and are the same every time.
struct Draw(u64);

impl Draw {
    fn below(&mut self, end: i64) -> i64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((self.0 >> 33) % end as u64) as i64
    }
}

#[test]
fn every_geometry_agrees_with_libtorch_forward_and_backward() {
    tch::manual_seed(0);
    let mut draw = Draw(1);
    let mut checked = 0;
    while checked < 100 {
        let mut pair = |least, end| [least + draw.below(end), least + draw.below(end)];
        let (kernel, stride, padding, dilation) = (pair(1, 5), pair(1, 3), pair(0, 4), pair(1, 2));
        let [h, w] = pair(1, 11);
        let reach = |axis: usize| dilation[axis] * (kernel[axis] - 1) + 1;
        if h + 2 * padding[0] < reach(0) || w + 2 * padding[1] < reach(1) {
            continue;
        }
        let shape = [1 + draw.below(3), 1 + draw.below(40), h, w];
        let (multiplier, bias) = (1 + draw.below(5) / 4, draw.below(2) == 0);
        let case = Depthwise { shape, kernel, stride, padding, dilation, multiplier, bias };
        check(case, Pending::ALL[draw.below(4) as usize]);
        checked += 1;
    }
}

/// 3×3 kernels over maps of a few pixels: every size meets every edge.
#[track_caller]
fn check_small_maps(stride: i64, padding: i64) {
    for (h, w) in [(1, 1), (1, 2), (2, 1), (2, 2), (3, 3), (4, 5), (9, 8)] {
        let case = Depthwise {
            stride: [stride; 2],
            padding: [padding; 2],
            ..Depthwise::same([2, 19, h, w])
        };
        if h + 2 * padding >= 3 && w + 2 * padding >= 3 {
            Pending::ALL.into_iter().for_each(|pending| check(case, pending));
        }
    }
}

macro_rules! small_maps {
    ($($name:ident: $stride:literal, $padding:literal;)*) => {
        mod three_by_three_agrees_on_small_maps {
            $(#[test]
            fn $name() {
                super::check_small_maps($stride, $padding);
            })*
        }
    };
}

small_maps! {
    stride_1_without_padding: 1, 0;
    stride_1_padding_1: 1, 1;
    stride_1_padding_2: 1, 2;
    stride_2_without_padding: 2, 0;
    stride_2_padding_1: 2, 1;
    stride_2_padding_2: 2, 2;
}

macro_rules! plain {
    ($($name:ident: $case:expr,)*) => {
        mod a_plain_map_agrees_with_libtorch {
            use super::*;
            $(#[test]
            fn $name() {
                check($case, Pending::Nothing);
            })*
        }
    };
}
depthwise_shapes!(plain);

/// Among the values of a large map some lie so near a ReLU's kink that fp32 rounds them to its other side.
fn pending_of(case: &Depthwise) -> Pending {
    let large = case.shape.iter().product::<i64>() > 1 << 16;
    if large { Pending::Norm } else { Pending::NormRelu }
}

macro_rules! normalised {
    ($($name:ident: $case:expr,)*) => {
        mod a_normalised_map_agrees_with_libtorch {
            use super::*;
            $(#[test]
            fn $name() {
                check($case, pending_of(&$case));
            })*
        }
    };
}
depthwise_shapes!(normalised);

#[test]
fn an_empty_batch_stays_empty_and_has_no_gradient() {
    let empty = Depthwise::same([0, 728, 5, 5]);
    for pending in [Pending::Nothing, Pending::Relu] {
        let results = ours(&empty, pending, Statistics::Fixed, Kind::Float, &empty.tensors());
        assert_eq!(results[0].size(), [0, 728, 5, 5]);
        assert_eq!(results[1].size(), [0, 728, 5, 5]);
        assert_eq!(results[2].abs().sum(Kind::Double).double_value(&[]), 0.0);
    }
}

#[test]
fn every_layout_gives_the_same() {
    tch::manual_seed(3);
    let (xs, ws, _) = PLAIN.tensors();
    let expected = depthwise_conv2d(&FeatureMap::from(&xs), &ws, None, PLAIN.geometry());
    let wide = Tensor::stack(&[&xs, &xs], 4).select(4, 1);
    assert!(!wide.is_contiguous());
    let turned = xs.transpose(2, 3).contiguous().transpose(2, 3);
    for xs in [wide, turned, crate::channels_last(&xs).unwrap()] {
        assert!(
            depthwise_conv2d(&FeatureMap::from(xs), &ws, None, PLAIN.geometry()).equal(&expected)
        );
    }
}

/// bf16 maps under fp32 weights agree with fp64 on the same bf16 numbers, rounded once.
#[test]
fn bf16_is_rounded_once() {
    tch::manual_seed(4);
    for (stride, pending) in [(1, Pending::Nothing), (1, Pending::NormRelu), (2, Pending::Relu)] {
        let case = Depthwise { stride: [stride; 2], ..Depthwise::same([2, 728, 5, 6]) };
        let (xs, ws, bs) = case.tensors();
        let tensors = (xs.to_kind(Kind::BFloat16), ws.to_kind(Kind::Float), bs);
        let expected = libtorch(&case, pending, Statistics::Fixed, Kind::Double, &tensors);
        on_every_set(|set| {
            let got = ours(&case, pending, Statistics::Fixed, Kind::BFloat16, &tensors);
            for (index, (got, expected)) in got.iter().zip(&expected).enumerate() {
                let distance = distance(got, expected);
                assert!(distance < 1.0 / 128.0, "{set:?}: result {index} is off by {distance:e}");
            }
        });
    }
}

#[test]
fn sums_do_not_depend_on_the_number_of_threads() {
    tch::manual_seed(5);
    let case = Depthwise::same([7, 40, 9, 9]);
    let tensors = case.tensors();
    let threads = tch::get_num_threads();
    let on = |count| {
        tch::set_num_threads(count);
        ours(&case, Pending::NormRelu, Statistics::OfBatch, Kind::Float, &tensors)
    };
    let results = [1, 2, 3].map(on);
    tch::set_num_threads(threads);
    for other in &results[1..] {
        assert!(results[0].iter().zip(other).all(|(a, b)| a.equal(b)));
    }
}

#[test]
#[should_panic(expected = "a kernel that reaches over 3 pixels does not fit 2 pixels padded to 2")]
fn a_kernel_that_does_not_fit_is_refused() {
    let case = Depthwise { padding: [0, 0], ..Depthwise::same([1, 4, 2, 5]) };
    let (xs, ws, _) = case.tensors();
    drop(depthwise_conv2d(&FeatureMap::from(xs), &ws, None, case.geometry()));
}
