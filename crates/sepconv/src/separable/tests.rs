//! The separable layer by hand, in every geometry that libtorch offers, and its refusals.

use super::*;
use crate::{PointwiseConv2dConfig, SeparableConv2dConfig};
use tch::nn::{ModuleT, VarStore};
use tch::{Device, Kind, Tensor};

fn image(shape: &[i64]) -> Tensor {
    let numel: i64 = shape.iter().product();
    ((Tensor::arange(numel, (Kind::Double, Device::Cpu)) * 0.37).sin()).view(shape)
}

fn build(
    c_in: i64,
    c_out: i64,
    config: SeparableConv2dConfigND<impl Pair>,
) -> (VarStore, SeparableConv2d) {
    tch::manual_seed(1);
    let mut store = VarStore::new(Device::Cpu);
    let layer = SeparableConv2d::new(store.root(), c_in, c_out, config).unwrap();
    store.double();
    (store, layer)
}

/// The 1×1 example of the seeds: R, G, B = 100, 150, 200 under weights 0.2, 0.3, 0.5 give 165.
#[test]
fn three_colours_become_one_number() {
    let store = VarStore::new(Device::Cpu);
    let layer = PointwiseConv2d::new(store.root(), 3, 1, PointwiseConv2dConfig::default()).unwrap();
    let weights = Tensor::from_slice(&[0.2_f32, 0.3, 0.5]).view([1, 3, 1, 1]);
    tch::no_grad(|| layer.weight().shallow_clone().copy_(&weights));
    let ys = Tensor::from_slice(&[100.0_f32, 150., 200.]).view([1, 3, 1, 1]).apply(&layer);
    assert!((ys.double_value(&[0, 0, 0, 0]) - 165.).abs() < 1e-4, "{ys}");
}

#[test]
fn a_three_by_three_image_by_hand() {
    let config = SeparableConv2dConfig { padding: Padding::Explicit(0), ..Default::default() };
    let (store, layer) = build(2, 1, config);
    tch::no_grad(|| {
        // Channel 0 sums its image, channel 1 takes its centre; the pointwise half adds ten times the second.
        let kernels = Tensor::from_slice(&[
            1., 1., 1., 1., 1., 1., 1., 1., 1., 0., 0., 0., 0., 1., 0., 0., 0., 0_f64,
        ]);
        layer.depthwise().weight().shallow_clone().copy_(&kernels.view([2, 1, 3, 3]));
        layer
            .pointwise()
            .weight()
            .shallow_clone()
            .copy_(&Tensor::from_slice(&[1., 10_f64]).view([1, 2, 1, 1]));
    });
    let xs = Tensor::arange(18, (Kind::Double, Device::Cpu)).view([1, 2, 3, 3]);
    assert_eq!(layer.forward_t(&xs, false).double_value(&[0, 0, 0, 0]), 36. + 10. * 13.);
    assert_eq!(store.variables().len(), 2);
}

/// Compares a layer from 4 to 6 channels with the same thing spelled with libtorch's own convolutions.
#[track_caller]
fn check(config: SeparableConv2dConfigND<[i64; 2]>) {
    let (_store, layer) = build(4, 6, config);
    let xs = image(&[2, 4, 9, 8]);
    let SeparableConv2dConfigND { kernel_size, stride, padding, dilation, .. } = config;
    let Padding::Explicit(padding) = padding else { panic!("the sweep spells explicit padding") };
    let depthwise = |xs: &Tensor| {
        let weight = layer.depthwise().weight();
        let groups = xs.size()[1] / weight.size()[1];
        assert_eq!(weight.size()[2..], kernel_size);
        xs.conv2d(weight, layer.depthwise().bias(), stride, padding, dilation, groups)
    };
    let pointwise = |xs: &Tensor| {
        xs.conv2d(layer.pointwise().weight(), layer.pointwise().bias(), [1, 1], [0, 0], [1, 1], 1)
    };
    let between = |xs: &Tensor| xs.apply(&config.between.activation);
    let expected = match config.order {
        Order::DepthwiseFirst => pointwise(&between(&depthwise(&xs))),
        Order::PointwiseFirst => depthwise(&between(&pointwise(&xs))),
    };
    let expected = expected.apply(&config.after.activation);
    let got = layer.forward_t(&xs, true);
    assert_eq!(got.size(), expected.size());
    assert!(got.allclose(&expected, 1e-12, 1e-12, false), "{config:?}");
    assert_eq!(got.size()[1], 6);
}

fn padded() -> SeparableConv2dConfigND<[i64; 2]> {
    SeparableConv2dConfigND { padding: Padding::Explicit([1, 1]), ..Default::default() }
}

