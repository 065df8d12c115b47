//! A whole step of an optimizer in one call: in one pass over memory where libtorch has a fused kernel for it.
//!
//! tch's optimizers hide their state, so that a run could not be resumed, and walk the parameters one
//! elementary operation at a time. Here the state is the caller's, and a step is one call.

mod adam;
mod rms_prop;
mod sgd;

use tch::Tensor;
use torch_sys::C_tensor;

use crate::Error;

pub use adam::{AdamMemory, AdamStep, WeightDecay, fused_adam};
pub use rms_prop::{RmsPropMemory, RmsPropStep, rms_prop};
pub use sgd::{SgdMemory, SgdStep, fused_sgd};

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

impl LearningRate<'_> {
    /// As C++ takes it: a number, and a tensor that counts where it is not null.
    fn parts(self) -> (f64, *const C_tensor) {
        match self {
            LearningRate::Number(number) => (number, std::ptr::null()),
            LearningRate::Tensor(tensor) => (0.0, tensor.as_ptr()),
        }
    }
}

/// Refuses parameters that do not each have a gradient and a memory.
fn check(
    operation: &'static str,
    parameters: &[Tensor],
    gradients: &[Tensor],
    remembered: usize,
) -> Result<(), Error> {
    let counts = [parameters.len(), gradients.len(), remembered];
    if counts.iter().any(|&count| count != parameters.len()) {
        let [parameters, gradients, remembered] = counts;
        let message = format!(
            "{parameters} parameters, {gradients} gradients and the memory of {remembered} do not pair up"
        );
        return Err(Error { operation, message });
    }
    match gradients.iter().position(|gradient| !gradient.defined()) {
        Some(index) => {
            Err(Error { operation, message: format!("parameter {index} has no gradient") })
        }
        None => Ok(()),
    }
}

/// Zeros shaped like each parameter, with its strides: the kernels walk everything in memory order.
fn zeros_like(parameters: &[Tensor]) -> Vec<Tensor> {
    parameters.iter().map(|parameter| parameter.detach().zeros_like()).collect()
}
