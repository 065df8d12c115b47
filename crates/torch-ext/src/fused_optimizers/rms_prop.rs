//! RMSprop as TensorFlow computes it, which is not how PyTorch does.

use tch::Tensor;

use super::{LearningRate, check_fraction, check_lists, check_not_negative, zeros_like};
use crate::{Error, ffi};

/// The hyperparameters of a step, except the learning rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RmsPropStep {
    /// Decay of the running mean of the squared gradients, at least 0 and below 1.
    pub rho: f64,
    /// The part of the velocity that is kept from step to step, at least 0; 0 for no velocity.
    pub momentum: f64,
    /// Added to the mean square, under the root, at least 0.
    pub eps: f64,
    /// Strength of the decay, which is added to the gradient, at least 0.
    pub weight_decay: f64,
}

/// The state of RMSprop for a list of parameters.
#[derive(Debug)]
pub struct RmsPropMemory {
    /// Running means of the squared gradients, each with the shape, strides, kind and device of its parameter.
    pub mean_squares: Vec<Tensor>,
    /// As the mean squares; none at all without momentum.
    pub velocities: Vec<Tensor>,
}

impl RmsPropMemory {
    /// The state before the first of such steps of `parameters`, as if the squares had been `initial` until then: 1 in
    /// TensorFlow 1, 0 in Keras.
    ///
    /// # Panics
    /// Where a parameter is undefined.
    pub fn new(parameters: &[Tensor], step: RmsPropStep, initial: f64) -> Self {
        let moves = step.momentum != 0.0;
        let filled = zeros_like(parameters).into_iter().map(|mut zeros| zeros.fill_(initial));
        Self {
            mean_squares: filled.collect(),
            velocities: if moves { zeros_like(parameters) } else { Vec::new() },
        }
    }
}

