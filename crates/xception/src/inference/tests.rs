//! Packed networks against the networks that they come from.

use std::sync::{Arc, Mutex};

use tch::nn::{self, Module, ModuleT};

use super::kernel::Kernel;
use super::*;
use crate::{Activation, CifarScale, ModelOptions, ModelSpec, Pass, Preset, Shortcut};

/// A network of ten classes whose norms have seen images.
fn trained(spec: ModelSpec, side: i64) -> Xception {
    tch::manual_seed(3);
    let store = nn::VarStore::new(Device::Cpu);
    let model = ModelSpec { classes: 10, ..spec }.build(store.root()).unwrap();
    tch::no_grad(|| (0..3).for_each(|_| drop(model.forward_t(&images(&model, 4, side), true))));
    model
}

fn images(model: &Xception, count: i64, side: i64) -> Tensor {
    Tensor::randn([count, model.architecture().c_in, side, side], (Kind::Float, Device::Cpu))
}

fn tiny() -> ModelSpec {
    let scale = CifarScale { width: 0.1, middle_modules: 1, ..CifarScale::default() };
    ModelSpec { scale, ..ModelSpec::new(Preset::Cifar) }
}

#[track_caller]
fn check(spec: ModelSpec, side: i64) {
    let model = trained(spec, side);
    let xs = images(&model, 4, side);
    let expected = model.logits(&xs);
    let spread = expected.std(false).double_value(&[]);
    for (kind, bound) in [(Kind::Float, 1e-4), (Kind::BFloat16, 0.1)] {
        let logits = Inference::new(&model, kind).unwrap().logits(&xs.to_kind(kind));
        let off = (logits - &expected).abs().max().double_value(&[]) / spread;
        assert!(off < bound, "{spec:?} in {kind:?}: off by {off:e} of the logits' spread");
    }
}

#[test]
fn the_published_network_is_packed() {
    check(ModelSpec::new(Preset::Xception), 75);
}

#[test]
fn same_padding_is_packed_where_it_is_the_same_at_every_size() {
    check(ModelSpec::new(Preset::XceptionKeras), 74);
}

#[test]
fn strided_separables_are_packed() {
    check(ModelSpec::new(Preset::Xception41), 65);
}

#[test]
fn norms_that_open_modules_are_packed() {
    check(ModelSpec::new(Preset::Xception41p), 64);
}

#[test]
fn shortcuts_that_read_what_is_activated_are_packed() {
    check(ModelSpec::new(Preset::NotebookCifar10), 32);
}

#[test]
fn shared_modules_are_packed() {
    check(ModelSpec::new(Preset::PlainShared), 32);
}

#[test]
fn norms_after_activations_are_packed() {
    check(ModelSpec::new(Preset::DenseCifar100Depthwise), 32);
}

#[test]
fn options_are_packed() {
    let plain = ModelOptions::default();
    for options in [
        ModelOptions { shortcuts: Some(Shortcut::None), ..plain },
        ModelOptions { within: Some(Activation::Relu), c_in: Some(1), ..plain },
        ModelOptions {
            fully_connected: Some(crate::FullyConnected { layers: 2, width: 24 }),
            ..plain
        },
    ] {
        check(ModelSpec { options, ..tiny() }, 32);
    }
}

