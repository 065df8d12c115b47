//! One pass over memory for a whole Adam step, by libtorch's fused kernels.
//!
//! tch's optimizers hide their state, so that a run could not be resumed, and walk the parameters one
//! elementary operation at a time. Here the state is the caller's, and a step is one call.

use tch::{Kind, Tensor};

use crate::{Error, ffi};

/// Where weight decay enters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WeightDecay {
    /// Added to the gradient, as in Adam (PyTorch: `torch.optim.Adam(weight_decay=…)`).
    InGradient,
    /// Applied to the weights apart from the gradient, as in AdamW (PyTorch: `torch.optim.AdamW`).
    Decoupled,
}

/// The size of one step.
#[derive(Debug, Clone, Copy)]
pub enum LearningRate<'a> {
    /// A number, passed to the kernel.
    Number(f64),
    /// A float scalar beside the parameters, read by the kernel: on a GPU a step that was captured in a
    /// [`CudaGraph`](crate::CudaGraph) follows it, where a number would stay what it was at the capture.
    Tensor(&'a Tensor),
}

impl From<f64> for LearningRate<'_> {
    fn from(number: f64) -> Self {
        LearningRate::Number(number)
    }
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

/// What Adam remembers of one parameter.
#[derive(Debug)]
pub struct AdamState {
    /// Running mean of the gradient, shaped like the parameter.
    pub mean: Tensor,
    /// Running mean of the squared gradient, shaped like the parameter.
    pub variance: Tensor,
    /// Steps taken: a float scalar beside the parameter, as libtorch's kernels want it.
    pub steps: Tensor,
}

impl AdamState {
    /// The state ahead of the first step of `parameter`.
    pub fn new(parameter: &Tensor) -> Self {
        // The fused kernel walks all four tensors in memory order, so the state shares the parameter's strides.
        let zeros = || parameter.detach().zeros_like();
        Self {
            mean: zeros(),
            variance: zeros(),
            steps: Tensor::zeros([], (Kind::Float, parameter.device())),
        }
    }
}

/// Moves every parameter by one Adam or AdamW step along its gradient.
///
/// The three slices run in parallel; a parameter's gradient must be defined.
/// PyTorch: `torch._fused_adam_`, `torch._fused_adamw_`, and their `tensor_lr` forms.
pub fn fused_adam(
    parameters: &[Tensor],
    gradients: &[Tensor],
    states: &mut [AdamState],
    step: AdamStep,
    learning_rate: LearningRate<'_>,
) -> Result<(), Error> {
    let operation = "a fused Adam step";
    if parameters.len() != gradients.len() || parameters.len() != states.len() {
        let message = format!(
            "{} parameters, {} gradients and {} states do not pair up",
            parameters.len(),
            gradients.len(),
            states.len()
        );
        return Err(Error { operation, message });
    }
    if let Some(index) = gradients.iter().position(|gradient| !gradient.defined()) {
        return Err(Error { operation, message: format!("parameter {index} has no gradient") });
    }
    if parameters.is_empty() {
        return Ok(());
    }
    let lists = [
        ffi::pointers(parameters),
        ffi::pointers(gradients),
        ffi::pointers(states.iter().map(|state| &state.mean)),
        ffi::pointers(states.iter().map(|state| &state.variance)),
        ffi::pointers(states.iter().map(|state| &state.steps)),
    ];
    let (number, tensor) = match learning_rate {
        LearningRate::Number(number) => (number, std::ptr::null()),
        LearningRate::Tensor(tensor) => (0.0, tensor.as_ptr()),
    };
    // SAFETY: five lists of `count` valid tensors each, and a tensor or null, alive through the call.
    let text = unsafe {
        ffi::torch_ext_fused_adam(
            lists[0].as_ptr(),
            lists[1].as_ptr(),
            lists[2].as_ptr(),
            lists[3].as_ptr(),
            lists[4].as_ptr(),
            parameters.len(),
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
