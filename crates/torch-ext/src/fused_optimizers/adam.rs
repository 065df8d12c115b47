//! Adam and AdamW.

use tch::{Device, Kind, Tensor};

use super::{LearningRate, check, zeros_like};
use crate::{Error, ffi};

/// Where weight decay enters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WeightDecay {
    /// Added to the gradient, as in Adam (PyTorch: `torch.optim.Adam(weight_decay=…)`).
    InGradient,
    /// Applied to the weights apart from the gradient, as in AdamW (PyTorch: `torch.optim.AdamW`).
    Decoupled,
}

/// The numbers of Adam, but for the learning rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamStep {
    /// Decay of the running mean of the gradients.
    pub beta1: f64,
    /// Decay of the running mean of their squares.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Strength of the decay.
    pub weight_decay: f64,
    /// Kind of the decay.
    pub decay: WeightDecay,
}

/// What Adam remembers of a list of parameters.
#[derive(Debug)]
pub struct AdamMemory {
    /// Running means of the gradients, each shaped like its parameter.
    pub means: Vec<Tensor>,
    /// Running means of the squared gradients, each shaped like its parameter.
    pub variances: Vec<Tensor>,
    /// Steps taken, by all of them: a float scalar beside the parameters, as libtorch's kernels want it.
    pub steps: Tensor,
}

impl AdamMemory {
    /// The memory ahead of the first step of `parameters`, all on one device.
    pub fn new(parameters: &[Tensor]) -> Self {
        let device = parameters.first().map_or(Device::Cpu, Tensor::device);
        Self {
            means: zeros_like(parameters),
            variances: zeros_like(parameters),
            steps: Tensor::zeros([], (Kind::Float, device)),
        }
    }
}

/// Moves every parameter by one Adam or AdamW step along its gradient.
///
/// Parameters, gradients and memory run in parallel; a parameter's gradient must be defined.
/// PyTorch: `torch._fused_adam_`, `torch._fused_adamw_`, and their `tensor_lr` forms.
pub fn fused_adam(
    parameters: &[Tensor],
    gradients: &[Tensor],
    memory: &mut AdamMemory,
    step: AdamStep,
    learning_rate: LearningRate<'_>,
) -> Result<(), Error> {
    let operation = "a fused Adam step";
    for remembered in [&memory.means, &memory.variances] {
        check(operation, parameters, gradients, remembered.len())?;
    }
    if parameters.is_empty() {
        return Ok(());
    }
    let lists: [&[Tensor]; 4] = [parameters, gradients, &memory.means, &memory.variances];
    let lists = lists.map(ffi::pointers);
    let (number, tensor) = learning_rate.parts();
    // SAFETY: four lists of `count` valid tensors each, a tensor, and a tensor or null, alive through the call.
    let text = unsafe {
        ffi::torch_ext_fused_adam(
            lists[0].as_ptr(),
            lists[1].as_ptr(),
            lists[2].as_ptr(),
            lists[3].as_ptr(),
            parameters.len(),
            memory.steps.as_mut_ptr(),
            number,
            tensor,
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
