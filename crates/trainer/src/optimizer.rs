//! Optimizers on tensors of our own, by libtorch's fused kernels: what they remember can be looked at and kept.

use serde::{Deserialize, Serialize};
use tch::{Tensor, nn::VarStore};
use torch_ext::{
    AdamMemory, AdamStep, LearningRate, SgdMemory, SgdStep, WeightDecay, fused_adam, fused_sgd,
};

use crate::Error;

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

    fn decays(&self) -> Decays {
        match *self {
            OptimizerConfig::Adam { decays, .. }
            | OptimizerConfig::AdamW { decays, .. }
            | OptimizerConfig::Sgd { decays, .. } => decays,
        }
    }

    /// The rule for `parameters`, which the weight decay pulls on or spares, and its memory ahead of the first step.
    fn rule(&self, parameters: &[Tensor], pulls: bool) -> Rule {
        let pull = |weight_decay| if pulls { weight_decay } else { 0.0 };
        match *self {
            OptimizerConfig::Adam { beta1, beta2, eps, weight_decay, .. }
            | OptimizerConfig::AdamW { beta1, beta2, eps, weight_decay, .. } => {
                let decay = match self {
                    OptimizerConfig::AdamW { .. } => WeightDecay::Decoupled,
                    _ => WeightDecay::InGradient,
                };
                let weight_decay = pull(weight_decay);
                let step = AdamStep { beta1, beta2, eps, weight_decay, decay };
                Rule::Adam(step, AdamMemory::new(parameters))
            }
            OptimizerConfig::Sgd { momentum, nesterov, weight_decay, .. } => {
                let step = SgdStep { momentum, nesterov, weight_decay: pull(weight_decay) };
                Rule::Sgd(step, SgdMemory::new(parameters, step))
            }
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

/// The numbers of a step, and what is remembered from one to the next.
enum Rule {
    Adam(AdamStep, AdamMemory),
    Sgd(SgdStep, SgdMemory),
}

/// Parameters that are treated alike.
struct Group {
    parameters: Vec<Tensor>,
    rule: Rule,
}

/// The parameters of a network, in order of creation, and the optimizer's memory of them.
pub(crate) struct Optimizer {
    groups: [Group; 2],
}

impl Optimizer {
    /// An optimizer ahead of its first step, for every trainable variable of `store`.
    pub(crate) fn new(store: &VarStore, config: OptimizerConfig) -> Self {
        let (kernels, rest): (Vec<_>, Vec<_>) =
            store.trainable_variables().into_iter().partition(|parameter| parameter.dim() > 1);
        let group = |parameters: Vec<Tensor>, pulls| Group {
            rule: config.rule(&parameters, pulls),
            parameters,
        };
        Self { groups: [group(kernels, true), group(rest, config.decays() == Decays::All)] }
    }

    /// The gradient of `loss` in every parameter, group by group in order of creation.
    pub(crate) fn gradients(&self, loss: &Tensor) -> Result<Vec<Tensor>, Error> {
        let parameters: Vec<&Tensor> =
            self.groups.iter().flat_map(|group| &group.parameters).collect();
        Ok(Tensor::f_run_backward(&[loss], &parameters, false, false)?)
    }

    /// Moves every parameter against its gradient.
    pub(crate) fn step<'a>(
        &mut self,
        gradients: &[Tensor],
        learning_rate: impl Into<LearningRate<'a>>,
    ) -> Result<(), Error> {
        let learning_rate = learning_rate.into();
        let mut rest = gradients;
        for Group { parameters, rule } in &mut self.groups {
            let (gradients, others) = rest.split_at(parameters.len());
            match rule {
                Rule::Adam(step, memory) => {
                    fused_adam(parameters, gradients, memory, *step, learning_rate)?;
                }
                Rule::Sgd(step, memory) => {
                    fused_sgd(parameters, gradients, memory, *step, learning_rate)?;
                }
            }
            rest = others;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind, nn};

    /// A kernel and a bias, both 2, under a loss that pulls on neither.
    fn decayed(config: OptimizerConfig) -> (f64, f64) {
        let store = VarStore::new(Device::Cpu);
        let kernel = store.root().var("kernel", &[1, 1], nn::Init::Const(2.0));
        let bias = store.root().var("bias", &[1], nn::Init::Const(2.0));
        let mut optimizer = Optimizer::new(&store, config);
        let gradients = optimizer.gradients(&((&kernel + &bias) * 0.0).sum(Kind::Float)).unwrap();
        optimizer.step(&gradients, 0.1).unwrap();
        (kernel.double_value(&[0, 0]), bias.double_value(&[0]))
    }

    #[test]
    fn decay_spares_biases_where_asked() {
        let near = |(kernel, bias): (f64, f64), expected: (f64, f64)| {
            assert!(
                (kernel - expected.0).abs() < 1e-6 && (bias - expected.1).abs() < 1e-6,
                "{kernel} {bias}"
            );
        };
        let (beta1, beta2, eps, weight_decay) = (0.9, 0.999, 1e-8, 0.5);
        let adamw = |decays| OptimizerConfig::AdamW { beta1, beta2, eps, weight_decay, decays };
        let (momentum, nesterov) = (0.9, false);
        let sgd = |decays| OptimizerConfig::Sgd { momentum, nesterov, weight_decay, decays };
        near(decayed(adamw(Decays::All)), (1.9, 1.9));
        near(decayed(adamw(Decays::Weights)), (1.9, 2.0));
        near(decayed(sgd(Decays::All)), (1.9, 1.9));
        near(decayed(sgd(Decays::Weights)), (1.9, 2.0));
    }

    #[test]
    fn a_step_goes_downhill_and_gradients_do_not_pile_up() {
        let store = VarStore::new(Device::Cpu);
        let weight = store.root().var("w", &[1, 1], nn::Init::Const(1.0));
        let mut optimizer = Optimizer::new(&store, OptimizerConfig::adam());
        for _ in 0..3 {
            let gradients = optimizer.gradients(&(&weight * 3.0).sum(Kind::Float)).unwrap();
            assert_eq!(gradients[0].double_value(&[0, 0]), 3.0);
            optimizer.step(&gradients, 0.1).unwrap();
        }
        assert!(
            (weight.double_value(&[0, 0]) - 0.7).abs() < 1e-5,
            "three steps of 0.1 against a constant slope"
        );
    }

    #[test]
    fn numbers_out_of_range_are_named() {
        let bad = OptimizerConfig::Adam {
            beta1: 1.0,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.0,
            decays: Decays::All,
        };
        assert_eq!(bad.problem().unwrap(), "optimizer.beta1 must be at least 0 and below 1, got 1");
        assert_eq!(OptimizerConfig::adam().problem(), None);
        let sgd = |momentum, nesterov| {
            let decays = Decays::Weights;
            OptimizerConfig::Sgd { momentum, nesterov, weight_decay: 1e-4, decays }.problem()
        };
        assert_eq!(sgd(0.9, true), None);
        assert_eq!(sgd(0.0, false), None);
        assert!(sgd(0.0, true).unwrap().contains("optimizer.momentum of 0 has none"));
        let expected = "optimizer.momentum must be at least 0 and below 1, got 1.5";
        assert_eq!(sgd(1.5, false).unwrap(), expected);
    }
}
