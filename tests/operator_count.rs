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

/// Operators that launch no kernel: they make views, or memory without content.
const NO_KERNEL: [&str; 9] = [
    "aten::detach",
    "aten::empty",
    "aten::empty_like",
    "aten::expand",
    "aten::new_empty_strided",
    "aten::resolve_conj",
    "aten::resolve_neg",
    "aten::t",
    "aten::unsqueeze",
];

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

/// 74 convolutions: that many kernels were cast, and that many gradients cast back, where two operators do it now.
#[test]
fn weights_that_are_cast_together_save_two_operators_a_convolution() {
    let [before, after] = [Casts::OneByOne, Casts::Together].map(|casts| {
        let mut calls = step(casts);
        calls.retain(|name, _| !NO_KERNEL.contains(&name.as_str()));
        (calls.values().sum::<u64>(), calls)
    });
    assert_eq!(before.0 - after.0, 2 * 74 - 2, "{:#?} {:#?}", before.1, after.1);
    assert_eq!(after.1["aten::_foreach_copy_"], 2);
}
