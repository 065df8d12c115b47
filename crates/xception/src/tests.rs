//! The presets against the figures of their originals, and the names against the published checkpoint.

mod given;
mod regular;
mod tables;

use std::collections::BTreeMap;

use tch::{Device, Kind, Reduction, Tensor, nn::ModuleT, nn::VarStore};

use crate::outline::Outline;
use crate::summary::{self, Summary};
use crate::{
    Architecture, BuildError, CifarScale, ExitSeparables, FullyConnected, Groups, Hook, MiddleFlow,
    MiddleWeights, ModelOptions, ModelSpec, OutOfRange, Padding, Pass, Preset, ResidualRow,
    Shortcut, StemConv, Xception,
};

fn build(spec: &ModelSpec) -> (VarStore, Xception) {
    let store = VarStore::new(Device::Cpu);
    let model = spec.build(store.root()).unwrap();
    (store, model)
}

/// The smallest network of the preset `cifar`.
fn tiny() -> ModelSpec {
    let scale = CifarScale { width: 0.05, middle_modules: 1, ..CifarScale::default() };
    ModelSpec { scale, ..ModelSpec::new(Preset::Cifar) }
}

/// The shortest table: the published one without any module.
fn stem_alone() -> Architecture {
    let published = Architecture::published();
    Architecture {
        entry_flow: Vec::new(),
        middle_flow: MiddleFlow { repeats: 0, ..published.middle_flow },
        exit_flow: Vec::new(),
        exit_separables: ExitSeparables { widths: Vec::new(), ..published.exit_separables },
        ..published
    }
}

fn images(count: i64, side: i64) -> Tensor {
    Tensor::randn([count, 3, side, side], (Kind::Float, Device::Cpu))
}

/// Trainable parameters, the same with running statistics, and multiply-accumulates at the preset's own input.
#[track_caller]
fn check(preset: Preset, trainable: u64, total: u64, macs: u64) {
    let spec = ModelSpec::new(preset);
    let summary =
        Summary::new(&spec.architecture().unwrap(), spec.classes, preset.input()).unwrap();
    assert_eq!(
        (summary.params_trainable(), summary.params_total(), summary.macs()),
        (trainable, total, macs),
        "{preset} counted"
    );
    let (store, _) = build(&spec);
    let numel = |variables: Vec<Tensor>| {
        variables.iter().map(|variable| variable.numel() as u64).sum::<u64>()
    };
    assert_eq!(numel(store.trainable_variables()), trainable, "{preset} built, trainable");
    assert_eq!(numel(store.variables().into_values().collect()), total, "{preset} built, total");
}

#[test]
fn every_preset_is_as_large_as_its_original() {
    check(Preset::Xception, 22_855_952, 22_910_480, 8_357_403_496);
    check(Preset::XceptionKeras, 22_855_952, 22_910_480, 8_357_403_496);
    check(Preset::Xception41, 26_969_560, 27_084_872, 9_204_134_312);
    check(Preset::Xception65, 39_916_312, 40_101_512, 13_852_682_216);
    check(Preset::Xception71, 42_338_736, 42_537_712, 17_946_553_928);
    check(Preset::Xception41p, 26_907_752, 26_961_256, 9_204_134_312);
    check(Preset::Xception65p, 39_819_560, 39_908_008, 13_852_682_216);
    check(Preset::NotebookCifar10, 20_825_370, 20_875_626, 93_752_896);
    check(Preset::DenseCifar100, 70_495_548, 70_549_724, 3_196_546_048);
    check(Preset::PlainShared, 9_507_890, 9_507_890, 81_746_368);
}

#[test]
fn dropout_works_in_training_alone_and_by_the_seed() {
    let scale = CifarScale { width: 0.1, middle_modules: 0, ..CifarScale::default() };
    let spec = ModelSpec { scale, ..ModelSpec::new(Preset::Cifar) };
    let (_store, model) = build(&spec);
    let features = model.features_t(&images(4, 32), false).ones_like();
    let plain = model.head(&features);
    let model = model.with_dropout(0.5).unwrap();
    let trained = |seed| {
        tch::manual_seed(seed);
        model.head_t(&features, true)
    };
    assert!(model.head_t(&features, false).equal(&plain));
    assert!(!trained(0).equal(&plain) && !trained(0).equal(&trained(1)));
    assert!(trained(0).equal(&trained(0)));
    let error = model.with_dropout(1.0).unwrap_err();
    assert_eq!(error.to_string(), "dropout must be at least 0 and below 1, got 1");
}

