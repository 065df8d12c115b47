//! A loss that is no number any more: what the recipe says is done about it.

use datasets::Batch;
use tch::{Tensor, nn::VarStore};

use super::Training;
use crate::Error;
use crate::recipe::NonFinite;

/// How a run passes a loss that is not finite.
pub(super) struct Passage {
    action: NonFinite,
    /// Running statistics, and what they were ahead of the step: a forward pass changes them, whatever becomes of it.
    statistics: Vec<(Tensor, Tensor)>,
}

/// What becomes of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Passed {
    /// The batch was left out.
    LeftOut,
    /// The run is where a checkpoint was.
    WentBack,
}

impl Passed {
    pub(super) fn goes_back(self) -> bool {
        self == Passed::WentBack
    }
}

impl Passage {
    /// As `action` says, for the network of `store`.
    pub(super) fn new(action: NonFinite, store: &VarStore) -> Self {
        let statistics = match action {
            NonFinite::Skip { .. } => statistics(store),
            NonFinite::Stop | NonFinite::RollBack { .. } => Vec::new(),
        };
        Self { action, statistics }
    }

    /// Takes note of the statistics ahead of a step.
    pub(super) fn remember(&mut self) {
        for (live, before) in &mut self.statistics {
            before.copy_(live);
        }
    }

    fn put_back(&mut self) {
        for (live, before) in &mut self.statistics {
            live.copy_(before);
        }
    }
}

fn statistics(store: &VarStore) -> Vec<(Tensor, Tensor)> {
    let variables = store.variables().into_values();
    let kept = variables.filter(|variable| !variable.requires_grad());
    kept.map(|variable| (variable.shallow_clone(), variable.copy())).collect()
}

impl Training<'_> {
    /// Deals with `error` of the step over `batch` as the recipe says, if it is a loss that is not finite.
    pub(super) fn passes(&mut self, error: Error, batch: &Batch) -> Result<Passed, Error> {
        let Error::NonFiniteLoss { loss, epoch, step, learning_rate, .. } = error else {
            return Err(error);
        };
        let images = batch.indices.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
        let context = match (self.world.leads(), self.saver.newest()) {
            // It knows neither of checkpoints nor of the other images of the batch.
            (false, _) => format!(", this rank's share of which is the training images {images}"),
            (true, Some(place)) => {
                let place = place.display();
                format!(", on the training images {images}; the newest checkpoint is {place}")
            }
            (true, None) => {
                format!(", on the training images {images}; there is no checkpoint yet")
            }
        };
        let gone_astray = Error::NonFiniteLoss { loss, epoch, step, learning_rate, context };
        match self.passage.action {
            NonFinite::Stop => Err(gone_astray),
            NonFinite::Skip { limit } if self.state.passed_over.len() as u64 >= limit => {
                Err(gone_astray)
            }
            NonFinite::Skip { .. } => {
                tracing::warn!("the loss became {loss} in step {step}: its batch is left out");
                self.passage.put_back();
                self.state.passed_over.push(step);
                self.state.step = step;
                Ok(Passed::LeftOut)
            }
            NonFinite::RollBack { limit, .. } if self.state.roll_backs >= limit => Err(gone_astray),
            NonFinite::RollBack { leave_out, .. } => {
                self.go_back(step, leave_out, gone_astray)?;
                Ok(Passed::WentBack)
            }
        }
    }

    /// Goes back to the newest checkpoint, to come by `step` again without it and the steps ahead of it.
    fn go_back(&mut self, step: u64, leave_out: u64, otherwise: Error) -> Result<(), Error> {
        let Some(checkpoint) = self.saver.read(&self.world)? else { return Err(otherwise) };
        let (mut passed_over, roll_backs) =
            (self.state.passed_over.clone(), self.state.roll_backs + 1);
        self.restore(checkpoint)?;
        let first = (step + 1).saturating_sub(leave_out).max(self.state.step + 1);
        passed_over.extend(first..=step);
        passed_over.sort_unstable();
        passed_over.dedup();
        self.state.passed_over = passed_over;
        self.state.roll_backs = roll_backs;
        tracing::warn!(
            "the loss was not finite in step {step}: back to step {}, and steps {first} to {step} are left out \
             (roll-back {roll_backs})",
            self.state.step
        );
        Ok(())
    }

    /// A run that may go back needs somewhere to go back to.
    pub(super) fn save_if_gone_back_to(&mut self) -> Result<(), Error> {
        match self.passage.action {
            NonFinite::RollBack { .. } if self.saver.newest().is_none() => self.save(),
            _ => Ok(()),
        }
    }
}