/// Moves every parameter by one step against its gradient.
///
/// Parameters, gradients and state run in parallel, with the same demands as in [`fused_adam`](crate::fused_adam).
///
/// TensorFlow: `tf.compat.v1.train.RMSPropOptimizer`, not centred. `torch.optim.RMSprop` differs: there `eps` is added
/// to the root, the squares start at 0, and the learning rate multiplies the velocity when it is applied instead of
/// the update that enters it, so that a change of rate acts on past updates as well.
/// Eight passes over memory; libtorch has no fused kernel for it.
///
/// # Errors
/// As [`fused_adam`](crate::fused_adam). Nothing is changed then.
pub fn rms_prop(
    parameters: &[Tensor],
    gradients: &[Tensor],
    memory: &mut RmsPropMemory,
    step: RmsPropStep,
    learning_rate: LearningRate<'_>,
) -> Result<(), Error> {
    let operation = "an RMSprop step";
    check_fraction(operation, "a rho", step.rho)?;
    check_not_negative(operation, "a momentum", step.momentum)?;
    check_not_negative(operation, "an eps", step.eps)?;
    check_not_negative(operation, "a weight decay", step.weight_decay)?;
    learning_rate.check(operation)?;
    let RmsPropMemory { mean_squares, velocities } = memory;
    let states = if step.momentum == 0.0 { parameters.len() } else { velocities.len() };
    for states in [mean_squares.len(), states] {
        check_lists(operation, parameters, gradients, states)?;
    }
    if parameters.is_empty() {
        return Ok(());
    }
    let lists: [&[Tensor]; 4] = [parameters, gradients, mean_squares, velocities];
    let lists = lists.map(ffi::pointers);
    let (number, tensor) = learning_rate.parts();
    // SAFETY: parameters, gradients and mean squares point to as many live tensors, at least one; so do the velocities,
    // which C++ does not read without momentum; and a live tensor or null.
    let text = unsafe {
        ffi::torch_ext_rms_prop(
            lists[0].as_ptr(),
            lists[1].as_ptr(),
            lists[2].as_ptr(),
            lists[3].as_ptr(),
            parameters.len(),
            number,
            tensor.map_or(std::ptr::null(), Tensor::as_ptr),
            step.rho,
            step.momentum,
            step.weight_decay,
            step.eps,
        )
    };
    ffi::check(operation, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    const STEP: RmsPropStep = RmsPropStep { rho: 0.9, momentum: 0.9, eps: 0.1, weight_decay: 0.3 };
    /// A rate and a gradient of each step. The rate changes, or the place where it enters would not show.
    const STEPS: [(f64, f64); 3] = [(0.1, 1.0), (0.05, -2.0), (0.2, 0.5)];

    /// Steps of TensorFlow's documentation of `ApplyRMSProp` on one number.
    fn by_hand(step: RmsPropStep, initial: f64) -> f64 {
        let (mut weight, mut mean_square, mut velocity) = (2.0_f64, initial, 0.0);
        for (rate, gradient) in STEPS {
            let gradient = gradient + step.weight_decay * weight;
            mean_square = step.rho * mean_square + (1.0 - step.rho) * gradient * gradient;
            velocity = step.momentum * velocity + rate * gradient / (mean_square + step.eps).sqrt();
            weight -= velocity;
        }
        weight
    }

    #[track_caller]
    fn check(step: RmsPropStep, initial: f64) {
        let parameters = [Tensor::from_slice(&[2.0_f64; 5])];
        let mut memory = RmsPropMemory::new(&parameters, step, initial);
        for (rate, gradient) in STEPS {
            let gradients = [Tensor::from_slice(&[gradient; 5])];
            rms_prop(&parameters, &gradients, &mut memory, step, rate.into()).unwrap();
            assert_eq!(gradients[0].double_value(&[4]), gradient, "the caller's");
        }
        let (moved, expected) = (parameters[0].double_value(&[4]), by_hand(step, initial));
        assert!((moved - expected).abs() < 1e-12, "{moved} {expected} {step:?}");
    }

    #[test]
    fn rms_prop_is_tensorflows() {
        check(STEP, 1.0);
        check(STEP, 0.0);
        check(RmsPropStep { momentum: 0.0, ..STEP }, 1.0);
        check(RmsPropStep { weight_decay: 0.0, ..STEP }, 1.0);
    }

    /// Without eps, from 0 and at one rate, the two forms agree. PyTorch 2.13, three steps with the gradients 1, -2 and
    /// 0.5: `torch.optim.RMSprop([w], lr=0.1, alpha=0.9, eps=0.0, momentum=0.9)`, `w = torch.tensor([2.0],
    /// dtype=torch.float64, requires_grad=True)`.
    #[test]
    fn where_the_forms_agree_it_is_pytorchs() {
        let step = RmsPropStep { eps: 0.0, weight_decay: 0.0, ..STEP };
        let parameters = [Tensor::from_slice(&[2.0_f64])];
        let mut memory = RmsPropMemory::new(&parameters, step, 0.0);
        for (_, gradient) in STEPS {
            let gradients = [Tensor::from_slice(&[gradient])];
            rms_prop(&parameters, &gradients, &mut memory, step, 0.1.into()).unwrap();
        }
        let moved = parameters[0].double_value(&[0]);
        assert!((moved - PYTORCHS).abs() < 1e-12, "{moved}");
    }

    const PYTORCHS: f64 = 1.612635055037881;

    #[test]
    fn the_rate_may_be_a_tensor() {
        let moved = |rate: LearningRate| {
            let parameters = [Tensor::ones([3], (Kind::Float, Device::Cpu))];
            let mut memory = RmsPropMemory::new(&parameters, STEP, 1.0);
            let gradients = [Tensor::ones([3], (Kind::Float, Device::Cpu))];
            rms_prop(&parameters, &gradients, &mut memory, STEP, rate).unwrap();
            parameters[0].double_value(&[0])
        };
        let (as_tensor, as_number) =
            (moved(LearningRate::Tensor(&Tensor::from(0.25_f32))), moved(0.25.into()));
        assert_eq!(as_tensor, as_number);
        assert!(as_tensor < 0.8, "{as_tensor}");
    }

    #[test]
    fn a_missing_gradient_is_named() {
        let parameters = [Tensor::zeros([2], (Kind::Float, Device::Cpu))];
        let mut memory = RmsPropMemory::new(&parameters, STEP, 1.0);
        let refused =
            rms_prop(&parameters, &[Tensor::new()], &mut memory, STEP, 0.1.into()).unwrap_err();
        let expected = "an RMSprop step was refused: parameter 0 has no gradient";
        assert_eq!(refused.to_string(), expected);
    }
}
