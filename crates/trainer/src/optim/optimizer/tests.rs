//! A step goes where its formula says; what is remembered can be taken out and put back.

use super::*;
use tch::{Device, Kind, nn};
use xception::weights;

use crate::precision::Precision;

/// A kernel and a bias, both 2, under a loss that pulls on neither.
fn decayed(config: OptimizerConfig) -> (f64, f64) {
    let store = VarStore::new(Device::Cpu);
    let kernel = store.root().var("kernel", &[1, 1], nn::Init::Const(2.0));
    let bias = store.root().var("bias", &[1], nn::Init::Const(2.0));
    let mut optimizer = Optimizer::new(&store, config);
    let gradients = optimizer.gradients(&((&kernel + &bias) * 0.0).sum(Kind::Float)).unwrap();
    optimizer.step(&gradients, 0.1).unwrap();
    (kernel.double_value(&[0, 0]), bias.double_value(&[0]))
}

#[test]
fn decay_spares_biases_where_asked() {
    let near = |(kernel, bias): (f64, f64), expected: (f64, f64)| {
        assert!(
            (kernel - expected.0).abs() < 1e-6 && (bias - expected.1).abs() < 1e-6,
            "{kernel} {bias}"
        );
    };
    let (beta1, beta2, eps, weight_decay) = (0.9, 0.999, 1e-8, 0.5);
    let adamw = |decays| OptimizerConfig::AdamW { beta1, beta2, eps, weight_decay, decays };
    let (momentum, nesterov) = (0.9, false);
    let sgd = |decays| OptimizerConfig::Sgd { momentum, nesterov, weight_decay, decays };
    near(decayed(adamw(Decays::All)), (1.9, 1.9));
    near(decayed(adamw(Decays::Weights)), (1.9, 2.0));
    near(decayed(sgd(Decays::All)), (1.9, 1.9));
    near(decayed(sgd(Decays::Weights)), (1.9, 2.0));
}

#[test]
fn a_step_goes_downhill_and_gradients_do_not_pile_up() {
    let store = VarStore::new(Device::Cpu);
    let weight = store.root().var("w", &[1, 1], nn::Init::Const(1.0));
    let mut optimizer = Optimizer::new(&store, OptimizerConfig::adam());
    for _ in 0..3 {
        let gradients = optimizer.gradients(&(&weight * 3.0).sum(Kind::Float)).unwrap();
        assert_eq!(gradients[0].double_value(&[0, 0]), 3.0);
        optimizer.step(&gradients, 0.1).unwrap();
    }
    assert!(
        (weight.double_value(&[0, 0]) - 0.7).abs() < 1e-5,
        "three steps of 0.1 against a constant slope"
    );
}

#[test]
fn numbers_out_of_range_are_named() {
    let bad = OptimizerConfig::Adam {
        beta1: 1.0,
        beta2: 0.999,
        eps: 1e-8,
        weight_decay: 0.0,
        decays: Decays::All,
    };
    assert_eq!(
        bad.check().unwrap_err().to_string(),
        "optimizer.beta1 must be at least 0 and below 1, got 1"
    );
    assert_eq!(OptimizerConfig::adam().check(), Ok(()));
    let sgd = |momentum, nesterov| {
        let decays = Decays::Weights;
        OptimizerConfig::Sgd { momentum, nesterov, weight_decay: 1e-4, decays }.check()
    };
    assert_eq!(sgd(0.9, true), Ok(()));
    assert_eq!(sgd(0.0, false), Ok(()));
    assert!(
        sgd(0.0, true)
            .unwrap_err()
            .to_string()
            .contains("optimizer.momentum must be above 0 where optimizer.nesterov is true, got 0")
    );
    let expected = "optimizer.momentum must be at least 0 and below 1, got 1.5";
    assert_eq!(sgd(1.5, false).unwrap_err().to_string(), expected);
}

