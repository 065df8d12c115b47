//! The configuration of an optimizer: which one, and every number of it.

use serde::{Deserialize, Serialize};

use crate::invalid_value::InvalidValue;
use crate::precision::Precision;

/// An optimizer and its numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "lowercase", deny_unknown_fields)]
pub enum OptimizerConfig {
    /// Decay as part of the gradient. PyTorch: `torch.optim.Adam`.
    Adam {
        /// Decay of the mean of the gradients.
        beta1: f64,
        /// Decay of the mean of their squares.
        beta2: f64,
        /// Added to the root of the second.
        eps: f64,
        /// Strength of the decay.
        weight_decay: f64,
        /// The parameters that decay.
        decays: Decays,
    },
    /// Decay apart from the gradient. PyTorch: `torch.optim.AdamW`.
    AdamW {
        /// Decay of the mean of the gradients.
        beta1: f64,
        /// Decay of the mean of their squares.
        beta2: f64,
        /// Added to the root of the second.
        eps: f64,
        /// Strength of the decay.
        weight_decay: f64,
        /// The parameters that decay.
        decays: Decays,
    },
    /// Decay as part of the gradient. PyTorch: `torch.optim.SGD`.
    Sgd {
        /// Decay of the velocity from step to step; 0 for no velocity.
        momentum: f64,
        /// Whether the step looks ahead along the velocity.
        nesterov: bool,
        /// Strength of the decay.
        weight_decay: f64,
        /// The parameters that decay.
        decays: Decays,
    },
    /// Decay as part of the gradient. TensorFlow: `tf.compat.v1.train.RMSPropOptimizer`, which PyTorch's is not
    /// ([`torch_ext::rms_prop`]).
    RmsProp {
        /// Decay of the mean of the squared gradients.
        rho: f64,
        /// Decay of the velocity from step to step; 0 for no velocity.
        momentum: f64,
        /// Added under the root of the mean.
        eps: f64,
        /// The mean before the first step: 1 in TensorFlow 1, 0 in Keras.
        initial_mean_square: f64,
        /// Strength of the decay.
        weight_decay: f64,
        /// The parameters that decay.
        decays: Decays,
    },
    /// Orthogonalised momentum for the kernels of dense convolutions, 1×1 ones above all, and another optimizer for
    /// everything else: depthwise kernels, norms, the classifier. Decay apart from the gradient.
    ///
    /// Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks". PyTorch: `torch.optim.Muon`.
    Muon {
        /// Decay of the mean of the gradients.
        momentum: f64,
        /// Whether the step looks ahead along the mean.
        nesterov: bool,
        /// Newton–Schulz iterations; five in the original.
        iterations: u32,
        /// The precision of the iterations; bf16 in the original.
        precision: Precision,
        /// Strength of the decay of the kernels.
        weight_decay: f64,
        /// Factor from the learning rate of the schedule, which the kernels have, to that of everything else.
        others_learning_rate_factor: f64,
        /// The optimizer of everything else.
        others: Box<OptimizerConfig>,
    },
}

/// Which parameters weight decay pulls on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decays {
    /// Every one.
    All,
    /// Kernels and matrices, not the scales and shifts of norms nor biases.
    Weights,
}

impl OptimizerConfig {
    /// Adam with PyTorch's numbers.
    pub fn adam() -> Self {
        let (beta1, beta2, eps) = (0.9, 0.999, 1e-8);
        Self::Adam { beta1, beta2, eps, weight_decay: 0.0, decays: Decays::All }
    }

    /// The parameters that the decay applies to.
    pub(super) fn decays(&self) -> Decays {
        match *self {
            OptimizerConfig::Adam { decays, .. }
            | OptimizerConfig::AdamW { decays, .. }
            | OptimizerConfig::Sgd { decays, .. }
            | OptimizerConfig::RmsProp { decays, .. } => decays,
            OptimizerConfig::Muon { .. } => Decays::Weights,
        }
    }

    /// Refuses numbers that are out of range.
    pub(crate) fn check(&self) -> Result<(), InvalidValue> {
        self.check_in("optimizer")
    }

    /// Refuses numbers of the table called `table`.
    fn check_in(&self, table: &str) -> Result<(), InvalidValue> {
        let below_one =
            |name, value: f64| (name, value, (0.0..1.0).contains(&value), "at least 0 and below 1");
        let not_negative =
            |name, value: f64| (name, value, value.is_finite() && value >= 0.0, "0 or more");
        let positive =
            |name, value: f64| (name, value, value.is_finite() && value > 0.0, "above 0");
        let numbers = match *self {
            OptimizerConfig::Adam { beta1, beta2, eps, weight_decay, .. }
            | OptimizerConfig::AdamW { beta1, beta2, eps, weight_decay, .. } => vec![
                below_one("beta1", beta1),
                below_one("beta2", beta2),
                positive("eps", eps),
                not_negative("weight_decay", weight_decay),
            ],
            OptimizerConfig::Sgd { momentum, weight_decay, .. } => {
                vec![below_one("momentum", momentum), not_negative("weight_decay", weight_decay)]
            }
            OptimizerConfig::RmsProp {
                rho,
                momentum,
                eps,
                initial_mean_square,
                weight_decay,
                ..
            } => vec![
                below_one("rho", rho),
                below_one("momentum", momentum),
                positive("eps", eps),
                not_negative("initial_mean_square", initial_mean_square),
                not_negative("weight_decay", weight_decay),
            ],
            OptimizerConfig::Muon {
                momentum,
                iterations,
                weight_decay,
                others_learning_rate_factor,
                ..
            } => vec![
                below_one("momentum", momentum),
                positive("iterations", iterations.into()),
                not_negative("weight_decay", weight_decay),
                positive("others_learning_rate_factor", others_learning_rate_factor),
            ],
        };
        for (name, value, fits, expected) in numbers {
            InvalidValue::unless(fits, format!("{table}.{name}"), expected, value)?;
        }
        if let OptimizerConfig::Sgd { nesterov: true, momentum, .. }
        | OptimizerConfig::Muon { nesterov: true, momentum, .. } = *self
        {
            let expected = format!("above 0 where {table}.nesterov is true");
            InvalidValue::unless(momentum > 0.0, format!("{table}.momentum"), expected, momentum)?;
        }
        let OptimizerConfig::Muon { others, .. } = self else { return Ok(()) };
        let table = format!("{table}.others");
        match **others {
            OptimizerConfig::Muon { .. } => {
                let expected = "adam, adamw, sgd or rmsprop, for what Muon cannot move";
                Err(InvalidValue::new(format!("{table}.name"), expected, "muon"))
            }
            ref others => others.check_in(&table),
        }
    }
}
