//! Averages against PyTorch's, and weights that come back as they were.

use super::*;
use tch::{Device, Kind, nn};

const EMA: AverageConfig = AverageConfig::Ema { decay: 0.9, every: 1, warmup: DecayWarmup::None };

/// A network of one weight and one running mean.
fn network() -> (VarStore, Tensor, Tensor) {
    let store = VarStore::new(Device::Cpu);
    let weight = store.root().var("weight", &[2, 1], nn::Init::Const(100.0));
    let mean = store.root().zeros_no_train("running_mean", &[2]);
    (store, weight, mean)
}

fn position(step: u64) -> Position {
    Position { step, steps: 100, steps_per_epoch: 2, batch_size: 8 }
}

fn set(tensor: &Tensor, value: f64) {
    tch::no_grad(|| drop(tensor.shallow_clone().fill_(value)));
}

/// The average of the weights 1, 2, 4, 8, 16 and 32 after six steps, and that of their negatives.
fn averaged(config: AverageConfig) -> (f64, f64) {
    let (store, weight, mean) = network();
    let mut average = Average::new(&store, config);
    for step in 0..6 {
        set(&weight, f64::from(1 << step));
        set(&mean, -f64::from(1 << step));
        average.update(&position(step)).unwrap();
    }
    let read = || Ok::<_, Error>((weight.double_value(&[1, 0]), mean.double_value(&[1])));
    average.during(read).unwrap()
}

#[track_caller]
fn check(config: AverageConfig, expected: f64) {
    let (weight, mean) = averaged(config);
    assert!((weight - expected).abs() < 1e-5 && mean == -weight, "{weight} {mean} {expected}");
}

/// PyTorch 2.13, with `get_ema_multi_avg_fn(0.9)` and `get_swa_multi_avg_fn()`:
///
/// ```python
/// def averaged(fn):
///     model = torch.nn.Linear(1, 1, bias=False)
///     average = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=fn)
///     for step in range(6):
///         model.weight.data.fill_(2 ** step); average.update_parameters(model)
///     return average.module.weight.item()
/// ```
#[test]
fn averages_are_pytorchs() {
    check(EMA, 6.301310062408447);
    check(AverageConfig::Polyak { from: Span::Steps(1), every: 1 }, 10.5);
}

#[test]
fn two_weights_and_two_means_take_sixteen_bytes() {
    assert_eq!(Average::new(&network().0, EMA).bytes(), 16);
}

/// By hand: of every second step 2, 8 and 32 count; an epoch is complete with the second step, and so 2 is the first.
#[test]
fn some_steps_do_not_count() {
    check(AverageConfig::Polyak { from: Span::Steps(1), every: 2 }, 14.0);
    check(AverageConfig::Polyak { from: Span::Epochs(1.0), every: 1 }, 62.0 / 5.0);
    check(AverageConfig::Polyak { from: Span::Samples(6 * 8), every: 1 }, 32.0);
    let ema = AverageConfig::Ema { decay: 0.75, every: 2, warmup: DecayWarmup::None };
    check(ema, 0.75 * (0.75 * 2.0 + 0.25 * 8.0) + 0.25 * 32.0);
}

/// By hand: after n updates TensorFlow's decay is at most (1 + n) / (10 + n).
#[test]
fn a_ramp_forgets_the_first_weights() {
    let mut expected = 1.0_f64;
    for (update, weight) in [(1.0, 2.0), (2.0, 4.0), (3.0, 8.0), (4.0, 16.0), (5.0, 32.0)] {
        let decay = f64::min(0.3, (1.0 + update) / (10.0 + update));
        expected = decay * expected + (1.0 - decay) * weight;
    }
    check(AverageConfig::Ema { decay: 0.3, every: 1, warmup: DecayWarmup::Ramp }, expected);
}

#[test]
fn the_weights_come_back_bit_for_bit() {
    let (store, weight, _) = network();
    let mut average = Average::new(&store, EMA);
    let before = average.during(|| Ok::<_, Error>(weight.copy())).unwrap();
    assert!(before.equal(&weight), "nothing has counted yet");
    for step in 0..3 {
        set(&weight, 0.1 + step as f64);
        average.update(&position(step)).unwrap();
    }
    let (address, own) = (weight.data_ptr(), weight.detach().copy());
    let averaged = average.during(|| Ok::<_, Error>(weight.detach().copy())).unwrap();
    assert!(!averaged.equal(&own) && weight.equal(&own));
    assert_eq!(weight.data_ptr(), address);
    assert!(average.tensors()["average.weight"].equal(&averaged));
    // Even where the work fails.
    let failed =
        average.during(|| Err::<(), Error>(Error::State { what: "no", problems: Vec::new() }));
    assert!(failed.is_err() && weight.equal(&own));
}

#[test]
fn a_restored_average_goes_on_bit_for_bit() {
    for config in [EMA, AverageConfig::Polyak { from: Span::Steps(2), every: 1 }] {
        let (store, weight, _) = network();
        let mut average = Average::new(&store, config);
        let mut restored = None;
        for step in 0..6 {
            if step == 3 {
                let mut other = Average::new(&store, config);
                other.restore(&average.tensors()).unwrap();
                restored = Some(other);
            }
            set(&weight, (step as f64).sin());
            average.update(&position(step)).unwrap();
            if let Some(restored) = &mut restored {
                restored.update(&position(step)).unwrap();
            }
        }
        let (expected, got) = (average.tensors(), restored.unwrap().tensors());
        assert_eq!(expected.keys().collect::<Vec<_>>(), got.keys().collect::<Vec<_>>());
        assert!(expected.iter().all(|(name, tensor)| got[name].equal(tensor)), "{config:?}");
    }
}

#[test]
fn the_average_of_another_network_is_refused() {
    let (store, ..) = network();
    let mut average = Average::new(&store, EMA);
    let given = [("updates".to_string(), Tensor::from(1.0_f32))].into();
    let error = average.restore(&given).unwrap_err().to_string();
    for part in [
        "does not fit the average of the weights in 3 places",
        "average.running_mean is missing",
        "updates: expected kind Int64, got Float",
    ] {
        assert!(error.contains(part), "{error}");
    }
    assert_eq!(average.updates, 0);
    let kinds: Vec<Kind> = average.tensors().values().map(Tensor::kind).collect();
    assert_eq!(kinds, [Kind::Float, Kind::Float, Kind::Int64]);
}

#[test]
fn numbers_out_of_range_are_named() {
    let ema = |decay, every| AverageConfig::Ema { decay, every, warmup: DecayWarmup::Ramp };
    assert_eq!(ema(0.9999, 1).check(10), Ok(()));
    let expected = "average.decay must be at least 0 and below 1, got 1";
    assert_eq!(ema(1.0, 1).check(10).unwrap_err().to_string(), expected);
    assert_eq!(
        ema(0.9, 0).check(10).unwrap_err().to_string(),
        "average.every must be at least 1, got 0"
    );
    let polyak = |epochs| AverageConfig::Polyak { from: Span::Epochs(epochs), every: 1 }.check(10);
    assert_eq!(polyak(10.0), Ok(()));
    assert_eq!(polyak(0.0).unwrap_err().to_string(), "average.from.epochs must be above 0, got 0");
    let expected = "average.from.epochs must be at most the 10 epochs of the run, got 11";
    assert_eq!(polyak(11.0).unwrap_err().to_string(), expected);
}
