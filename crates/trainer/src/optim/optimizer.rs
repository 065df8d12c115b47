//! Optimizers on tensors of our own, by libtorch's fused kernels: their state can be read and saved.

mod config;
mod layer_groups;
mod muon;
mod rule;

use std::collections::BTreeMap;

use tch::{Tensor, nn::VarStore};
use torch_ext::LearningRate;
use xception::weights::Tensors;

use crate::optim::Error;
use crate::optim::state;

pub(crate) use self::config::{Decays, OptimizerConfig};
pub(crate) use self::layer_groups::{LayerGroup, check_numbers as check_groups};

use self::rule::Rule;

/// Parameters that are moved alike.
struct Group {
    names: Vec<String>,
    parameters: Vec<Tensor>,
    rule: Rule,
    learning_rate_factor: f64,
    /// Whether these are the parameters of the head.
    is_head: bool,
}

/// The properties that the parameters of a group share. Groups are in this order.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Treatment {
    /// Not moved by Muon.
    other: bool,
    /// Without weight decay.
    spared: bool,
    /// The index of the layer group; the number of layer groups for none.
    layer_group: usize,
    /// Of the head, where it is trained alone for a while.
    is_head: bool,
}

/// The parameters of a network, in order of creation, and the optimizer's state.
pub(crate) struct Optimizer {
    groups: Vec<Group>,
    /// The parameters that are moved.
    reach: Reach,
}

/// Which parameters an optimizer moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// All.
    Everything,
    /// The head's.
    Head,
}

impl Reach {
    fn takes(self, group: &Group) -> bool {
        self == Reach::Everything || group.is_head
    }
}

impl Optimizer {
    /// An optimizer before its first step, for every trainable variable of `store`.
    pub(crate) fn new(store: &VarStore, config: OptimizerConfig) -> Self {
        Self::with_groups(store, &config, &[], None).expect("only a group can fail")
    }

    /// The same with `layer_groups` of their own, and the parameters under the name `head` such that they can be moved
    /// alone.
    ///
    /// # Errors
    /// A layer group without a parameter.
    pub(crate) fn with_groups(
        store: &VarStore,
        config: &OptimizerConfig,
        layer_groups: &[LayerGroup],
        head: Option<&str>,
    ) -> Result<Self, Error> {
        let parameters = parameters(store);
        let names: Vec<&str> = parameters.iter().map(|(name, _)| name.as_str()).collect();
        let assigned = layer_groups::assign(layer_groups, &names)?;
        let (others, others_factor) = match config {
            OptimizerConfig::Muon { others, others_learning_rate_factor, .. } => {
                (&**others, *others_learning_rate_factor)
            }
            config => (config, 1.0),
        };
        let only_muon_moves = |parameter: &Tensor| {
            matches!(config, OptimizerConfig::Muon { .. }) && muon::moves(parameter)
        };
        let mut treated: BTreeMap<Treatment, (Vec<String>, Vec<Tensor>)> = BTreeMap::new();
        for ((name, parameter), layer_group) in parameters.into_iter().zip(assigned) {
            let other = !only_muon_moves(&parameter);
            let spared = parameter.dim() <= 1 && others.decays() == Decays::Weights;
            let is_head = head.is_some_and(|head| {
                name.strip_prefix(head).is_some_and(|rest| rest.starts_with('.'))
            });
            let (names, parameters) =
                treated.entry(Treatment { other, spared, layer_group, is_head }).or_default();
            names.push(name);
            parameters.push(parameter);
        }
        let groups = treated.into_iter().map(|(treatment, (names, parameters))| {
            let layers = layer_groups.get(treatment.layer_group);
            let (config, factor) =
                if treatment.other { (others, others_factor) } else { (config, 1.0) };
            let decay_factor = match treatment.spared {
                true => 0.0,
                false => layers.map_or(1.0, |layers| layers.weight_decay_factor),
            };
            Group {
                rule: Rule::new(config, &parameters, decay_factor),
                names,
                parameters,
                is_head: treatment.is_head,
                learning_rate_factor: factor
                    * layers.map_or(1.0, |layers| layers.learning_rate_factor),
            }
        });
        Ok(Self { groups: groups.collect(), reach: Reach::Everything })
    }

