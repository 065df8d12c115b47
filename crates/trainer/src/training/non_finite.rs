//! A loss that is not finite: the run stops, skips the batch, or rolls back, as its recipe says.

use std::path::Path;

use datasets::Batch;
use tch::{Tensor, nn::VarStore};

use super::Training;
use super::error::{BadBatch, Error, Rest};
use crate::learner::{self, NonFiniteLoss};
use crate::recipe::NonFinite;
use crate::run::checkpoint::State;

/// The answer of a run to a loss that is not finite.
pub(super) struct NonFinitePolicy {
    action: NonFinite,
    /// Running statistics and their values before the step: a forward pass changes them, and a skipped batch must not.
    statistics: Vec<(Tensor, Tensor)>,
}

/// The way in which a run continues after a loss that is not finite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Recovery {
    /// Without this batch.
    Skip,
    /// From the newest checkpoint, without this many steps.
    RollBack {
        /// Steps that are left out; the one with the loss is the last of them.
        leave_out: u64,
    },
}

impl NonFinitePolicy {
    /// The policy that `action` says, for the network in `store`.
    pub(super) fn new(action: NonFinite, store: &VarStore) -> Self {
        let statistics = match action {
            NonFinite::Skip { .. } => statistics(store),
            NonFinite::Stop {} | NonFinite::RollBack { .. } => Vec::new(),
        };
        Self { action, statistics }
    }

    /// Keeps the statistics as they are before a step.
    pub(super) fn keep_statistics(&mut self) {
        for (live, kept) in &mut self.statistics {
            kept.copy_(live);
        }
    }

    fn restore_statistics(&mut self) {
        for (live, kept) in &mut self.statistics {
            live.copy_(kept);
        }
    }

    /// The recovery of the run at `state`; `None` if it stops.
    fn recovery(&self, state: &State) -> Option<Recovery> {
        match self.action {
            NonFinite::Stop {} => None,
            NonFinite::Skip { limit } => {
                ((state.skipped.len() as u64) < limit).then_some(Recovery::Skip)
            }
            NonFinite::RollBack { limit, leave_out } => {
                (state.roll_backs < limit).then_some(Recovery::RollBack { leave_out })
            }
        }
    }

    /// Whether the run needs a checkpoint to roll back to.
    pub(super) fn rolls_back(&self) -> bool {
        matches!(self.action, NonFinite::RollBack { .. })
    }
}

fn statistics(store: &VarStore) -> Vec<(Tensor, Tensor)> {
    let variables = store.variables().into_values();
    let kept = variables.filter(|variable| !variable.requires_grad());
    kept.map(|variable| (variable.shallow_clone(), variable.copy())).collect()
}

impl Training<'_> {
    /// Recovers from `error` of the step over `batch`: from a loss that is not finite as the recipe says, and from a batch
    /// without a readable image by skipping it.
    ///
    /// # Errors
    /// `error`, where the run cannot or may not continue.
    pub(super) fn recover(&mut self, error: Error, batch: &Batch) -> Result<Recovery, Error> {
        let Error::Step(learner::Error::NonFiniteLoss(not_finite)) = error else {
            return self.skip_unreadable(error).map(|()| Recovery::Skip);
        };
        let NonFiniteLoss { loss, step, .. } = not_finite;
        let error = Error::NonFiniteLoss { loss: not_finite, batch: self.bad_batch(batch) };
        let Some(recovery) = self.policy.recovery(&self.course.state) else { return Err(error) };
        match recovery {
            Recovery::Skip => {
                tracing::warn!("the loss became {loss} in step {step}: its batch is skipped");
                self.policy.restore_statistics();
                self.course.state.skipped.push(step);
                self.course.state.step = step;
            }
            Recovery::RollBack { leave_out } => self.roll_back(step, leave_out, error)?,
        }
        Ok(recovery)
    }

    /// The images of `batch` and the newest checkpoint, for a message.
    fn bad_batch(&self, batch: &Batch) -> BadBatch {
        let rest = if self.world.leads() {
            Rest::Checkpoint(self.saver.newest().map(Path::to_path_buf))
        } else {
            Rest::OnOtherRanks
        };
        BadBatch { images: batch.indices.clone(), rest }
    }

    /// Rolls back to the newest checkpoint, to pass `step` again without it and the steps before it. `otherwise` is the
    /// error where there is no checkpoint.
    fn roll_back(&mut self, step: u64, leave_out: u64, otherwise: Error) -> Result<(), Error> {
        let Some(checkpoint) = self.saver.read(&self.world)? else { return Err(otherwise) };
        let before = self.course.state.clone();
        self.restore(checkpoint)?;
        // They belong to a step that is no longer the last one.
        self.model.learner.forget_votes();
        let state = &mut self.course.state;
        let first = (step + 1).saturating_sub(leave_out).max(state.step + 1);
        state.skipped = before.skipped;
        state.skipped.extend(first..=step);
        state.skipped.sort_unstable();
        state.skipped.dedup();
        state.roll_backs = before.roll_backs + 1;
        tracing::warn!(
            "the loss was not finite in step {step}: back to step {}, and steps {first} to {step} are skipped (roll-back \
             {})",
            state.step,
            state.roll_backs
        );
        Ok(())
    }
}