fn activated(activation: Activation) -> NormAct {
    NormAct { norm: None, activation }
}

#[test]
fn a_square_kernel_is_libtorchs() {
    check(padded());
}

#[test]
fn an_oblong_kernel_is_libtorchs() {
    check(SeparableConv2dConfigND {
        kernel_size: [3, 5],
        padding: Padding::Explicit([1, 2]),
        ..padded()
    });
}

#[test]
fn an_even_kernel_with_two_strides_is_libtorchs() {
    check(SeparableConv2dConfigND { kernel_size: [2, 1], stride: [2, 3], ..padded() });
}

#[test]
fn dilation_and_bias_are_libtorchs() {
    check(SeparableConv2dConfigND { dilation: [2, 1], bias: true, ..padded() });
}

#[test]
fn a_depth_multiplier_is_libtorchs() {
    let between = activated(Activation::Relu);
    check(SeparableConv2dConfigND { depth_multiplier: 3, between, ..padded() });
}

#[test]
fn a_regular_first_half_is_libtorchs() {
    let between = activated(Activation::Elu);
    check(SeparableConv2dConfigND { groups: Groups::Count(1), between, ..padded() });
}

#[test]
fn two_groups_are_libtorchs() {
    let after = activated(Activation::Relu);
    check(SeparableConv2dConfigND { groups: Groups::Count(2), after, ..padded() });
}

#[test]
fn the_pointwise_half_first_is_libtorchs() {
    check(SeparableConv2dConfigND {
        order: Order::PointwiseFirst,
        between: activated(Activation::Relu),
        bias: true,
        ..padded()
    });
}

#[test]
fn the_pointwise_half_first_with_a_depth_multiplier_is_libtorchs() {
    check(SeparableConv2dConfigND {
        order: Order::PointwiseFirst,
        depth_multiplier: 2,
        groups: Groups::Count(3),
        ..padded()
    });
}

/// The size of an image of 9×8 pixels after a layer of these options.
fn size_after(config: SeparableConv2dConfigND<impl Pair>) -> Vec<i64> {
    let (_store, layer) = build(2, 3, config);
    layer.forward_t(&image(&[1, 2, 9, 8]), false).size()[2..].to_vec()
}

#[test]
fn the_default_keeps_the_size_of_the_image() {
    let plain = SeparableConv2dConfig::default();
    assert_eq!(size_after(plain), [9, 8]);
    assert_eq!(size_after(SeparableConv2dConfig { kernel_size: 5, ..plain }), [9, 8]);
    assert_eq!(size_after(SeparableConv2dConfig { dilation: 3, ..plain }), [9, 8]);
    assert_eq!(size_after(SeparableConv2dConfig { stride: 2, ..plain }), [5, 4]);
}

#[test]
fn rows_and_columns_may_differ() {
    let config = SeparableConv2dConfigND { kernel_size: [3, 5], ..Default::default() };
    assert_eq!(size_after(config), [9, 8]);
    let config = SeparableConv2dConfigND { stride: [1, 2], ..Default::default() };
    assert_eq!(size_after(config), [9, 4]);
}

/// The running means of a layer with normalised halves, by name.
fn running_means(order: Order) -> Vec<String> {
    let between = NormAct { norm: Some(BatchNormConfig::default()), activation: Activation::Relu };
    let (store, _) = build(4, 6, SeparableConv2dConfig { order, between, ..Default::default() });
    let mut names: Vec<String> = store
        .variables()
        .into_iter()
        .filter(|(name, _)| name.contains("running_mean"))
        .map(|(name, var)| format!("{name} {:?}", var.size()))
        .collect();
    names.sort();
    names
}

#[test]
fn norms_stand_where_they_are_asked_for() {
    assert_eq!(running_means(Order::DepthwiseFirst), ["bn_dw.running_mean [4]"]);
    assert_eq!(running_means(Order::PointwiseFirst), ["bn_pw.running_mean [6]"]);
}

/// SAME padding by hand: an even side of a stride-2 convolution is padded below and right only.
#[test]
fn same_padding_is_tensorflows() {
    let config = SeparableConv2dConfig { stride: 2, padding: Padding::Same, ..Default::default() };
    let (_store, layer) = build(2, 2, config);
    let xs = image(&[1, 2, 8, 9]);
    let padded = xs.constant_pad_nd([1, 1, 0, 1]);
    let expected =
        padded.conv2d(layer.depthwise().weight(), None::<Tensor>, [2, 2], [0, 0], [1, 1], 2);
    let expected =
        expected.conv2d(layer.pointwise().weight(), None::<Tensor>, [1, 1], [0, 0], [1, 1], 1);
    let got = layer.forward_t(&xs, false);
    assert_eq!(got.size(), [1, 2, 4, 5]);
    assert!(got.allclose(&expected, 1e-12, 1e-12, false));
}

