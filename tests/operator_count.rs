//! The kernels that a GPU launches for a training step, counted on a CPU: each operator of libtorch is one, or a few.
//!
//! Our kernels do not compute on fp16 maps, so these are the operators of a GPU without our kernels.

use tch::nn::{ModuleT, VarStore};
use tch::{Device, Kind, Tensor};
use torch_ext::{OperatorCalls, channels_last, count_operators, with_casts};
use xception::{ModelSpec, Preset, Xception};

/// The casts of weights in a step.
#[derive(PartialEq)]
enum Casts {
    OneByOne,
    Together,
}

/// The operators of a step of the CIFAR-10 notebook's network, without its update.
fn step(casts: Casts) -> OperatorCalls {
    let store = VarStore::new(Device::Cpu);
    let spec = ModelSpec::new(Preset::NotebookCifar10);
    let network = Xception::new(store.root(), &spec.architecture().unwrap(), spec.classes).unwrap();
    let images = Tensor::rand([2, 3, 32, 32], (Kind::Half, Device::Cpu));
    let images = channels_last(&images).unwrap();
    let mut kernels = store.trainable_variables();
    kernels.retain(|variable| variable.dim() == 4 && casts == Casts::Together);
    let kernels: Vec<&Tensor> = kernels.iter().collect();
    let forward = || network.forward_t(&images, true);
    let work = || with_casts(&kernels, Kind::Half, forward).unwrap().sum(Kind::Float).backward();
    count_operators(work).unwrap().1
}

/// 74 convolutions: that many kernels were cast, and that many gradients cast back.
#[test]
fn weights_that_are_cast_together_save_two_operators_a_convolution() {
    let (before, after) = (step(Casts::OneByOne), step(Casts::Together));
    let [total_before, total_after] = [&before, &after].map(|calls| calls.values().sum::<u64>());
    assert!(total_before - total_after >= 140, "{before:#?} {after:#?}");
    assert!(total_after < 1000, "{total_after}: {after:#?}");
}