/// A small network of every kind of variable: dense and depthwise kernels, a norm's scale, shift and statistics, a
/// classifier.
pub(super) fn network(seed: i64) -> VarStore {
    tch::manual_seed(seed);
    let store = VarStore::new(Device::Cpu);
    let root = store.root();
    let noise = nn::Init::Randn { mean: 0.0, stdev: 0.5 };
    let kernel = |layer: &str, shape: &[i64]| drop((&root / layer).var("weight", shape, noise));
    let vector = |layer: &str, name, value, size| {
        drop((&root / layer).var(name, &[size], nn::Init::Const(value)));
    };
    kernel("conv1", &[6, 3, 3, 3]);
    kernel("depthwise", &[6, 1, 3, 3]);
    kernel("pointwise", &[8, 6, 1, 1]);
    vector("bn", "weight", 1.0, 8);
    vector("bn", "bias", 0.0, 8);
    drop((&root / "bn").zeros_no_train("running_mean", &[8]));
    kernel("fc", &[5, 8]);
    vector("fc", "bias", 0.0, 5);
    store
}

/// The loss of `network` at a step.
pub(super) fn loss(store: &VarStore, step: i64) -> Tensor {
    let of: BTreeMap<_, _> = store.variables().into_iter().collect();
    let conv = |xs: &Tensor, name: &str, groups| {
        let kernel = &of[name];
        let padding = kernel.size()[2] / 2;
        xs.conv2d(kernel, None::<Tensor>, [1, 1], [padding, padding], [1, 1], groups)
    };
    let xs = (Tensor::arange(4 * 3 * 36, (Kind::Float, Device::Cpu)) * 0.37 + step as f64).sin();
    let xs = conv(&xs.view([4, 3, 6, 6]), "conv1.weight", 1).relu();
    let xs = conv(&conv(&xs, "depthwise.weight", 6), "pointwise.weight", 1);
    let xs = xs * of["bn.weight"].view([1, 8, 1, 1]) + of["bn.bias"].view([1, 8, 1, 1]);
    let logits = xs
        .relu()
        .mean_dim([2, 3].as_slice(), false, Kind::Float)
        .linear(&of["fc.weight"], Some(&of["fc.bias"]));
    let labels = Tensor::arange(4, (Kind::Int64, Device::Cpu));
    logits.cross_entropy_for_logits(&labels)
}

fn train(store: &VarStore, optimizer: &mut Optimizer, steps: std::ops::Range<i64>) {
    for step in steps {
        let gradients = optimizer.gradients(&loss(store, step)).unwrap();
        optimizer.step(&gradients, 0.01 / (step + 1) as f64).unwrap();
    }
}

/// One optimizer of each kind, and every variation that remembers something else.
fn every_optimizer() -> Vec<OptimizerConfig> {
    let (beta1, beta2, eps, weight_decay) = (0.9, 0.99, 1e-8, 0.1);
    let sgd = |momentum, nesterov| OptimizerConfig::Sgd {
        momentum,
        nesterov,
        weight_decay,
        decays: Decays::All,
    };
    vec![
        OptimizerConfig::Adam { beta1, beta2, eps, weight_decay, decays: Decays::All },
        OptimizerConfig::AdamW { beta1, beta2, eps, weight_decay, decays: Decays::Weights },
        sgd(0.0, false),
        sgd(0.9, false),
        sgd(0.9, true),
        rms_prop(0.0),
        rms_prop(0.9),
        muon(Precision::Fp32, sgd(0.9, true)),
        muon(Precision::Bf16, OptimizerConfig::adam()),
    ]
}

fn rms_prop(momentum: f64) -> OptimizerConfig {
    let (rho, eps, initial_mean_square, weight_decay) = (0.9, 0.1, 1.0, 0.1);
    let decays = Decays::Weights;
    OptimizerConfig::RmsProp { rho, momentum, eps, initial_mean_square, weight_decay, decays }
}

fn muon(precision: Precision, others: OptimizerConfig) -> OptimizerConfig {
    OptimizerConfig::Muon {
        momentum: 0.95,
        nesterov: true,
        iterations: 5,
        precision,
        weight_decay: 0.1,
        others_learning_rate_factor: 0.1,
        others: Box::new(others),
    }
}

/// A classifier and norms that are treated apart.
fn apart() -> [LayerGroup; 2] {
    let group = |parameters: &str, learning_rate_factor, weight_decay_factor| LayerGroup {
        parameters: parameters.into(),
        learning_rate_factor,
        weight_decay_factor,
    };
    [group("fc", 2.0, 0.5), group("bn.*", 0.5, 0.0)]
}

