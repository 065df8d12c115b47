//! The numbers of an optimizer's step, together with its state for a list of parameters.

use tch::Tensor;
use torch_ext::{
    AdamMemory, AdamStep, LearningRate, RmsPropMemory, RmsPropStep, SgdMemory, SgdStep,
    WeightDecay, fused_adam, fused_sgd, rms_prop,
};

use super::OptimizerConfig;
use super::muon::{self, MuonMemory, MuonStep};
use crate::optim::Error;

/// The rule by which a list of parameters moves.
pub(super) enum Rule {
    Adam(AdamStep, AdamMemory),
    Sgd(SgdStep, SgdMemory),
    RmsProp(RmsPropStep, RmsPropMemory),
    Muon(MuonStep, MuonMemory),
}

impl Rule {
    /// The rule of `config` for `parameters`, with its weight decay times `decay_factor`, before the first step.
    pub(super) fn new(config: &OptimizerConfig, parameters: &[Tensor], decay_factor: f64) -> Self {
        match *config {
            OptimizerConfig::Adam { beta1, beta2, eps, weight_decay, .. }
            | OptimizerConfig::AdamW { beta1, beta2, eps, weight_decay, .. } => {
                let decay = match config {
                    OptimizerConfig::AdamW { .. } => WeightDecay::Decoupled,
                    _ => WeightDecay::InGradient,
                };
                let weight_decay = weight_decay * decay_factor;
                let step = AdamStep { beta1, beta2, eps, weight_decay, decay };
                Rule::Adam(step, AdamMemory::new(parameters))
            }
            OptimizerConfig::Sgd { momentum, nesterov, weight_decay, .. } => {
                let weight_decay = weight_decay * decay_factor;
                let step = SgdStep { momentum, nesterov, weight_decay };
                Rule::Sgd(step, SgdMemory::new(parameters, step))
            }
            OptimizerConfig::RmsProp {
                rho,
                momentum,
                eps,
                initial_mean_square,
                weight_decay,
                ..
            } => {
                let weight_decay = weight_decay * decay_factor;
                let step = RmsPropStep { rho, momentum, eps, weight_decay };
                Rule::RmsProp(step, RmsPropMemory::new(parameters, step, initial_mean_square))
            }
            OptimizerConfig::Muon {
                momentum,
                nesterov,
                iterations,
                precision,
                weight_decay,
                ..
            } => {
                let weight_decay = weight_decay * decay_factor;
                let step = MuonStep { momentum, nesterov, iterations, precision, weight_decay };
                Rule::Muon(step, MuonMemory::new(parameters))
            }
        }
    }

    /// Moves `parameters` against `gradients`, which run in parallel.
    pub(super) fn step(
        &mut self,
        parameters: &[Tensor],
        gradients: &[Tensor],
        learning_rate: LearningRate<'_>,
    ) -> Result<(), Error> {
        match self {
            Rule::Adam(step, memory) => {
                fused_adam(parameters, gradients, memory, *step, learning_rate)?;
            }
            Rule::Sgd(step, memory) => {
                fused_sgd(parameters, gradients, memory, *step, learning_rate)?;
            }
            Rule::RmsProp(step, memory) => {
                rms_prop(parameters, gradients, memory, *step, learning_rate)?;
            }
            Rule::Muon(step, memory) => {
                muon::step(parameters, gradients, memory, *step, learning_rate)?;
            }
        }
        Ok(())
    }

    /// The tensors of the state for the parameters called `names`, by name, not copied. A count of steps is called `count`.
    pub(super) fn remembered(&self, names: &[String], count: &str) -> Vec<(String, Tensor)> {
        let (lists, steps): (Vec<(&str, &[Tensor])>, Option<&Tensor>) = match self {
            Rule::Adam(_, memory) => (
                vec![("mean", &memory.means), ("variance", &memory.variances)],
                Some(&memory.steps),
            ),
            Rule::Sgd(_, memory) => (vec![("velocity", &memory.velocities)], None),
            Rule::RmsProp(_, memory) => {
                let lists: Vec<(&str, &[Tensor])> =
                    vec![("mean_square", &memory.mean_squares), ("velocity", &memory.velocities)];
                (lists, None)
            }
            Rule::Muon(_, memory) => (vec![("momentum", &memory.momenta)], None),
        };
        let of_parameters = lists.into_iter().flat_map(|(what, tensors)| {
            let named = move |(name, tensor): (&String, &Tensor)| {
                (format!("{what}.{name}"), tensor.shallow_clone())
            };
            names.iter().zip(tensors).map(named)
        });
        let of_all = steps.map(|steps| (count.to_string(), steps.shallow_clone()));
        of_parameters.chain(of_all).collect()
    }
}
