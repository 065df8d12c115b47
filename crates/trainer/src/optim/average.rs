//! Averages of the weights over training, under which a network is evaluated.
//!
//! Weights that jump about a minimum have a mean that is closer to it. The paper evaluates every model this way ("Polyak
//! averaging", section 4.3).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tch::{Tensor, nn::VarStore};
use xception::weights::Tensors;

use crate::invalid_value::InvalidValue;
use crate::optim::Error;
use crate::optim::schedule::{Position, Span};
use crate::optim::state;

/// An average and its numbers: the table `[average]` of a recipe.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "lowercase", deny_unknown_fields)]
pub enum AverageConfig {
    /// A running mean that forgets exponentially.
    ///
    /// TensorFlow code of the paper's time did its "Polyak averaging" this way, with
    /// `tf.train.ExponentialMovingAverage(0.9999)`; the paper itself does not say. PyTorch: `AveragedModel(multi_avg_fn=
    /// get_ema_multi_avg_fn(decay), use_buffers=True)`.
    Ema {
        /// Decay of the average from update to update.
        decay: f64,
        /// Steps between two updates.
        every: u64,
        /// The decay at the start.
        warmup: DecayWarmup,
    },
    /// The mean of all weights from some point on, each counting alike: averaging as Polyak and Juditsky 1992 state it.
    ///
    /// PyTorch: `AveragedModel(multi_avg_fn=get_swa_multi_avg_fn(), use_buffers=True)`.
    Polyak {
        /// The start of the mean: the first step that completes this stretch counts. Until then the weights themselves
        /// stand in for it.
        from: Span,
        /// Steps between two weights that count.
        every: u64,
    },
}

/// The decay of an exponential average at the start, when it has seen few weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DecayWarmup {
    /// The same as later: the first weights are forgotten slowly.
    None,
    /// After `n` updates it is at most `(1 + n) / (10 + n)`. TensorFlow: `ExponentialMovingAverage(num_updates=n)`.
    Ramp,
}

impl AverageConfig {
    /// The fraction of the way that the average moves to the weights, after `updates` moves. The first goes all the way.
    fn weight(self, updates: u64) -> f64 {
        let taken = updates as f64;
        match self {
            _ if updates == 0 => 1.0,
            AverageConfig::Ema { decay, warmup: DecayWarmup::None, .. } => 1.0 - decay,
            AverageConfig::Ema { decay, warmup: DecayWarmup::Ramp, .. } => {
                1.0 - decay.min((1.0 + taken) / (10.0 + taken))
            }
            AverageConfig::Polyak { .. } => 1.0 / (taken + 1.0),
        }
    }

    /// Whether the weights after the step at `position` count.
    fn counts(self, position: &Position) -> bool {
        let done = position.step + 1;
        match self {
            AverageConfig::Ema { every, .. } => done.is_multiple_of(every),
            AverageConfig::Polyak { from, every } => {
                done.is_multiple_of(every) && done as f64 >= from.steps(position)
            }
        }
    }

    /// Refuses numbers that are out of range in a run of `epochs`.
    pub(crate) fn check(self, epochs: u64) -> Result<(), InvalidValue> {
        let (AverageConfig::Ema { every, .. } | AverageConfig::Polyak { every, .. }) = self;
        InvalidValue::unless(every > 0, "average.every", "at least 1", every)?;
        match self {
            AverageConfig::Ema { decay, .. } => InvalidValue::unless(
                (0.0..1.0).contains(&decay),
                "average.decay",
                "at least 0 and below 1",
                decay,
            ),
            AverageConfig::Polyak { from: Span::Epochs(from), .. } if from > epochs as f64 => {
                let expected = format!("at most the {epochs} epochs of the run");
                Err(InvalidValue::new("average.from.epochs", expected, from))
            }
            AverageConfig::Polyak { from, .. } => from.check("average.from"),
        }
    }
}

/// The averages of all variables of a network, in fp32 beside them.
///
/// The running means and variances of batch norms are averaged like the parameters: those that belong to averaged
/// weights are near the average of those that belonged to the weights, and a pass over the training set to find them
/// exactly is saved. (PyTorch: `use_buffers=True`; TensorFlow's slim averages `moving_average_variables` too.)
pub(crate) struct Average {
    config: AverageConfig,
    names: Vec<String>,
    variables: Vec<Tensor>,
    averages: Vec<Tensor>,
    updates: u64,
}

impl Average {
    /// The average of the variables of `store`, none of which has counted yet.
    pub(crate) fn new(store: &VarStore, config: AverageConfig) -> Self {
        let sorted: BTreeMap<String, Tensor> = store.variables().into_iter().collect();
        let (names, variables): (Vec<_>, Vec<_>) = sorted.into_iter().unzip();
        let averages = variables.iter().map(|variable| variable.detach().copy()).collect();
        Self { config, names, variables, averages, updates: 0 }
    }

    /// Bytes that the averages take.
    pub(crate) fn bytes(&self) -> u64 {
        state::bytes(&self.averages)
    }

    /// Adds the weights after the step at `position` to the average, if they count: one pass over them, in place.
    pub(crate) fn update(&mut self, position: &Position) -> Result<(), Error> {
        if self.config.counts(position) {
            let weight = self.config.weight(self.updates);
            torch_ext::lerp(&self.averages, &self.variables, weight)?;
            self.updates += 1;
        }
        Ok(())
    }

    /// Does `work` while the network has the averaged weights, which must not be trained meanwhile, and then gives back
    /// its own, bit for bit. Before any weights have counted the network keeps its own.
    ///
    /// The tensors stay where they are, so what a CUDA graph has recorded sees the averaged weights too.
    pub(crate) fn during<T, E: From<Error>>(
        &mut self,
        work: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        self.exchange()?;
        let done = work();
        self.exchange()?;
        done
    }

    fn exchange(&mut self) -> Result<(), Error> {
        if self.updates == 0 {
            return Ok(());
        }
        tch::no_grad(|| {
            for (variable, average) in self.variables.iter_mut().zip(&mut self.averages) {
                let mut own = variable.f_empty_like()?;
                own.f_copy_(variable)?;
                variable.f_copy_(average)?;
                average.f_copy_(&own)?;
            }
            Ok(())
        })
    }

    /// Detached copies of everything that the average resumes from: `average.VARIABLE`, and `updates`, an int64 scalar.
    pub(crate) fn tensors(&self) -> Tensors {
        let copies = self.own().into_iter().map(|(name, tensor)| (name, tensor.copy()));
        copies.chain([self.count()]).collect()
    }

    /// Resumes from `tensors`, which [`Average::tensors`] made.
    ///
    /// Names, shapes and kinds must be exactly this network's; otherwise nothing is copied and the error lists every
    /// problem.
    pub(crate) fn restore(&mut self, tensors: &Tensors) -> Result<(), Error> {
        let mut own = self.own();
        let (name, updates) = self.count();
        own.push((name, updates.shallow_clone()));
        state::restore("average of the weights", &own, tensors)?;
        self.updates = updates.f_int64_value(&[])? as u64;
        Ok(())
    }

    /// The averages by name, not copied.
    fn own(&self) -> Vec<(String, Tensor)> {
        let named = |(name, average): (&String, &Tensor)| {
            (format!("average.{name}"), average.shallow_clone())
        };
        self.names.iter().zip(&self.averages).map(named).collect()
    }

    fn count(&self) -> (String, Tensor) {
        ("updates".to_string(), Tensor::from(self.updates as i64))
    }
}

#[cfg(test)]
mod tests;
