//! A whole step of an optimizer in one call: in one pass over memory where libtorch has a fused kernel for it.
//!
//! tch's optimizers hide their state, so that a run could not be resumed, and walk the parameters one elementary operation
//! at a time. Here the caller holds the state, and a step is one call.
//!
//! libtorch's kernels walk all lists in memory order to the last number of the parameter and check none of them. So every
//! tensor is compared with its parameter before the first number is written; a refused step changes nothing.

mod adam;
mod rms_prop;
mod sgd;

use tch::Tensor;

use crate::Error;

pub use adam::{AdamMemory, AdamStep, WeightDecay, fused_adam};
pub use rms_prop::{RmsPropMemory, RmsPropStep, rms_prop};
pub use sgd::{SgdMemory, SgdStep, fused_sgd};

/// The size of one step.
#[derive(Debug, Clone, Copy)]
pub enum LearningRate<'a> {
    /// A number of at least 0, passed to the kernel.
    Number(f64),
    /// A `Float` scalar on the device of the parameters, read by the kernel. On a GPU a step that was captured in a
    /// [`CudaGraph`](crate::CudaGraph) follows it, where a number would stay as it was at the capture.
    Tensor(&'a Tensor),
}

impl From<f64> for LearningRate<'_> {
    fn from(number: f64) -> Self {
        LearningRate::Number(number)
    }
}

impl LearningRate<'_> {
    /// The rate as C++ takes it: a number, and a tensor that counts where there is one.
    fn parts(&self) -> (f64, Option<&Tensor>) {
        match self {
            LearningRate::Number(number) => (*number, None),
            LearningRate::Tensor(tensor) => (0.0, Some(tensor)),
        }
    }

    fn check(&self, operation: &'static str) -> Result<(), Error> {
        match self {
            LearningRate::Number(number) => {
                check_not_negative(operation, "a learning rate", *number)
            }
            LearningRate::Tensor(_) => Ok(()),
        }
    }
}

/// Refuses lists in which a parameter has no gradient or no state. C++ compares the tensors themselves.
fn check_lists(
    operation: &'static str,
    parameters: &[Tensor],
    gradients: &[Tensor],
    states: usize,
) -> Result<(), Error> {
    let counts = [parameters.len(), gradients.len(), states];
    if counts.iter().any(|&count| count != parameters.len()) {
        let [parameters, gradients, states] = counts;
        let message = format!(
            "{parameters} parameters, {gradients} gradients and the memory of {states} do not pair up"
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

/// Refuses NaN, infinity and numbers below 0.
fn check_not_negative(operation: &'static str, name: &str, number: f64) -> Result<(), Error> {
    if number.is_finite() && number >= 0.0 {
        return Ok(());
    }
    let message = format!("expected {name} of at least 0, got {number}");
    Err(Error { operation, message })
}

/// Refuses NaN and numbers outside `0..1`.
fn check_fraction(operation: &'static str, name: &str, number: f64) -> Result<(), Error> {
    if (0.0..1.0).contains(&number) {
        return Ok(());
    }
    let message = format!("expected {name} of at least 0 and below 1, got {number}");
    Err(Error { operation, message })
}

/// Zeros with the shape and strides of each parameter.
///
/// # Panics
/// Where one is undefined.
fn zeros_like(parameters: &[Tensor]) -> Vec<Tensor> {
    let zeros = |(index, parameter): (usize, &Tensor)| {
        assert!(
            parameter.defined(),
            "expected parameter {index} with a shape, got an undefined tensor"
        );
        parameter.detach().zeros_like()
    };
    parameters.iter().enumerate().map(zeros).collect()
}