#[test]
fn the_names_are_the_published_checkpoints() {
    let published: BTreeMap<String, String> = include_str!("../published_names.txt")
        .lines()
        .map(|line| line.split_once('\t').expect("a name, a tab, a shape"))
        .map(|(name, shape)| (name.to_string(), shape.to_string()))
        .collect();
    assert_eq!(published.len(), 236);
    let (store, _) = build(&ModelSpec::new(Preset::Xception));
    let ours: BTreeMap<String, String> = store
        .variables()
        .into_iter()
        .map(|(name, variable)| (name, format!("{:?}", variable.size())))
        .collect();
    assert_eq!(ours, published);
}

/// Graphs, summaries and imports know the network by its outline.
#[test]
fn the_outline_names_what_is_built() {
    let fully_connected = Some(FullyConnected { layers: 2, width: 24 });
    let options = ModelOptions { fully_connected, ..ModelOptions::default() };
    let specs = Preset::all().map(ModelSpec::new).chain([ModelSpec { options, ..tiny() }]);
    for spec in specs {
        let (store, _) = build(&spec);
        let built: BTreeMap<String, Vec<i64>> =
            store.variables().into_iter().map(|(name, variable)| (name, variable.size())).collect();
        let outline = Outline::new(&spec.architecture().unwrap(), spec.classes).unwrap();
        assert_eq!(outline.variables(), built, "{spec:?}");
    }
}

#[test]
fn no_name_is_taken_twice() {
    for preset in Preset::all() {
        let (store, _) = build(&ModelSpec::new(preset));
        let renamed: Vec<String> =
            store.variables().into_keys().filter(|name| name.contains("__")).collect();
        assert!(renamed.is_empty(), "{preset}: tch renamed {renamed:?}");
    }
}

#[test]
fn presets_are_found_by_their_names() {
    for preset in Preset::all() {
        assert_eq!(preset.to_string().parse::<Preset>().unwrap(), preset);
    }
    let error = "xcepton".parse::<Preset>().unwrap_err().to_string();
    assert!(
        error.starts_with(
            "unknown preset 'xcepton'; known are xception, xception-keras, xception41, xception65"
        ),
        "{error}"
    );
}

/// Rows of the middle flow, and the shape of the features, for a 32×32 image.
#[track_caller]
fn check_cifar(scale: CifarScale, middle: i64, features: [i64; 4]) {
    let spec = ModelSpec { scale, ..ModelSpec::new(Preset::Cifar) };
    let summary = Summary::new(&spec.architecture().unwrap(), 10, 32).unwrap();
    let row = summary.layers.iter().find(|layer| layer.name == "block4.rep.1.pointwise").unwrap();
    assert_eq!(row.output[1..], [middle, middle]);
    let (_store, model) = build(&spec);
    let xs = Tensor::zeros([2, 3, 32, 32], (Kind::Float, Device::Cpu));
    assert_eq!(model.features_t(&xs, false).size(), features);
    assert_eq!(model.forward_t(&xs, true).size(), [2, 10]);
}

#[test]
fn cifar_scales_in_width_depth_and_resolution() {
    let small = CifarScale { width: 0.25, middle_modules: 2, ..Default::default() };
    check_cifar(small, 4, [2, 512, 2, 2]);
    check_cifar(CifarScale { entry_strides: [2, 1, 1], ..small }, 8, [2, 512, 4, 4]);
    check_cifar(CifarScale { stem_stride: 1, width: 0.1, ..small }, 8, [2, 208, 4, 4]);
}

