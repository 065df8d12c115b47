//! Layers among tch's own: chains, memory layouts, and the images that are refused.

use tch::nn::{self, Module, ModuleT, VarStore};
use tch::{Device, Kind, Tensor};
use torch_ext::{channels_last, is_channels_last};

use crate::{
    Activation, BatchNorm2d, BatchNormConfig, Conv2d, Conv2dConfig, DepthwiseConv2d,
    DepthwiseConv2dConfig, NormAct, PointwiseConv2d, PointwiseConv2dConfig, SeparableConv2d,
    SeparableConv2dConfig,
};

fn images(shape: [i64; 4]) -> Tensor {
    Tensor::randn(shape, (Kind::Float, Device::Cpu))
}

/// One of each layer, from 4 channels to 4.
fn layers(store: &VarStore) -> Vec<(&'static str, Box<dyn ModuleT>)> {
    let root = store.root();
    let after = NormAct { norm: Some(BatchNormConfig::default()), activation: Activation::Relu };
    let separable = SeparableConv2dConfig { after, ..Default::default() };
    vec![
        ("conv", Box::new(Conv2d::new(&root / "conv", 4, 4, Conv2dConfig::default()).unwrap())),
        (
            "depthwise",
            Box::new(
                DepthwiseConv2d::new(&root / "depthwise", 4, DepthwiseConv2dConfig::default())
                    .unwrap(),
            ),
        ),
        (
            "pointwise",
            Box::new(
                PointwiseConv2d::new(&root / "pointwise", 4, 4, PointwiseConv2dConfig::default())
                    .unwrap(),
            ),
        ),
        (
            "norm",
            Box::new(BatchNorm2d::new(&root / "norm", 4, BatchNormConfig::default()).unwrap()),
        ),
        (
            "separable",
            Box::new(SeparableConv2d::new(&root / "separable", 4, 4, separable).unwrap()),
        ),
    ]
}

#[test]
fn contiguous_images_stay_contiguous() {
    let store = VarStore::new(Device::Cpu);
    for (name, layer) in layers(&store) {
        for shape in [[2, 4, 6, 5], [2, 4, 1, 1], [1, 4, 1, 7]] {
            let ys = layer.forward_t(&images(shape), true);
            assert!(ys.is_contiguous(), "{name} of {shape:?} has strides {:?}", ys.stride());
            assert_eq!(ys.view([-1]).size(), [shape.iter().product::<i64>()], "{name}");
        }
    }
}

#[test]
fn channels_last_images_stay_channels_last() {
    let store = VarStore::new(Device::Cpu);
    for (name, layer) in layers(&store) {
        let ys = layer.forward_t(&channels_last(&images([2, 4, 6, 5])).unwrap(), true);
        assert!(is_channels_last(&ys).unwrap(), "{name} has strides {:?}", ys.stride());
    }
}

/// Of grey images both layouts have the same bytes; their strides tell which is meant.
#[test]
fn grey_images_keep_their_layout() {
    let store = VarStore::new(Device::Cpu);
    let layer = PointwiseConv2d::new(store.root(), 1, 4, PointwiseConv2dConfig::default()).unwrap();
    let grey = images([2, 1, 6, 5]);
    assert!(grey.apply(&layer).is_contiguous());
    let last = grey.as_strided([2, 1, 6, 5], [30, 1, 5, 1], None);
    assert!(is_channels_last(&last.apply(&layer)).unwrap());
}

#[test]
fn gradients_pass_through_the_change_of_layout() {
    let store = VarStore::new(Device::Cpu);
    let layer = DepthwiseConv2d::new(store.root(), 4, DepthwiseConv2dConfig::default()).unwrap();
    let gradient = |xs: Tensor| {
        let xs = xs.set_requires_grad(true);
        xs.apply(&layer).square().sum(Kind::Float).backward();
        xs.grad()
    };
    let xs = images([2, 4, 6, 5]);
    let last = channels_last(&xs).unwrap();
    assert!(gradient(xs).equal(&gradient(last)));
}

#[test]
fn layers_stand_in_tchs_sequences() {
    let store = VarStore::new(Device::Cpu);
    let root = store.root();
    let still = nn::seq()
        .add(DepthwiseConv2d::new(&root / "a", 4, DepthwiseConv2dConfig::default()).unwrap())
        .add(Activation::Relu)
        .add(PointwiseConv2d::new(&root / "b", 4, 8, PointwiseConv2dConfig::default()).unwrap());
    let training = nn::seq_t()
        .add(still)
        .add(BatchNorm2d::new(&root / "c", 8, BatchNormConfig::default()).unwrap())
        .add(SeparableConv2d::new(&root / "d", 8, 2, SeparableConv2dConfig::default()).unwrap())
        .add_fn(Tensor::flat_view);
    assert_eq!(training.forward_t(&images([3, 4, 6, 5]), true).size(), [3, 2 * 6 * 5]);
}

#[test]
fn a_layer_moves_to_another_thread() {
    let store = VarStore::new(Device::Cpu);
    let layer = PointwiseConv2d::new(store.root(), 4, 8, PointwiseConv2dConfig::default()).unwrap();
    let ys = std::thread::spawn(move || layer.forward(&images([1, 4, 2, 2]))).join().unwrap();
    assert_eq!(ys.size(), [1, 8, 2, 2]);
}

#[test]
fn integer_images_are_refused() {
    let store = VarStore::new(Device::Cpu);
    let bytes = Tensor::zeros([1, 4, 6, 5], (Kind::Uint8, Device::Cpu));
    for (name, layer) in layers(&store) {
        let forward = || drop(layer.forward_t(&bytes, false));
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(forward)).unwrap_err();
        assert_eq!(
            panic.downcast_ref::<String>().map(String::as_str),
            Some(
                "expected floating-point images, got Uint8; convert them with `to_kind(Kind::Float)`"
            ),
            "{name}"
        );
    }
}

#[test]
fn there_is_no_second_derivative() {
    let store = VarStore::new(Device::Cpu);
    let layer = DepthwiseConv2d::new(store.root(), 4, DepthwiseConv2dConfig::default()).unwrap();
    let xs = images([2, 4, 6, 5]).set_requires_grad(true);
    let loss = xs.apply(&layer).square().sum(Kind::Float);
    let error = Tensor::f_run_backward(&[loss], &[&xs], true, true).unwrap_err().to_string();
    assert!(error.contains("no second derivative"), "{error}");
}