    /// Moves only these parameters from now on; the state of the others stays.
    pub(crate) fn reach(&mut self, reach: Reach) {
        self.reach = reach;
    }

    fn moved(&self) -> impl Iterator<Item = &Group> {
        self.groups.iter().filter(|group| self.reach.takes(group))
    }

    /// The gradient of `loss` in every parameter that is moved, group by group in order of creation.
    pub(crate) fn gradients(&self, loss: &Tensor) -> Result<Vec<Tensor>, Error> {
        Ok(Tensor::f_run_backward(&[loss], &self.parameters(), false, false)?)
    }

    /// Every parameter that is moved, group by group in order of creation.
    pub(crate) fn parameters(&self) -> Vec<&Tensor> {
        self.moved().flat_map(|group| &group.parameters).collect()
    }

    /// Moves every parameter against its gradient.
    pub(crate) fn step<'a>(
        &mut self,
        gradients: &[Tensor],
        learning_rate: impl Into<LearningRate<'a>>,
    ) -> Result<(), Error> {
        let learning_rate = learning_rate.into();
        let mut rest = gradients;
        let reach = self.reach;
        let moved = self.groups.iter_mut().filter(|group| reach.takes(group));
        for Group { parameters, rule, learning_rate_factor, .. } in moved {
            let (gradients, others) = rest.split_at(parameters.len());
            let scaled;
            let learning_rate = match learning_rate {
                unscaled if *learning_rate_factor == 1.0 => unscaled,
                LearningRate::Number(number) => {
                    LearningRate::Number(number * *learning_rate_factor)
                }
                LearningRate::Tensor(tensor) => {
                    scaled = tensor.f_mul_scalar(*learning_rate_factor)?;
                    LearningRate::Tensor(&scaled)
                }
            };
            rule.step(parameters, gradients, learning_rate)?;
            rest = others;
        }
        Ok(())
    }

    /// Detached copies of the state, everything that the next step depends on beside parameters and learning rate:
    /// `mean.PARAMETER`, `variance.PARAMETER`, `steps` and, for a head that is trained alone for a while, `steps.head` of
    /// Adam and AdamW, `velocity.PARAMETER` of SGD with momentum and of RMSprop, `mean_square.PARAMETER` of the latter,
    /// `momentum.PARAMETER` of Muon.
    ///
    /// PyTorch: `Optimizer.state_dict()["state"]`, by the parameters' names instead of their positions.
    pub(crate) fn state(&self) -> Tensors {
        self.remembered().into_iter().map(|(name, tensor)| (name, tensor.detach().copy())).collect()
    }

    /// The bytes of [`Optimizer::state`], without a copy.
    pub(crate) fn bytes(&self) -> u64 {
        state::bytes(self.remembered().iter().map(|(_, tensor)| tensor))
    }

    /// Resumes from `tensors`, which [`Optimizer::state`] made of an optimizer with the same configuration over the same
    /// parameters. They are copied into the existing tensors, which a recorded CUDA graph points at.
    ///
    /// Names, shapes and kinds must be exactly this optimizer's; otherwise nothing is copied and the error lists every
    /// problem.
    pub(crate) fn restore(&mut self, tensors: &Tensors) -> Result<(), Error> {
        state::restore("optimizer", &self.remembered(), tensors)
    }

    /// The tensors of the state by name. Every group has a count of steps. All counts agree, but that of a head that is
    /// trained alone for a while is higher.
    fn remembered(&self) -> Vec<(String, Tensor)> {
        let of_group = |group: &Group| {
            let steps = if group.is_head { "steps.head" } else { "steps" };
            group.rule.remembered(&group.names, steps)
        };
        self.groups.iter().flat_map(of_group).collect()
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