#[test]
fn a_shared_module_is_packed_once() {
    let model = trained(ModelSpec::new(Preset::PlainShared), 32);
    let packed = Inference::new(&model, Kind::Float).unwrap();
    let convs: Vec<_> = packed
        .steps
        .iter()
        .filter(|step| step.name.as_deref() == Some("block4.rep.1"))
        .map(|step| match &step.kernel {
            Kernel::Conv { conv, .. } => conv,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(convs.len(), 7);
    assert!(convs.iter().all(|conv| Arc::ptr_eq(conv, convs[0])));
}

#[test]
fn every_separable_convolution_is_one_step() {
    let model = trained(ModelSpec::new(Preset::Xception), 75);
    let packed = Inference::new(&model, Kind::Float).unwrap();
    // 2 + 34 convolutions, 4 shortcuts, the head; 4 max-pools and the global one.
    assert_eq!(packed.steps.len(), 36 + 4 + 1 + 4 + 1);
    assert!(
        !packed
            .steps
            .iter()
            .any(|step| matches!(step.kernel, Kernel::Relu | Kernel::Add(_) | Kernel::Norm { .. }))
    );
}

#[test]
fn hooks_are_called_in_the_order_of_the_steps() {
    let names = |spec: ModelSpec, side| {
        let model = trained(spec, side);
        let packed = Inference::new(&model, Kind::Float).unwrap();
        let called = Arc::new(Mutex::new(Vec::new()));
        let hook = {
            let called = Arc::clone(&called);
            Hook::new(move |name, pass| called.lock().unwrap().push((name.to_string(), pass)))
        };
        drop(packed.logits_with_hook(&images(&model, 1, side), &hook));
        let called = called.lock().unwrap();
        assert!(called.iter().all(|(_, pass)| *pass == Pass::Forward));
        called.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>()
    };
    let pooled = names(tiny(), 32);
    assert_eq!(
        pooled[..6],
        ["conv1", "conv2", "block1.rep.0", "block1.rep.3", "block1", "block1.skip"]
    );
    assert_eq!(pooled[pooled.len() - 3..], ["conv3", "conv4", "fc"]);
    let strided = names(ModelSpec::new(Preset::Xception41), 33);
    assert_eq!(
        strided[2..6],
        [
            "blocks.0.stack.conv1",
            "blocks.0.stack.conv2",
            "blocks.0.shortcut.conv",
            "blocks.0.stack.conv3"
        ]
    );
}

#[test]
fn a_batch_goes_in_parts_that_fit_a_cache() {
    let model = trained(ModelSpec::new(Preset::Cifar), 32);
    let packed = Inference::new(&model, Kind::Float).unwrap();
    assert_eq!(packed.parts(&images(&model, 3, 32)).len(), 1);
    let large = images(&model, 3, 224);
    assert_eq!(packed.parts(&large).len(), 3);
    let whole = packed.logits_with_hook(&large, &Hook::default());
    let off = (packed.logits(&large) - &whole).abs().max().double_value(&[]);
    assert!(off < 1e-5 * whole.abs().max().double_value(&[]), "{off:e}");
}

#[test]
fn networks_that_cannot_be_packed_say_why() {
    let model = trained(tiny(), 32);
    let refusal = |model: &Xception, kind| Inference::new(model, kind).unwrap_err().to_string();
    assert_eq!(
        refusal(&model, Kind::Double),
        "weights are packed for images in Float or BFloat16, not in Double; use the network itself"
    );
    let with = |options| trained(ModelSpec { options, ..tiny() }, 32);
    let elu = with(ModelOptions { within: Some(Activation::Elu), ..ModelOptions::default() });
    assert_eq!(
        refusal(&elu, Kind::Float),
        "block1.rep.0 is not packed, so use the network itself: Elu between the halves is not packed; use Activation::None or \
         Activation::Relu"
    );
    let segments = with(ModelOptions { segments: Some(2), ..ModelOptions::default() });
    assert_eq!(
        refusal(&segments, Kind::Float),
        "block1.rep.0 is not packed, so use the network itself: a spatial half in 2 groups mixes channels and is not packed; \
         use Groups::PerChannel"
    );
}

#[test]
fn an_empty_batch_gives_no_logits() {
    let model = trained(tiny(), 32);
    let packed = Inference::new(&model, Kind::Float).unwrap();
    assert_eq!(packed.logits(&images(&model, 0, 32)).size(), [0, 10]);
}

#[test]
fn a_packed_network_is_a_module() {
    let model = trained(tiny(), 32);
    let packed = Inference::new(&model, Kind::Float).unwrap();
    let xs = images(&model, 2, 32);
    assert!(xs.apply(&packed).equal(&packed.logits(&xs)));
    assert!(packed.forward(&xs).equal(&packed.forward_t(&xs, false)));
}

#[test]
fn threads_share_a_packed_network() {
    fn shareable<T: Send + Sync>(_: &T) {}
    let model = trained(tiny(), 32);
    let packed = Arc::new(Inference::new(&model, Kind::Float).unwrap());
    shareable(&packed);
    let xs = images(&model, 2, 32);
    let expected = packed.logits(&xs);
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (packed, xs) = (Arc::clone(&packed), xs.copy());
            std::thread::spawn(move || (0..5).map(|_| packed.logits(&xs)).collect::<Vec<_>>())
        })
        .collect();
    for thread in threads {
        assert!(thread.join().unwrap().iter().all(|logits| logits.equal(&expected)));
    }
}

#[track_caller]
fn check_refused(xs: impl Fn(&Xception) -> Tensor, expected: &str) {
    let model = trained(tiny(), 32);
    let packed = Inference::new(&model, Kind::Float).unwrap();
    let xs = xs(&model);
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| packed.logits(&xs)));
    let message = panic.err().and_then(|panic| panic.downcast_ref::<String>().cloned()).unwrap();
    assert_eq!(message, expected);
}

#[test]
fn other_images_are_refused() {
    check_refused(
        |model| images(model, 1, 32).to_kind(Kind::BFloat16),
        "expected Float images, as the weights were packed for, got BFloat16",
    );
    check_refused(
        |model| images(model, 1, 32).to_kind(Kind::Uint8),
        "expected floating-point images, got Uint8",
    );
    check_refused(
        |model| images(model, 1, 32).narrow(1, 0, 2),
        "expected images [N, 3, H, W], got [1, 2, 32, 32]",
    );
}
