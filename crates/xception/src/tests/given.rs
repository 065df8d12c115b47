//! Images that a network is given: those that do not fit are refused in a sentence.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use super::*;

/// The message of the panic that `called` ends in.
#[track_caller]
fn refusal<T>(called: impl FnOnce() -> T) -> String {
    let panic = catch_unwind(AssertUnwindSafe(called)).err().expect("it panics");
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).expect("a text")
}

#[track_caller]
fn check_images(xs: &Tensor, expected: &str) {
    let (_store, model) = build(&tiny());
    assert_eq!(refusal(|| model.logits(xs)), expected);
    assert_eq!(refusal(|| model.forward_t(xs, true)), expected);
    assert_eq!(refusal(|| model.pyramid_t(xs, false)), expected);
    assert_eq!(refusal(|| crate::graph::Graph::of(&model).logits(xs)), expected);
}

#[test]
fn integers_are_refused() {
    check_images(&images(1, 32).to_kind(Kind::Uint8), "expected floating-point images, got Uint8");
}

#[test]
fn other_channels_are_refused() {
    check_images(
        &images(1, 32).narrow(1, 0, 1),
        "expected images [N, 3, H, W], got [1, 1, 32, 32]",
    );
}

#[test]
fn an_image_without_a_batch_is_refused() {
    check_images(&images(1, 32).squeeze_dim(0), "expected images [N, 3, H, W], got [3, 32, 32]");
}

#[test]
fn an_undefined_tensor_is_refused() {
    check_images(&Tensor::new(), "expected images [N, 3, H, W], got an undefined tensor");
}

#[test]
fn images_that_vanish_are_refused() {
    let store = VarStore::new(Device::Cpu);
    let spec = ModelSpec { classes: 2, ..ModelSpec::new(Preset::PlainShared) };
    let model = spec.build(store.root()).unwrap();
    assert_eq!(model.logits(&images(1, 7)).size(), [1, 2]);
    assert_eq!(
        refusal(|| model.logits(&images(1, 6))),
        "expected images of at least 7×7 pixels, got 6×6: the feature map vanishes before the head"
    );
    assert_eq!(
        refusal(|| model.logits(&images(1, 0))),
        "expected images of at least 7×7 pixels, got 0×0: the feature map vanishes before the head"
    );
}

#[test]
fn features_are_checked_by_the_head() {
    let (_store, model) = build(&tiny());
    let features = model.features_t(&images(1, 32), false);
    let channels = features.size()[1];
    assert_eq!(model.pooled(&features).size(), [1, channels]);
    assert_eq!(
        refusal(|| model.head(&images(1, 32))),
        format!("expected features [N, {channels}, H, W], got [1, 3, 32, 32]")
    );
    assert_eq!(
        refusal(|| model.head(&features.narrow(2, 0, 0))),
        format!("expected features of one pixel or more, got [1, {channels}, 0, 2]")
    );
    assert_eq!(
        refusal(|| model.head(&features.to_kind(Kind::Int64))),
        "expected floating-point features, got Int64"
    );
}

#[test]
fn an_empty_batch_gives_no_logits_and_leaves_the_statistics_alone() {
    for preset in [Preset::Cifar, Preset::XceptionKeras, Preset::Xception41p] {
        let spec = ModelSpec { classes: 10, scale: tiny().scale, ..ModelSpec::new(preset) };
        let (store, model) = build(&spec);
        let before = crate::weights::snapshot(&store);
        for train in [false, true] {
            assert_eq!(model.forward_t(&images(0, 64), train).size(), [0, 10], "{preset}");
        }
        let after = crate::weights::snapshot(&store);
        assert!(before.iter().all(|(name, tensor)| tensor.equal(&after[name])), "{preset}");
    }
}

#[test]
fn logits_have_no_gradients() {
    let (_store, model) = build(&tiny());
    let xs = images(2, 32);
    assert!(!model.logits(&xs).requires_grad());
    assert!(model.forward_t(&xs, false).requires_grad());
    assert!(model.logits(&xs).equal(&model.forward_t(&xs, false).detach()));
}

#[test]
fn there_is_no_second_derivative() {
    let (_store, model) = build(&tiny());
    let xs = images(1, 32).set_requires_grad(true);
    let sum = model.forward_t(&xs, false).sum(Kind::Float);
    let error = Tensor::f_run_backward(&[sum], &[&xs], true, true).unwrap_err().to_string();
    assert!(error.contains("no second derivative"), "{error}");
}

/// The calls that reach a hook in a forward and a backward pass.
#[test]
fn hooks_are_called_in_both_directions() {
    let (_store, model) = build(&tiny());
    let called = Arc::new(Mutex::new(Vec::new()));
    let hook = {
        let called = Arc::clone(&called);
        Hook::new(move |name, pass| called.lock().unwrap().push((name.to_string(), pass)))
    };
    let features = model.features_with_hook(&images(1, 32), true, &hook);
    // Backward passes may run on another thread, which the bounds of a hook allow for.
    std::thread::spawn(move || features.sum(Kind::Float).backward()).join().unwrap();
    let called = called.lock().unwrap();
    let of = |wanted: Pass| -> Vec<&str> {
        called.iter().filter(|(_, pass)| *pass == wanted).map(|(name, _)| name.as_str()).collect()
    };
    let (forward, mut backward) = (of(Pass::Forward), of(Pass::Backward));
    assert_eq!(
        forward[..6],
        ["conv1", "conv2", "block1.skip", "block1.rep.0", "block1.rep.3", "block1"]
    );
    assert_eq!(forward[forward.len() - 2..], ["conv3", "conv4"]);
    backward.reverse();
    assert_eq!(forward, backward);
}

#[test]
fn every_inner_map_leads_to_the_same_features() {
    let (_store, model) = build(&tiny());
    let xs = images(1, 32);
    let expected = model.logits(&xs);
    let shapes = model.map_shapes(&xs);
    assert_eq!(shapes[0].0, "conv1");
    for (name, shape) in &shapes {
        let (map, features) = model.features_from(&xs, name).unwrap();
        assert_eq!(&map.size(), shape, "{name}");
        let logits = model.head(&features);
        assert!((&expected - &logits).abs().max().double_value(&[]) < 1e-5, "{name}");
        // A graph serves one backward pass for each class.
        for class in 0..2 {
            let score = logits.get(0).get(class);
            let gradient = Tensor::f_run_backward(&[score], &[&map], true, false).unwrap();
            assert_eq!(&gradient[0].size(), shape, "{name}");
            assert!(gradient[0].abs().max().double_value(&[]) > 0.0, "{name}");
        }
    }
    assert!(model.features_from(&xs, "block99").is_none());
}

#[test]
fn presets_know_their_preprocessing() {
    let of = Preset::preprocessing;
    assert_eq!((of(Preset::Xception).side, of(Preset::Xception).resized_side()), (299, 333));
    assert_eq!(of(Preset::Xception41p).resized_side(), 318);
    assert_eq!(of(Preset::XceptionKeras).resized_side(), 299);
    assert_eq!(of(Preset::DenseCifar100).mean, [0.5071, 0.4865, 0.4409]);
    for preset in Preset::all() {
        assert_eq!(of(preset).side, preset.input());
    }
}
