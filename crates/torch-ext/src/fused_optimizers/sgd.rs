//! Stochastic gradient descent, with momentum or without.

use tch::Tensor;

use super::{LearningRate, check, zeros_like};
use crate::{Error, ffi};

/// The numbers of a step, but for the learning rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SgdStep {
    /// What is left of the velocity from step to step; 0 for none.
    pub momentum: f64,
    /// Whether the step looks ahead along the velocity.
    pub nesterov: bool,
    /// Strength of the decay, which is added to the gradient.
    pub weight_decay: f64,
}

/// The velocities ahead of the first step of `parameters`: zeros, each shaped like its parameter.
pub fn sgd_velocities(parameters: &[Tensor]) -> Vec<Tensor> {
    zeros_like(parameters)
}

/// Moves every parameter by one step along its gradient.
///
/// Parameters, gradients and velocities run in parallel; a parameter's gradient must be defined.
/// PyTorch: `torch._fused_sgd_` and its `tensor_lr` form, without dampening.
pub fn fused_sgd(
    parameters: &[Tensor],
    gradients: &[Tensor],
    velocities: &mut [Tensor],
    step: SgdStep,
    learning_rate: LearningRate<'_>,
) -> Result<(), Error> {
    let operation = "a fused SGD step";
    check(operation, parameters, gradients, velocities.len())?;
    if step.nesterov && step.momentum == 0.0 {
        let message = "Nesterov's form looks ahead along a velocity, and a momentum of 0 has none";
        return Err(Error { operation, message: message.into() });
    }
    if parameters.is_empty() {
        return Ok(());
    }
    let lists: [&[Tensor]; 3] = [parameters, gradients, velocities];
    let lists = lists.map(ffi::pointers);
    let (number, tensor) = learning_rate.parts();
    // SAFETY: three lists of `count` valid tensors each, and a tensor or null, alive through the call.
    let text = unsafe {
        ffi::torch_ext_fused_sgd(
            lists[0].as_ptr(),
            lists[1].as_ptr(),
            lists[2].as_ptr(),
            parameters.len(),
            number,
            tensor,
            step.momentum,
            step.weight_decay,
            step.nesterov,
        )
    };
    ffi::check(operation, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    const RATE: f64 = 0.1;

    /// Three steps of the textbook on one number, with the gradients 1, -2 and 0.5.
    fn by_hand(step: SgdStep) -> f64 {
        let (mut weight, mut velocity) = (2.0_f64, 0.0);
        for gradient in [1.0, -2.0, 0.5] {
            let gradient = gradient + step.weight_decay * weight;
            velocity = step.momentum * velocity + gradient;
            let along = if step.nesterov { gradient + step.momentum * velocity } else { velocity };
            weight -= RATE * along;
        }
        weight
    }

    #[track_caller]
    fn check(step: SgdStep) {
        let parameters = [Tensor::from_slice(&[2.0_f64; 5])];
        let mut velocities = sgd_velocities(&parameters);
        for gradient in [1.0, -2.0, 0.5] {
            let gradients = [Tensor::from_slice(&[gradient; 5])];
            fused_sgd(&parameters, &gradients, &mut velocities, step, RATE.into()).unwrap();
        }
        let moved = parameters[0].double_value(&[4]);
        assert!((moved - by_hand(step)).abs() < 1e-12, "{moved} {} {step:?}", by_hand(step));
    }

    #[test]
    fn sgd_is_the_textbook() {
        check(SgdStep { momentum: 0.0, nesterov: false, weight_decay: 0.3 });
        check(SgdStep { momentum: 0.9, nesterov: false, weight_decay: 0.0 });
        check(SgdStep { momentum: 0.9, nesterov: true, weight_decay: 0.3 });
    }

    #[test]
    fn the_rate_may_be_a_tensor() {
        let step = SgdStep { momentum: 0.5, nesterov: true, weight_decay: 0.0 };
        let moved = |rate: LearningRate| {
            let parameters = [Tensor::ones([3], (Kind::Float, Device::Cpu))];
            let mut velocities = sgd_velocities(&parameters);
            let gradients = [Tensor::ones([3], (Kind::Float, Device::Cpu))];
            fused_sgd(&parameters, &gradients, &mut velocities, step, rate).unwrap();
            parameters[0].double_value(&[0])
        };
        assert_eq!(moved(LearningRate::Tensor(&Tensor::from(0.25_f32))), 1.0 - 0.25 * 1.5);
        assert_eq!(moved(0.25.into()), 1.0 - 0.25 * 1.5);
    }

    #[test]
    fn looking_ahead_needs_a_velocity() {
        let step = SgdStep { momentum: 0.0, nesterov: true, weight_decay: 0.0 };
        let error = fused_sgd(&[], &[], &mut [], step, RATE.into()).unwrap_err();
        assert!(error.message.contains("a momentum of 0 has none"), "{error}");
    }
}
