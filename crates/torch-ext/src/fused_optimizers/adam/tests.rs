//! The fused step against the formulas of the two papers, written out in float64.

use super::*;
use tch::Device;

const RATE: f64 = 0.1;
const STEP: AdamStep = AdamStep {
    beta1: 0.9,
    beta2: 0.999,
    eps: 1e-8,
    weight_decay: 0.5,
    decay: WeightDecay::Decoupled,
};

/// Three steps of the textbook on one number, with the gradients 1, -2 and 0.5.
fn by_hand(step: AdamStep) -> f64 {
    let (mut weight, mut mean, mut variance) = (2.0_f64, 0.0, 0.0);
    for (taken, gradient) in [1.0, -2.0, 0.5].into_iter().enumerate() {
        let gradient = match step.decay {
            WeightDecay::InGradient => gradient + step.weight_decay * weight,
            WeightDecay::Decoupled => {
                weight -= RATE * step.weight_decay * weight;
                gradient
            }
        };
        mean = step.beta1 * mean + (1.0 - step.beta1) * gradient;
        variance = step.beta2 * variance + (1.0 - step.beta2) * gradient * gradient;
        let power = taken as i32 + 1;
        let (mean_hat, variance_hat) =
            (mean / (1.0 - step.beta1.powi(power)), variance / (1.0 - step.beta2.powi(power)));
        weight -= RATE * mean_hat / (variance_hat.sqrt() + step.eps);
    }
    weight
}

#[track_caller]
fn check(decay: WeightDecay) {
    let step = AdamStep { decay, ..STEP };
    let parameters = [Tensor::from_slice(&[2.0_f64; 5])];
    let mut memory = AdamMemory::new(&parameters);
    for gradient in [1.0, -2.0, 0.5] {
        let gradients = [Tensor::from_slice(&[gradient; 5])];
        fused_adam(&parameters, &gradients, &mut memory, step, RATE.into()).unwrap();
    }
    assert!(
        (parameters[0].double_value(&[4]) - by_hand(step)).abs() < 1e-12,
        "{} {}",
        parameters[0],
        by_hand(step)
    );
}

#[test]
fn adam_is_the_textbook() {
    check(WeightDecay::InGradient);
}

#[test]
fn adamw_is_the_textbook() {
    check(WeightDecay::Decoupled);
}

/// Two steps with a rate that changes in between.
#[track_caller]
fn follows_a_tensor(device: Device, decay: WeightDecay) {
    let step = AdamStep { decay, ..STEP };
    let moved = |as_tensor: bool| {
        let parameters = [Tensor::ones([5], (Kind::Float, device))];
        let gradients = [Tensor::full([5], 0.3, (Kind::Float, device))];
        let mut memory = AdamMemory::new(&parameters);
        let mut tensor = Tensor::zeros([], (Kind::Float, device));
        // Rates that a float holds exactly, so that both forms compute with the same number.
        for rate in [0.125, 0.25] {
            drop(tensor.fill_(rate));
            let rate = if as_tensor { LearningRate::Tensor(&tensor) } else { rate.into() };
            fused_adam(&parameters, &gradients, &mut memory, step, rate).unwrap();
        }
        parameters[0].double_value(&[4])
    };
    assert_eq!(moved(true), moved(false));
    assert!((moved(true) - 1.0).abs() > 0.3, "{}", moved(true));
}

#[test]
fn the_rate_may_be_a_tensor() {
    follows_a_tensor(Device::Cpu, WeightDecay::InGradient);
    follows_a_tensor(Device::Cpu, WeightDecay::Decoupled);
}

#[test]
#[ignore = "needs a CUDA device"]
fn the_rate_may_be_a_tensor_on_a_gpu() {
    follows_a_tensor(Device::Cuda(0), WeightDecay::InGradient);
    follows_a_tensor(Device::Cuda(0), WeightDecay::Decoupled);
}

/// A gradient that lies otherwise in memory than its parameter, as convolutions' do in channels-last.
#[test]
fn a_gradient_of_another_layout_lands_on_its_own_weight() {
    let parameters = [Tensor::zeros([2, 3], (Kind::Double, Device::Cpu))];
    let gradient = Tensor::from_slice(&[1.0_f64, 0., 0., 0., 0., -1.]).view([3, 2]).tr();
    let mut memory = AdamMemory::new(&parameters);
    fused_adam(&parameters, &[gradient], &mut memory, STEP, RATE.into()).unwrap();
    let moved: Vec<f64> = (&parameters[0] * 10).round().flatten(0, 1).try_into().unwrap();
    assert_eq!(moved, [-1., 0., 0., 0., 0., 1.]);
}

#[test]
fn a_missing_gradient_is_named() {
    let parameters = [Tensor::zeros([2], (Kind::Float, Device::Cpu))];
    let mut memory = AdamMemory::new(&parameters);
    let error =
        fused_adam(&parameters, &[Tensor::new()], &mut memory, STEP, RATE.into()).unwrap_err();
    assert_eq!(error.to_string(), "a fused Adam step was refused: parameter 0 has no gradient");
    assert_eq!(memory.steps.double_value(&[]), 0.0, "a refused step must not count");
}

#[test]
fn lists_that_do_not_pair_up_are_refused() {
    let error = fused_adam(
        &[Tensor::zeros([2], (Kind::Float, Device::Cpu))],
        &[],
        &mut AdamMemory::new(&[]),
        STEP,
        RATE.into(),
    )
    .unwrap_err();
    assert!(error.message.contains("1 parameters, 0 gradients and the memory of 0"), "{error}");
}