#[test]
fn a_restored_optimizer_goes_on_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.safetensors");
    for config in every_optimizer() {
        let store = network(0);
        let mut optimizer = Optimizer::with_groups(&store, &config, &apart(), None).unwrap();
        train(&store, &mut optimizer, 0..3);
        weights::write(&path, &optimizer.state(), &BTreeMap::new()).unwrap();
        let weights = weights::snapshot(&store);
        train(&store, &mut optimizer, 3..6);

        let other = network(1);
        let mut restored = Optimizer::with_groups(&other, &config, &apart(), None).unwrap();
        // A step of its own, whose traces must all be overwritten.
        train(&other, &mut restored, 7..8);
        let addresses = |optimizer: &Optimizer| -> Vec<_> {
            optimizer.remembered().iter().map(|(_, tensor)| tensor.data_ptr()).collect()
        };
        let before = addresses(&restored);
        weights::load(&other, &weights).unwrap();
        restored.restore(&weights::read(&path).unwrap().0).unwrap();
        assert_eq!(addresses(&restored), before, "{config:?}");
        train(&other, &mut restored, 3..6);

        let (expected, got) = (weights::snapshot(&store), weights::snapshot(&other));
        for (name, expected) in &expected {
            assert!(got[name].equal(expected), "{name} under {config:?}");
        }
        assert!(!weights["fc.weight"].equal(&expected["fc.weight"]), "{config:?} moved nothing");
        for (name, tensor) in optimizer.state() {
            assert!(restored.state()[&name].equal(&tensor), "{name} under {config:?}");
        }
    }
}

/// A head that was trained alone for a while has taken more steps than the rest, and Adam corrects by their number.
#[test]
fn a_run_goes_on_from_the_steps_of_the_head_and_of_the_rest() {
    let build = |store: &VarStore| {
        Optimizer::with_groups(store, &OptimizerConfig::adam(), &[], Some("fc")).unwrap()
    };
    let (store, other) = (network(0), network(1));
    let (mut optimizer, mut restored) = (build(&store), build(&other));
    optimizer.reach(Reach::Head);
    train(&store, &mut optimizer, 0..3);
    optimizer.reach(Reach::Everything);
    train(&store, &mut optimizer, 3..4);

    weights::load(&other, &weights::snapshot(&store)).unwrap();
    restored.restore(&optimizer.state()).unwrap();
    train(&store, &mut optimizer, 4..6);
    train(&other, &mut restored, 4..6);
    let got = weights::snapshot(&other);
    for (name, expected) in weights::snapshot(&store) {
        assert!(got[&name].equal(&expected), "{name}");
    }
}

#[test]
fn state_is_named_after_the_parameters() {
    let store = network(0);
    let adam = Optimizer::new(&store, OptimizerConfig::adam()).state();
    let mut expected: Vec<String> = parameters(&store)
        .into_iter()
        .flat_map(|(name, _)| [format!("mean.{name}"), format!("variance.{name}")])
        .chain(["steps".to_string()])
        .collect();
    expected.sort();
    assert_eq!(adam.keys().cloned().collect::<Vec<_>>(), expected);
    assert_eq!(expected.len(), 2 * 7 + 1);
    assert_eq!(adam["mean.pointwise.weight"].size(), [8, 6, 1, 1]);
}

#[test]
fn the_state_of_another_optimizer_is_refused() {
    let store = network(0);
    let sgd = every_optimizer().swap_remove(3);
    let mut optimizer = Optimizer::new(&store, OptimizerConfig::adam());
    let error = optimizer.restore(&Optimizer::new(&store, sgd).state()).unwrap_err().to_string();
    for part in ["does not fit the optimizer in 22 places", "mean.bn.bias is missing"] {
        assert!(error.contains(part), "{error}");
    }
}

/// One step of SGD at 0.1 under a gradient of 1 and a decay of 0.5, from 2 everywhere.
#[test]
fn layer_groups_have_their_own_rate_and_decay() {
    let moved = |as_tensor: bool| {
        let store = VarStore::new(Device::Cpu);
        let twos = nn::Init::Const(2.0);
        let parameters = ["conv1", "fc", "bn"].map(|layer| {
            (&store.root() / layer).var("weight", if layer == "bn" { &[1] } else { &[1, 1] }, twos)
        });
        let decays = Decays::Weights;
        let sgd =
            OptimizerConfig::Sgd { momentum: 0.0, nesterov: false, weight_decay: 0.5, decays };
        let mut optimizer = Optimizer::with_groups(&store, &sgd, &apart(), None).unwrap();
        let sum =
            parameters.iter().map(|parameter| parameter.sum(Kind::Float)).reduce(|a, b| a + b);
        let gradients = optimizer.gradients(&sum.unwrap()).unwrap();
        let rate = Tensor::from(0.1_f32);
        let rate = if as_tensor { LearningRate::Tensor(&rate) } else { 0.1.into() };
        optimizer.step(&gradients, rate).unwrap();
        parameters.map(|parameter| parameter.sum(Kind::Double).double_value(&[]))
    };
    // conv1: 0.1 · (1 + 0.5 · 2); fc: 0.2 · (1 + 0.25 · 2); bn: 0.05 · 1
    for (got, expected) in moved(false).iter().zip([1.8, 1.7, 1.95]) {
        assert!((got - expected).abs() < 1e-6, "{got} {expected}");
    }
    assert_eq!(moved(true), moved(false));
}

