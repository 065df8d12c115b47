//! Adam and AdamW.

use tch::{Device, Kind, Tensor};

use super::{LearningRate, check_fraction, check_lists, check_not_negative, zeros_like};
use crate::{Error, ffi};

/// The place where weight decay enters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WeightDecay {
    /// Added to the gradient, as in Adam (PyTorch: `torch.optim.Adam(weight_decay=…)`).
    InGradient,
    /// Applied to the weights apart from the gradient, as in AdamW (PyTorch: `torch.optim.AdamW`).
    Decoupled,
}

/// The hyperparameters of Adam, except the learning rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamStep {
    /// Decay of the running mean of the gradients, at least 0 and below 1.
    pub beta1: f64,
    /// Decay of the running mean of their squares, at least 0 and below 1.
    pub beta2: f64,
    /// Added to the root of the second moment, at least 0.
    pub eps: f64,
    /// Strength of the decay, at least 0.
    pub weight_decay: f64,
    /// Kind of the decay.
    pub decay: WeightDecay,
}

/// The state of Adam for a list of parameters.
#[derive(Debug)]
pub struct AdamMemory {
    /// Running means of the gradients, each with the shape, strides, kind and device of its parameter.
    pub means: Vec<Tensor>,
    /// Running means of the squared gradients, as the means.
    pub variances: Vec<Tensor>,
    /// Steps taken by all of them: a `Float` scalar on the device of the parameters, as libtorch's kernels read it.
    pub steps: Tensor,
}

impl AdamMemory {
    /// The state before the first step of `parameters`, all on one device.
    ///
    /// # Panics
    /// Where a parameter is undefined.
    pub fn new(parameters: &[Tensor]) -> Self {
        let [means, variances] = [zeros_like(parameters), zeros_like(parameters)];
        let device = parameters.first().map_or(Device::Cpu, Tensor::device);
        Self { means, variances, steps: Tensor::zeros([], (Kind::Float, device)) }
    }
}

/// Moves every parameter by one Adam or AdamW step against its gradient.
///
/// Parameters, gradients and state run in parallel. All parameters are on one device, dense in memory and of
/// floating-point numbers; a gradient has the shape, kind and device of its parameter, and the state its strides as well.
/// PyTorch: `torch._fused_adam_`, `torch._fused_adamw_`, and their `tensor_lr` forms.
///
/// # Errors
/// Lists of unequal lengths; a tensor that is undefined or differs from its parameter; tensors that share memory;
/// hyperparameters outside their ranges; and libtorch's own. Nothing is changed then, the count of steps included.
pub fn fused_adam(
    parameters: &[Tensor],
    gradients: &[Tensor],
    memory: &mut AdamMemory,
    step: AdamStep,
    learning_rate: LearningRate<'_>,
) -> Result<(), Error> {
    let operation = "a fused Adam step";
    check_fraction(operation, "a beta1", step.beta1)?;
    check_fraction(operation, "a beta2", step.beta2)?;
    check_not_negative(operation, "an eps", step.eps)?;
    check_not_negative(operation, "a weight decay", step.weight_decay)?;
    learning_rate.check(operation)?;
    for states in [&memory.means, &memory.variances] {
        check_lists(operation, parameters, gradients, states.len())?;
    }
    if parameters.is_empty() {
        return Ok(());
    }
    let lists: [&[Tensor]; 4] = [parameters, gradients, &memory.means, &memory.variances];
    let lists = lists.map(ffi::pointers);
    let (number, tensor) = learning_rate.parts();
    // SAFETY: four lists that point to live tensors, each as long as the parameters and not empty; a live tensor; and a
    // live tensor or null. C++ compares the tensors before a kernel walks them.
    let text = unsafe {
        ffi::torch_ext_fused_adam(
            lists[0].as_ptr(),
            lists[1].as_ptr(),
            lists[2].as_ptr(),
            lists[3].as_ptr(),
            parameters.len(),
            memory.steps.as_mut_ptr(),
            number,
            tensor.map_or(std::ptr::null(), Tensor::as_ptr),
            step.beta1,
            step.beta2,
            step.weight_decay,
            step.eps,
            step.decay == WeightDecay::Decoupled,
        )
    };
    ffi::check(operation, text)
}

#[cfg(test)]
mod tests;
