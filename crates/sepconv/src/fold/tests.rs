//! Folded and packed layers against the layers themselves, and what cannot be folded or packed.

use super::*;
use crate::{BatchNormConfig, Conv2dConfig, ConvBn, Groups, NormAct, SeparableConv2dConfig};
use tch::{Device, Kind, nn, nn::ModuleT};
use torch_ext::FusedOps;

fn image() -> Tensor {
    Tensor::randn([2, 8, 7, 6], (Kind::Float, Device::Cpu))
}

/// A norm of 12 channels that has seen something.
fn used_norm(path: nn::Path) -> BatchNorm2d {
    let norm = BatchNorm2d::new(path, 12, BatchNormConfig::default()).unwrap();
    let spread = |tensor: &Tensor, least, most| {
        drop(tch::no_grad(|| tensor.shallow_clone().uniform_(least, most)));
    };
    spread(&norm.weight, -1.0, 2.0);
    spread(&norm.bias, -1.0, 1.0);
    spread(&norm.running_mean, -1.0, 1.0);
    spread(&norm.running_var, 0.5, 2.0);
    norm
}

/// Compares the packed layer with the layer itself; both are given the same images.
#[track_caller]
fn check(layer: &impl ModuleT, packed: &PackedConv) {
    let xs = image();
    let expected = layer.forward_t(&xs, false);
    let off = (packed.run(&xs, FusedOps::default()) - expected).abs().max().double_value(&[]);
    assert!(off < 1e-5, "off by {off:e}");
}

#[track_caller]
fn check_separable(config: SeparableConv2dConfig) {
    tch::manual_seed(0);
    let store = nn::VarStore::new(Device::Cpu);
    let conv = SeparableConv2d::new(store.root(), 8, 12, config).unwrap();
    let layer = ConvBn::new("conv", conv, Some(used_norm(store.root() / "norm")));
    check(&layer, &layer.folded().unwrap().packed(Factors::Fp32).unwrap());
}

#[test]
fn a_packed_separable_layer_computes_the_same() {
    check_separable(SeparableConv2dConfig::default());
}

#[test]
fn same_padding_of_stride_one_is_packed() {
    check_separable(SeparableConv2dConfig { padding: Padding::Same, ..Default::default() });
}

#[test]
fn norms_and_biases_of_both_halves_are_packed() {
    let half = NormAct { norm: Some(BatchNormConfig::default()), activation: Activation::Relu };
    check_separable(SeparableConv2dConfig {
        between: half,
        bias: true,
        stride: 2,
        padding: Padding::Explicit(0),
        ..Default::default()
    });
}

#[test]
fn a_packed_convolution_computes_the_same() {
    tch::manual_seed(1);
    let store = nn::VarStore::new(Device::Cpu);
    let config = Conv2dConfig { stride: 2, bias: true, ..Default::default() };
    let conv = Conv2d::new(store.root(), 8, 12, config).unwrap();
    let layer = ConvBn::new("conv", conv, Some(used_norm(store.root() / "norm")));
    check(&layer, &layer.folded().packed(Factors::Fp32).unwrap());
}

/// The refusal of a separable layer from 8 to 12 channels.
fn refusal(config: SeparableConv2dConfig) -> String {
    let store = nn::VarStore::new(Device::Cpu);
    let layer = SeparableConv2d::new(store.root(), 8, 12, config).unwrap();
    let packed = layer.folded(None).and_then(|folded| folded.packed(Factors::Fp32));
    packed.expect_err("it cannot be packed").to_string()
}

#[test]
fn layers_that_cannot_be_packed_say_why() {
    let plain = SeparableConv2dConfig::default();
    let after = |activation| NormAct { norm: None, activation };
    assert_eq!(
        refusal(SeparableConv2dConfig { after: after(Activation::Relu), ..plain }),
        "a separable convolution that ends in Relu is not folded; use Activation::None"
    );
    assert_eq!(
        refusal(SeparableConv2dConfig { between: after(Activation::Elu), ..plain }),
        "Elu between the halves is not packed; use Activation::None or Activation::Relu"
    );
    assert_eq!(
        refusal(SeparableConv2dConfig { groups: Groups::Count(1), ..plain }),
        "a spatial half in 1 groups mixes channels and is not packed; use Groups::PerChannel"
    );
    assert_eq!(
        refusal(SeparableConv2dConfig { depth_multiplier: 2, ..plain }),
        "a spatial half with 2 outputs for each channel is not packed; use a depth_multiplier of 1"
    );
    assert_eq!(
        refusal(SeparableConv2dConfig { order: Order::PointwiseFirst, ..plain }),
        "a separable convolution that starts with its pointwise half is not folded"
    );
    assert_eq!(
        refusal(SeparableConv2dConfig { padding: Padding::Same, stride: 2, ..plain }),
        "Same padding of a 3x3 kernel with stride 2x2 depends on the size of the image and is not \
         packed; use explicit padding"
    );
}

#[test]
fn a_convolution_in_groups_is_not_packed() {
    let store = nn::VarStore::new(Device::Cpu);
    let config = Conv2dConfig { groups: 4, ..Default::default() };
    let layer = Conv2d::new(store.root(), 8, 12, config).unwrap();
    assert_eq!(
        layer.folded(None).packed(Factors::Fp32).unwrap_err().to_string(),
        "a convolution in 4 groups is not packed; use 1 group, or a separable convolution"
    );
}
