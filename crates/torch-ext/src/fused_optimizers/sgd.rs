//! Stochastic gradient descent, with momentum or without.

use tch::Tensor;

use super::{LearningRate, check_lists, check_not_negative, zeros_like};
use crate::{Error, ffi};

/// The hyperparameters of a step, except the learning rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SgdStep {
    /// The part of the velocity that is kept from step to step, at least 0; 0 for no velocity.
    pub momentum: f64,
    /// Whether the step looks ahead along the velocity (Nesterov).
    pub nesterov: bool,
    /// Strength of the decay, which is added to the gradient, at least 0.
    pub weight_decay: f64,
}

/// The state of SGD for a list of parameters.
#[derive(Debug)]
pub struct SgdMemory {
    /// Each with the shape, strides, kind and device of its parameter; none at all without momentum.
    pub velocities: Vec<Tensor>,
}

impl SgdMemory {
    /// The state before the first of such steps of `parameters`.
    ///
    /// # Panics
    /// Where a parameter is undefined and the step has momentum.
    pub fn new(parameters: &[Tensor], step: SgdStep) -> Self {
        let moves = step.momentum != 0.0;
        Self { velocities: if moves { zeros_like(parameters) } else { Vec::new() } }
    }
}

/// Moves every parameter by one step against its gradient.
///
/// Parameters, gradients and state run in parallel, with the same demands as in [`fused_adam`](crate::fused_adam).
/// PyTorch: `torch._fused_sgd_` and its `tensor_lr` form, without dampening.
///
/// # Errors
/// As [`fused_adam`](crate::fused_adam), and for Nesterov's form without momentum. Nothing is changed then.
pub fn fused_sgd(
    parameters: &[Tensor],
    gradients: &[Tensor],
    memory: &mut SgdMemory,
    step: SgdStep,
    learning_rate: LearningRate<'_>,
) -> Result<(), Error> {
    let operation = "a fused SGD step";
    check_not_negative(operation, "a momentum", step.momentum)?;
    check_not_negative(operation, "a weight decay", step.weight_decay)?;
    learning_rate.check(operation)?;
    let velocities = &memory.velocities;
    let states = if step.momentum == 0.0 { parameters.len() } else { velocities.len() };
    check_lists(operation, parameters, gradients, states)?;
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
    // SAFETY: parameters and gradients point to as many live tensors, at least one; so do the velocities, which C++ does
    // not read without momentum; and a live tensor or null. C++ compares the tensors before a kernel walks them.
    let text = unsafe {
        ffi::torch_ext_fused_sgd(
            lists[0].as_ptr(),
            lists[1].as_ptr(),
            lists[2].as_ptr(),
            parameters.len(),
            number,
            tensor.map_or(std::ptr::null(), Tensor::as_ptr),
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
        let mut memory = SgdMemory::new(&parameters, step);
        for gradient in [1.0, -2.0, 0.5] {
            let gradients = [Tensor::from_slice(&[gradient; 5])];
            fused_sgd(&parameters, &gradients, &mut memory, step, RATE.into()).unwrap();
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
            let mut memory = SgdMemory::new(&parameters, step);
            let gradients = [Tensor::ones([3], (Kind::Float, Device::Cpu))];
            fused_sgd(&parameters, &gradients, &mut memory, step, rate).unwrap();
            parameters[0].double_value(&[0])
        };
        assert_eq!(moved(LearningRate::Tensor(&Tensor::from(0.25_f32))), 1.0 - 0.25 * 1.5);
        assert_eq!(moved(0.25.into()), 1.0 - 0.25 * 1.5);
    }

    #[test]
    fn looking_ahead_needs_a_velocity() {
        let step = SgdStep { momentum: 0.0, nesterov: true, weight_decay: 0.0 };
        let error =
            fused_sgd(&[], &[], &mut SgdMemory::new(&[], step), step, RATE.into()).unwrap_err();
        assert!(error.message.contains("a momentum of 0 has none"), "{error}");
    }
}
