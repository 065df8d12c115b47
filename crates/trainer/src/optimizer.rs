//! Adam and AdamW on tensors of our own, by libtorch's fused kernels: the state can be looked at and kept.

use serde::{Deserialize, Serialize};
use tch::{Tensor, nn::VarStore};
use torch_ext::{AdamState, AdamStep, LearningRate, WeightDecay, fused_adam};

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

    /// The numbers of a step, and what decays.
    fn numbers(&self) -> (AdamStep, Decays) {
        let (decay, (beta1, beta2, eps, weight_decay, decays)) = match *self {
            OptimizerConfig::Adam { beta1, beta2, eps, weight_decay, decays } => {
                (WeightDecay::InGradient, (beta1, beta2, eps, weight_decay, decays))
            }
            OptimizerConfig::AdamW { beta1, beta2, eps, weight_decay, decays } => {
                (WeightDecay::Decoupled, (beta1, beta2, eps, weight_decay, decays))
            }
        };
        (AdamStep { beta1, beta2, eps, weight_decay, decay }, decays)
    }

    /// What is wrong with the numbers, if anything.
    pub(crate) fn problem(&self) -> Option<String> {
        let (AdamStep { beta1, beta2, eps, weight_decay, .. }, _) = self.numbers();
        let in_range = [
            ("optimizer.beta1", beta1, (0.0..1.0).contains(&beta1), "at least 0 and below 1"),
            ("optimizer.beta2", beta2, (0.0..1.0).contains(&beta2), "at least 0 and below 1"),
            ("optimizer.eps", eps, eps.is_finite() && eps > 0.0, "above 0"),
            (
                "optimizer.weight_decay",
                weight_decay,
                weight_decay.is_finite() && weight_decay >= 0.0,
                "0 or more",
            ),
        ];
        in_range
            .into_iter()
            .find(|(_, _, fits, _)| !fits)
            .map(|(name, value, _, accepted)| format!("{name} must be {accepted}, got {value}"))
    }
}

/// Parameters that are treated alike, with what Adam remembers of each.
struct Group {
    parameters: Vec<Tensor>,
    states: Vec<AdamState>,
    decays: bool,
}

/// The parameters of a network, in order of creation, and the optimizer's memory of them.
pub(crate) struct Optimizer {
    config: OptimizerConfig,
    groups: Vec<Group>,
}

impl Optimizer {
    /// An optimizer ahead of its first step, for every trainable variable of `store`.
    pub(crate) fn new(store: &VarStore, config: OptimizerConfig) -> Self {
        let (kernels, rest): (Vec<_>, Vec<_>) =
            store.trainable_variables().into_iter().partition(|parameter| parameter.dim() > 1);
        let (_, decays) = config.numbers();
        let group = |parameters: Vec<Tensor>, decays| Group {
            states: parameters.iter().map(AdamState::new).collect(),
            parameters,
            decays,
        };
        Self { config, groups: vec![group(kernels, true), group(rest, decays == Decays::All)] }
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
        let (step, _) = self.config.numbers();
        let mut rest = gradients;
        for Group { parameters, states, decays } in &mut self.groups {
            let (gradients, others) = rest.split_at(parameters.len());
            let weight_decay = if *decays { step.weight_decay } else { 0.0 };
            let step = AdamStep { weight_decay, ..step };
            fused_adam(parameters, gradients, states, step, learning_rate)?;
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
    fn decayed(decays: Decays) -> (f64, f64) {
        let store = VarStore::new(Device::Cpu);
        let kernel = store.root().var("kernel", &[1, 1], nn::Init::Const(2.0));
        let bias = store.root().var("bias", &[1], nn::Init::Const(2.0));
        let config = OptimizerConfig::AdamW {
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.5,
            decays,
        };
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
        near(decayed(Decays::All), (1.9, 1.9));
        near(decayed(Decays::Weights), (1.9, 2.0));
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
    }
}