#[test]
fn a_layer_group_of_nothing_is_refused() {
    let group = LayerGroup { parameters: "head".into(), ..apart()[0].clone() };
    let adam = OptimizerConfig::adam();
    let error =
        Optimizer::with_groups(&network(0), &adam, &[group], None).err().unwrap().to_string();
    assert!(
        error.contains("\"head\" matches no parameter; there are 7 such as conv1.weight"),
        "{error}"
    );
}

/// Muon's kernels go by its rule and the rest by the other optimizer at its own rate.
#[test]
fn muon_leaves_the_rest_to_another_optimizer() {
    let others = OptimizerConfig::Sgd {
        momentum: 0.0,
        nesterov: false,
        weight_decay: 0.0,
        decays: Decays::All,
    };
    let (store, by_sgd) = (network(0), network(0));
    // Other tests draw from the same generator meanwhile, so a seed does not make twins.
    weights::load(&by_sgd, &weights::snapshot(&store)).unwrap();
    let step = |store: &VarStore, config, rate: f64| {
        let mut optimizer = Optimizer::new(store, config);
        let gradients = optimizer.gradients(&loss(store, 0)).unwrap();
        optimizer.step(&gradients, rate).unwrap();
        optimizer.state()
    };
    let before = weights::snapshot(&store);
    let state = step(&store, muon(Precision::Fp32, others.clone()), 0.05);
    let kernels = ["conv1.weight", "pointwise.weight"];
    assert_eq!(
        state.into_keys().collect::<Vec<_>>(),
        kernels.map(|name| format!("momentum.{name}"))
    );
    step(&by_sgd, others, 0.05 * 0.1);
    let (after, by_sgd) = (weights::snapshot(&store), weights::snapshot(&by_sgd));
    for (name, after) in &after {
        assert_eq!(
            after.allclose(&by_sgd[name], 0.0, 1e-7, false),
            !kernels.contains(&name.as_str()),
            "{name}"
        );
    }
    // The update's singular values are about 1, times √(8 / 6) for the shape; the decay is 0.05 · 0.1.
    let update =
        (&before["pointwise.weight"] * (1.0 - 0.05 * 0.1) - &after["pointwise.weight"]) / 0.05;
    let (_, values, _) = update.view([8, 6]).svd(true, false);
    let values = values / (8.0_f64 / 6.0).sqrt();
    assert!(
        values.max().double_value(&[]) < 1.3 && values.max().double_value(&[]) > 0.6,
        "{values}"
    );
}

#[test]
fn the_numbers_of_muon_and_rmsprop_are_checked() {
    let adam = OptimizerConfig::adam;
    assert_eq!(muon(Precision::Auto, adam()).check(), Ok(()));
    let nested =
        muon(Precision::Auto, muon(Precision::Auto, adam())).check().unwrap_err().to_string();
    let expected = "optimizer.others.name must be adam, adamw, sgd or rmsprop, for what Muon cannot move, got muon";
    assert_eq!(nested, expected);
    let others = OptimizerConfig::Sgd {
        momentum: 0.0,
        nesterov: true,
        weight_decay: 0.0,
        decays: Decays::All,
    };
    let problem = muon(Precision::Auto, others).check().unwrap_err().to_string();
    assert!(problem.contains("optimizer.others.momentum must be above 0 where"), "{problem}");
    assert_eq!(rms_prop(0.9).check(), Ok(()));
    let expected = "optimizer.momentum must be at least 0 and below 1, got 1";
    assert_eq!(rms_prop(1.0).check().unwrap_err().to_string(), expected);
}
