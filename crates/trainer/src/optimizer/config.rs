//! What a recipe says about the optimizer: which one, and every number of it.

use serde::{Deserialize, Serialize};

/// An optimizer and its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
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
        /// What decays.
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
        /// What decays.
        decays: Decays,
    },
    /// Decay as part of the gradient. PyTorch: `torch.optim.SGD`.
    Sgd {
        /// What is left of the velocity from step to step; 0 for none.
        momentum: f64,
        /// Whether the step looks ahead along the velocity.
        nesterov: bool,
        /// Strength of the decay.
        weight_decay: f64,
        /// What decays.
        decays: Decays,
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

    /// What the decay pulls on.
    pub(super) fn decays(&self) -> Decays {
        match *self {
            OptimizerConfig::Adam { decays, .. }
            | OptimizerConfig::AdamW { decays, .. }
            | OptimizerConfig::Sgd { decays, .. } => decays,
        }
    }

    /// What is wrong with the numbers, if anything.
    pub(crate) fn problem(&self) -> Option<String> {
        let below_one =
            |name, value: f64| (name, value, (0.0..1.0).contains(&value), "at least 0 and below 1");
        let not_negative =
            |name, value: f64| (name, value, value.is_finite() && value >= 0.0, "0 or more");
        let positive =
            |name, value: f64| (name, value, value.is_finite() && value > 0.0, "above 0");
        let numbers = match *self {
            OptimizerConfig::Adam { beta1, beta2, eps, weight_decay, .. }
            | OptimizerConfig::AdamW { beta1, beta2, eps, weight_decay, .. } => vec![
                below_one("optimizer.beta1", beta1),
                below_one("optimizer.beta2", beta2),
                positive("optimizer.eps", eps),
                not_negative("optimizer.weight_decay", weight_decay),
            ],
            OptimizerConfig::Sgd { nesterov: true, momentum: 0.0, .. } => {
                return Some(
                    "optimizer.nesterov looks ahead along a velocity, and an optimizer.momentum of 0 has none; set \
                     one or the other"
                        .into(),
                );
            }
            OptimizerConfig::Sgd { momentum, weight_decay, .. } => vec![
                below_one("optimizer.momentum", momentum),
                not_negative("optimizer.weight_decay", weight_decay),
            ],
        };
        numbers
            .into_iter()
            .find(|(_, _, fits, _)| !fits)
            .map(|(name, value, _, accepted)| format!("{name} must be {accepted}, got {value}"))
    }
}
