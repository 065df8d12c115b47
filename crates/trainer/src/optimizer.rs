//! Optimizers on tensors of our own, by libtorch's fused kernels: what they remember can be looked at and kept.

mod config;
mod rule;

use std::collections::BTreeMap;

use tch::{Tensor, nn::VarStore};
use torch_ext::LearningRate;
use xception::weights::Tensors;

use crate::{Error, state};

pub(crate) use self::config::{Decays, OptimizerConfig};

use self::rule::Rule;

/// Parameters that are treated alike.
struct Group {
    names: Vec<String>,
    parameters: Vec<Tensor>,
    rule: Rule,
}

/// The parameters of a network, in order of creation, and the optimizer's memory of them.
pub(crate) struct Optimizer {
    groups: Vec<Group>,
}

impl Optimizer {
    /// An optimizer ahead of its first step, for every trainable variable of `store`.
    pub(crate) fn new(store: &VarStore, config: OptimizerConfig) -> Self {
        let (kernels, rest): (Vec<_>, Vec<_>) =
            parameters(store).into_iter().partition(|(_, parameter)| parameter.dim() > 1);
        let groups = [(kernels, true), (rest, config.decays() == Decays::All)]
            .into_iter()
            // An empty group would take no steps, and so disagree with the others on how many there were.
            .filter(|(members, _)| !members.is_empty())
            .map(|(members, pulls)| {
                let (names, parameters): (Vec<_>, Vec<_>) = members.into_iter().unzip();
                Group { rule: Rule::new(config, &parameters, pulls), names, parameters }
            });
        Self { groups: groups.collect() }
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
        for Group { parameters, rule, .. } in &mut self.groups {
            let (gradients, others) = rest.split_at(parameters.len());
            rule.step(parameters, gradients, learning_rate)?;
            rest = others;
        }
        Ok(())
    }

    /// Detached copies of everything that the next step depends on, beside the parameters and the learning rate:
    /// `mean.PARAMETER`, `variance.PARAMETER` and `steps` of Adam and AdamW, `velocity.PARAMETER` of SGD with momentum.
    ///
    /// PyTorch: `Optimizer.state_dict()["state"]`, by the parameters' names instead of their positions.
    #[cfg_attr(
        not(test),
        allow(dead_code, reason = "for checkpoints, which the training loop does not write yet")
    )]
    pub(crate) fn state(&self) -> Tensors {
        self.remembered().into_iter().map(|(name, tensor)| (name, tensor.detach().copy())).collect()
    }

    /// Goes on from `tensors`, which [`Optimizer::state`] made of an optimizer with the same configuration over the
    /// same parameters. They are copied into the tensors that are there, which a recorded CUDA graph points at.
    ///
    /// Names, shapes and kinds must be exactly this optimizer's; otherwise nothing is copied and the error lists every
    /// problem.
    #[cfg_attr(
        not(test),
        allow(dead_code, reason = "for checkpoints, which the training loop does not read yet")
    )]
    pub(crate) fn restore(&mut self, tensors: &Tensors) -> Result<(), Error> {
        state::restore("optimizer", &self.remembered(), tensors)
    }

    /// What is remembered, by name. The count of steps is there once a group.
    fn remembered(&self) -> Vec<(String, Tensor)> {
        self.groups.iter().flat_map(|group| group.rule.remembered(&group.names)).collect()
    }
}

/// The trainable variables of `store` with their names, in order of creation.
fn parameters(store: &VarStore) -> Vec<(String, Tensor)> {
    // The store has names in a hash map and the order in a list of tensors without names; memory connects the two.
    let names: BTreeMap<_, _> = store
        .variables()
        .into_iter()
        .map(|(name, variable)| (variable.data_ptr() as usize, name))
        .collect();
    let named = |parameter: Tensor| (names[&(parameter.data_ptr() as usize)].clone(), parameter);
    store.trainable_variables().into_iter().map(named).collect()
}

#[cfg(test)]
mod tests;