/// Numeric derivatives of every weight, in float64.
#[test]
fn gradients_are_the_numeric_ones() {
    let config = SeparableConv2dConfig { bias: true, padding: Padding::Same, ..Default::default() };
    let (store, layer) = build(3, 4, config);
    let (xs, pull) = (image(&[1, 3, 4, 5]), image(&[1, 4, 4, 5]).cos());
    let loss = || (layer.forward_t(&xs, true) * &pull).sum(Kind::Double);
    loss().backward();
    for (name, variable) in store.variables() {
        let (flat, gradient) = (variable.detach().flatten(0, -1), variable.grad().flatten(0, -1));
        for index in 0..flat.size()[0] {
            let mut entry = flat.get(index);
            let centre = entry.double_value(&[]);
            let mut at = |value| {
                drop(entry.fill_(value));
                tch::no_grad(loss).double_value(&[])
            };
            let numeric = (at(centre + 1e-5) - at(centre - 1e-5)) / 2e-5;
            at(centre);
            let exact = gradient.double_value(&[index]);
            assert!(
                (numeric - exact).abs() < 1e-7 * (1. + exact.abs()),
                "{name}[{index}]: {exact}, numerically {numeric}"
            );
        }
    }
}

#[test]
fn a_bf16_image_meets_fp32_weights() {
    let store = VarStore::new(Device::Cpu);
    let layer = SeparableConv2d::new(store.root(), 4, 6, SeparableConv2dConfig::default()).unwrap();
    let ys = layer.forward_t(&image(&[1, 4, 5, 5]).to_kind(Kind::BFloat16), true);
    assert_eq!(ys.kind(), Kind::BFloat16);
    ys.sum(Kind::Float).backward();
    assert_eq!(
        layer.depthwise().weight().grad().kind(),
        Kind::Float,
        "master weights take fp32 gradients"
    );
}

#[test]
fn layers_that_cannot_be_built_are_refused_in_words() {
    let refusal = |c_in, c_out, config| {
        let store = VarStore::new(Device::Cpu);
        SeparableConv2d::new(store.root(), c_in, c_out, config).unwrap_err().to_string()
    };
    let base = SeparableConv2dConfigND::<[i64; 2]>::default();
    assert_eq!(refusal(0, 6, base), "c_in must be at least 1, got 0");
    assert_eq!(refusal(4, -2, base), "c_out must be at least 1, got -2");
    assert_eq!(
        refusal(4, 6, SeparableConv2dConfigND { kernel_size: [3, 0], ..base }),
        "kernel_size must be at least 1, got 0"
    );
    assert_eq!(
        refusal(4, 6, SeparableConv2dConfigND { depth_multiplier: 0, ..base }),
        "depth_multiplier must be at least 1, got 0"
    );
    assert_eq!(
        refusal(4, 6, SeparableConv2dConfigND { depth_multiplier: i64::MAX, ..base }),
        "4 channels times a depth multiplier of 9223372036854775807 is too large a number"
    );
    assert_eq!(
        refusal(4, 6, SeparableConv2dConfigND { groups: Groups::Count(3), ..base }),
        "c_in = 4 does not divide into 3 groups; use a divisor of 4"
    );
    assert_eq!(
        refusal(4, 6, SeparableConv2dConfigND { padding: Padding::Explicit([0, -1]), ..base }),
        "padding must not be negative, got -1"
    );
}

/// tch would call the second layer's weights `conv.conv1.weight__2`, in silence.
#[test]
fn a_path_that_is_taken_is_refused() {
    let store = VarStore::new(Device::Cpu);
    let build = || {
        let config = SeparableConv2dConfig::default();
        SeparableConv2d::new(store.root() / "conv", 4, 6, config)
    };
    build().unwrap();
    assert_eq!(
        build().unwrap_err().to_string(),
        "the variable 'conv.conv1.weight' exists already; give every layer a path of its own"
    );
    assert_eq!(store.len(), 2);
}

#[test]
#[should_panic(expected = "expected images [N, 4, H, W], got [1, 3, 8, 8]")]
fn a_wrong_image_is_named() {
    let (_store, layer) = build(4, 6, SeparableConv2dConfig::default());
    drop(layer.forward_t(&image(&[1, 3, 8, 8]), false));
}