#[test]
fn options_out_of_range_are_named() {
    let refusal = |scale| {
        let spec = ModelSpec { scale, ..ModelSpec::new(Preset::Cifar) };
        spec.architecture().unwrap_err().to_string()
    };
    let scale = CifarScale::default();
    assert_eq!(
        refusal(CifarScale { width: 0.0, ..scale }),
        "width must be between 0.05 and 4, got 0"
    );
    assert_eq!(
        refusal(CifarScale { width: f64::NAN, ..scale }),
        "width must be between 0.05 and 4, got NaN"
    );
    assert_eq!(
        refusal(CifarScale { middle_modules: 65, ..scale }),
        "middle_modules must be between 0 and 64, got 65"
    );
    assert_eq!(
        refusal(CifarScale { entry_strides: [2, 3, 1], ..scale }),
        "stem_stride and entry_strides must be 1 or 2, got 3"
    );
    let store = VarStore::new(Device::Cpu);
    let error = ModelSpec { classes: 0, ..tiny() }.build(store.root()).unwrap_err().to_string();
    assert_eq!(error, "classes must be at least 1, got 0");
}

#[test]
fn an_image_that_vanishes_is_refused() {
    let table = ModelSpec::new(Preset::Xception).architecture().unwrap();
    let error = Summary::new(&table, 1000, 4).unwrap_err();
    assert!(matches!(error, summary::Error::InputTooSmall(4)), "{error}");
    // 6 pixels leave 2 after the first convolution and none after the second; 7 leave 3 and 1.
    assert!(Summary::new(&table, 1000, 6).is_err());
    assert!(Summary::new(&table, 1000, 7).is_ok());
    for input in [0, -1, i64::MIN, i64::MAX] {
        assert!(Summary::new(&table, 1000, input).is_err(), "{input}");
    }
}

#[test]
fn bf16_images_give_fp32_logits() {
    let scale = CifarScale { width: 0.1, middle_modules: 1, ..Default::default() };
    let (store, model) = build(&ModelSpec { scale, ..ModelSpec::new(Preset::Cifar) });
    let xs = Tensor::rand([4, 3, 32, 32], (Kind::Float, Device::Cpu));
    let (exact, rounded) =
        (model.forward_t(&xs, false), model.forward_t(&xs.to_kind(Kind::BFloat16), false));
    assert_eq!(rounded.kind(), Kind::Float);
    assert_eq!(model.features_t(&xs.to_kind(Kind::BFloat16), false).kind(), Kind::BFloat16);
    let error = (&exact - &rounded).norm().double_value(&[]) / exact.norm().double_value(&[]);
    assert!(error < 0.05, "bf16 is {error} away from fp32");
    model.forward_t(&xs.to_kind(Kind::BFloat16), true).sum(Kind::Float).backward();
    assert!(
        store.trainable_variables().iter().all(|variable| variable.grad().kind() == Kind::Float)
    );
}

/// Fine-tuning with frozen statistics differentiates the forward pass of evaluation: against central differences.
#[test]
fn evaluation_has_gradients() {
    tch::manual_seed(5);
    let scale = CifarScale { width: 0.05, middle_modules: 1, ..CifarScale::default() };
    let (mut store, model) = build(&ModelSpec { scale, ..ModelSpec::new(Preset::Cifar) });
    store.set_kind(Kind::Double);
    let images = Tensor::randn([3, 3, 32, 32], (Kind::Double, Device::Cpu));
    let labels = Tensor::from_slice(&[1_i64, 4, 7]);
    let loss = || {
        let logits = model.forward_t(&images, false);
        logits.cross_entropy_loss(&labels, None::<Tensor>, Reduction::Mean, -100, 0.0)
    };
    loss().backward();
    let variables = store.variables();
    let trainable = variables.iter().filter(|(_, variable)| variable.requires_grad());
    for (name, variable) in trainable {
        let gradient = variable.grad().view(-1);
        let place = gradient.abs().argmax(0, false).int64_value(&[]);
        let step = 1e-6;
        let moved = |by: f64| {
            tch::no_grad(|| {
                let mut number = variable.view(-1).get(place);
                drop(number.g_add_scalar_(by));
                let moved = loss().double_value(&[]);
                drop(number.g_sub_scalar_(by));
                moved
            })
        };
        let expected = (moved(step) - moved(-step)) / (2.0 * step);
        let found = gradient.double_value(&[place]);
        assert!(
            (found - expected).abs() < 1e-4 * expected.abs().max(1e-5),
            "{name}: {found}, {expected}"
        );
    }
}
