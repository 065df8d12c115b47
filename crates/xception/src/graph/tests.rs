//! The list of operations against the network that it came from.

use tch::nn::{ModuleT, VarStore};
use tch::{Device, Kind};

use super::*;
use crate::{ModelSpec, Preset};

/// A network in float64 whose norms have seen images, its graph, and images.
fn lowered(preset: Preset, side: i64) -> (crate::Xception, Graph, Tensor) {
    tch::manual_seed(0);
    let mut store = VarStore::new(Device::Cpu);
    let model = ModelSpec { classes: 10, ..ModelSpec::new(preset) }.build(store.root()).unwrap();
    store.set_kind(Kind::Double);
    let xs = Tensor::randn([2, 3, side, side], (Kind::Double, Device::Cpu));
    tch::no_grad(|| drop(model.forward_t(&xs, true)));
    let graph = Graph::of(&model);
    (model, graph, xs)
}

#[track_caller]
fn check(preset: Preset, side: i64) {
    let (model, graph, xs) = lowered(preset, side);
    let expected = model.logits(&xs);
    let off = (graph.logits(&xs) - &expected).norm().double_value(&[]);
    assert!(off < 1e-9 * expected.norm().double_value(&[]), "{preset}: {off:e}");
}

#[test]
fn norms_after_convolutions_are_folded() {
    check(Preset::Xception, 75);
    let (_, graph, _) = lowered(Preset::Cifar, 32);
    assert!(!graph.nodes.iter().any(|node| matches!(node.op, Op::Norm { .. })));
}

#[test]
fn same_padding_is_kept() {
    check(Preset::XceptionKeras, 78);
}

#[test]
fn norms_between_the_halves_are_folded() {
    check(Preset::Xception41, 64);
}

#[test]
fn norms_that_open_a_module_stay() {
    check(Preset::Xception41p, 65);
    let (_, graph, _) = lowered(Preset::Xception41p, 65);
    let norms = graph.nodes.iter().filter(|node| matches!(node.op, Op::Norm { .. }));
    let names: Vec<&str> = norms.map(|node| node.name.as_str()).collect();
    assert_eq!(names.len(), 13, "{names:?}");
    assert_eq!(names[..2], ["blocks.0.norm", "blocks.1.norm"]);
}

#[test]
fn shortcuts_read_what_is_activated() {
    check(Preset::NotebookCifar10, 32);
}

#[test]
fn a_norm_after_an_activation_stays() {
    check(Preset::DenseCifar100Depthwise, 32);
}

#[test]
fn a_shared_module_is_lowered_once_for_each_pass() {
    check(Preset::PlainShared, 32);
    let (_, graph, _) = lowered(Preset::PlainShared, 32);
    let passes: Vec<&Node> =
        graph.nodes.iter().filter(|node| node.name == "block4.rep.1.pointwise").collect();
    assert_eq!(passes.len(), 7);
    let address = |node: &Node| match &node.op {
        Op::Conv(conv) => conv.weight.data_ptr(),
        other => panic!("{other:?}"),
    };
    assert!(passes.iter().all(|pass| address(pass) == address(passes[0])), "one copy of them");
}

#[test]
fn later_training_does_not_change_a_graph() {
    let (model, graph, xs) = lowered(Preset::PlainShared, 32);
    let before = graph.logits(&xs);
    tch::no_grad(|| drop(model.variable("fc.weight").shallow_clone().zero_()));
    assert!(graph.logits(&xs).equal(&before));
}

#[test]
fn nodes_are_named_after_layers() {
    let (_, graph, _) = lowered(Preset::Cifar, 32);
    let node = |name: &str| graph.nodes.iter().find(|node| node.name == name).unwrap();
    assert_eq!(node("block2.rep.1.depthwise").layer, "block2.rep.1");
    assert_eq!(node("block2.rep.4.opening.relu").layer, "block2.rep.4");
    assert_eq!(node("block2.sum").layer, "block2");
    assert_eq!(node("conv3.pointwise").layer, "conv3");
    assert_eq!(graph.nodes.last().unwrap().name, "fc");
}

#[test]
#[should_panic(expected = "expected Double images, as the weights are, got Float")]
fn images_of_another_kind_are_refused() {
    let (_, graph, xs) = lowered(Preset::PlainShared, 32);
    drop(graph.logits(&xs.to_kind(Kind::Float)));
}
