//! The separable layer by hand, in every geometry that libtorch offers, and its refusals.

use super::*;
use tch::nn::{ModuleT, VarStore};
use tch::{Device, Kind, Tensor};

fn image(shape: &[i64]) -> Tensor {
    let numel: i64 = shape.iter().product();
    ((Tensor::arange(numel, (Kind::Double, Device::Cpu)) * 0.37).sin()).view(shape)
}

fn build(c_in: i64, c_out: i64, config: SeparableConv2dConfig) -> (VarStore, SeparableConv2d) {
    tch::manual_seed(1);
    let mut store = VarStore::new(Device::Cpu);
    let layer = SeparableConv2d::new(&store.root(), c_in, c_out, config).unwrap();
    store.double();
    (store, layer)
}

/// The 1×1 example of the seeds: R, G, B = 100, 150, 200 under weights 0.2, 0.3, 0.5 give 165.
#[test]
fn three_colours_become_one_number() {
    let store = VarStore::new(Device::Cpu);
    let layer =
        PointwiseConv2d::new(&store.root(), 3, 1, PointwiseConv2dConfig::default()).unwrap();
    let weights = Tensor::from_slice(&[0.2_f32, 0.3, 0.5]).view([1, 3, 1, 1]);
    tch::no_grad(|| layer.weight().shallow_clone().copy_(&weights));
    let ys =
        layer.forward_t(&Tensor::from_slice(&[100.0_f32, 150., 200.]).view([1, 3, 1, 1]), false);
    assert!((ys.double_value(&[0, 0, 0, 0]) - 165.).abs() < 1e-4, "{ys}");
}

#[test]
fn a_three_by_three_image_by_hand() {
    let (store, layer) = build(2, 1, SeparableConv2dConfig::default());
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

/// Both orders, every option, against the same thing spelled with libtorch's own convolutions.
#[track_caller]
fn check(c_in: i64, c_out: i64, config: SeparableConv2dConfig) {
    let (_store, layer) = build(c_in, c_out, config);
    let xs = image(&[2, c_in, 9, 8]);
    let SeparableConv2dConfig { kernel_size, stride, padding, dilation, .. } = config;
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
    let expected = match config.order {
        Order::DepthwiseFirst => pointwise(&config.between.activation.apply(&depthwise(&xs))),
        Order::PointwiseFirst => depthwise(&config.between.activation.apply(&pointwise(&xs))),
    };
    let expected = config.after.activation.apply(&expected);
    let got = layer.forward_t(&xs, true);
    assert_eq!(got.size(), expected.size());
    assert!(got.allclose(&expected, 1e-12, 1e-12, false), "{config:?}");
    assert_eq!(got.size()[1], c_out);
}

#[test]
fn every_geometry_is_libtorchs() {
    let base = SeparableConv2dConfig { padding: Padding::Explicit([1, 1]), ..Default::default() };
    let relu = NormAct { activation: Activation::Relu, ..Default::default() };
    let elu = NormAct { activation: Activation::Elu, ..Default::default() };
    check(4, 6, base);
    check(
        4,
        6,
        SeparableConv2dConfig { kernel_size: [3, 5], padding: Padding::Explicit([1, 2]), ..base },
    );
    check(4, 6, SeparableConv2dConfig { kernel_size: [2, 1], stride: [2, 3], ..base });
    check(4, 6, SeparableConv2dConfig { dilation: [2, 1], bias: true, ..base });
    check(4, 6, SeparableConv2dConfig { depth_multiplier: 3, between: relu, ..base });
    check(4, 6, SeparableConv2dConfig { groups: Groups::Count(1), between: elu, ..base });
    check(4, 6, SeparableConv2dConfig { groups: Groups::Count(2), after: relu, ..base });
    check(
        4,
        6,
        SeparableConv2dConfig { order: Order::PointwiseFirst, between: relu, bias: true, ..base },
    );
    check(
        4,
        6,
        SeparableConv2dConfig {
            order: Order::PointwiseFirst,
            depth_multiplier: 2,
            groups: Groups::Count(3),
            ..base
        },
    );
}

#[test]
fn norms_stand_where_they_are_asked_for() {
    let norm = NormAct { norm: Some(BatchNormConfig::default()), activation: Activation::Relu };
    let names = |order| {
        let (store, _) =
            build(4, 6, SeparableConv2dConfig { order, between: norm, ..Default::default() });
        let mut names: Vec<String> = store
            .variables()
            .into_iter()
            .filter(|(name, _)| name.contains("running_mean"))
            .map(|(name, var)| format!("{name} {:?}", var.size()))
            .collect();
        names.sort();
        names
    };
    assert_eq!(names(Order::DepthwiseFirst), ["bn_dw.running_mean [4]"]);
    assert_eq!(names(Order::PointwiseFirst), ["bn_pw.running_mean [6]"]);
}

/// SAME padding by hand: an even side of a stride-2 convolution is padded below and right only.
#[test]
fn same_padding_is_tensorflows() {
    let config =
        SeparableConv2dConfig { stride: [2, 2], padding: Padding::Same, ..Default::default() };
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
    let (store, layer) = build(
        3,
        4,
        SeparableConv2dConfig { bias: true, padding: Padding::Same, ..Default::default() },
    );
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
    let layer =
        SeparableConv2d::new(&store.root(), 4, 6, SeparableConv2dConfig::default()).unwrap();
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
fn what_cannot_be_built_is_refused_in_words() {
    let refusal = |c_in, c_out, config| {
        let store = VarStore::new(Device::Cpu);
        SeparableConv2d::new(&store.root(), c_in, c_out, config).unwrap_err().to_string()
    };
    let base = SeparableConv2dConfig::default();
    assert_eq!(refusal(0, 6, base), "c_in must be at least 1, got 0");
    assert_eq!(refusal(4, -2, base), "c_out must be at least 1, got -2");
    assert_eq!(
        refusal(4, 6, SeparableConv2dConfig { kernel_size: [3, 0], ..base }),
        "kernel_size must be at least 1, got 0"
    );
    assert_eq!(
        refusal(4, 6, SeparableConv2dConfig { depth_multiplier: 0, ..base }),
        "depth_multiplier must be at least 1, got 0"
    );
    assert_eq!(
        refusal(4, 6, SeparableConv2dConfig { groups: Groups::Count(3), ..base }),
        "c_in = 4 does not divide into 3 groups; use a divisor of 4"
    );
    assert_eq!(
        refusal(4, 6, SeparableConv2dConfig { padding: Padding::Explicit([0, -1]), ..base }),
        "padding must not be negative, got -1"
    );
}

#[test]
#[should_panic(expected = "expected images [N, 4, H, W], got [1, 3, 8, 8]")]
fn a_wrong_image_is_named() {
    let (_store, layer) = build(4, 6, SeparableConv2dConfig::default());
    drop(layer.forward_t(&image(&[1, 3, 8, 8]), false));
}
