//! The course of a run: its epochs and steps, how far it is, and the figures on the way.

use tch::Device;

use super::totals::Totals;
use crate::evaluation::{Evaluation, Several};
use crate::learner::{Phase, StepContext, StepOutput};
use crate::optim::schedule::{Position, Schedule};
use crate::recipe::{EarlyStopping, Metric, RankStatistics, Recipe, Statistics, TransferRecipe};
use crate::run::checkpoint::{Best, State, Sums, Watch};
use crate::training::Error;

/// The course of a run, and how far it is.
pub(super) struct Course<'a> {
    recipe: &'a Recipe,
    steps_per_epoch: u64,
    /// Images of a step, of all ranks together.
    batch_size: u64,
    /// The progress of the run. Its sums are as of the last [`Course::read_sums`].
    pub(super) state: State,
    /// Sums since the epoch began, up to date.
    epoch: Totals,
    /// Sums since the last line of the log, up to date.
    unlogged: Totals,
}

impl<'a> Course<'a> {
    /// The course of a run of `recipe` that is at `state`, with steps of `batch_size` images on all ranks together.
    pub(super) fn new(
        recipe: &'a Recipe,
        steps_per_epoch: usize,
        batch_size: usize,
        state: State,
        device: Device,
    ) -> Self {
        Self {
            recipe,
            steps_per_epoch: steps_per_epoch as u64,
            batch_size: batch_size as u64,
            epoch: Totals::from(state.epoch, device),
            unlogged: Totals::from(state.unlogged, device),
            state,
        }
    }

    /// Puts the run back to `state`, which a checkpoint holds.
    pub(super) fn restore(&mut self, state: State, device: Device) {
        // The origin is this process's: checkpoints from here on are rounded as here.
        let origin = self.state.origin.clone();
        let is_extended = state.origin.recipe.epochs < origin.recipe.epochs;
        self.epoch = Totals::from(state.epoch, device);
        self.unlogged = Totals::from(state.unlogged, device);
        self.state = State { origin, ..state };
        if is_extended {
            // A run that had ended for lack of improvement has the same patience again.
            let done = self.epochs_done();
            self.state.stopping = self.state.stopping.map(|watch| watch.again(done));
        }
    }

    /// Steps of the whole run.
    pub(super) fn steps(&self) -> u64 {
        self.recipe.epochs * self.steps_per_epoch
    }

    /// The epoch of the next batch, from 1, and the number of the batch in the epoch, from 0.
    pub(super) fn next_batch(&self) -> (u64, usize) {
        let step = self.state.step;
        (step / self.steps_per_epoch + 1, (step % self.steps_per_epoch) as usize)
    }

    /// The next step.
    pub(super) fn next_step(&self) -> StepContext {
        self.context(self.state.step)
    }

    /// The last step that was taken.
    pub(super) fn last_step(&self) -> StepContext {
        self.context(self.state.step.saturating_sub(1))
    }

    /// The step after `done` others.
    fn context(&self, done: u64) -> StepContext {
        StepContext {
            epoch: done / self.steps_per_epoch + 1,
            step: done + 1,
            learning_rate: self.learning_rate(done),
        }
    }

    /// The learning rate of the step after `done` others, under the epochs that were measured so far.
    fn learning_rate(&self, done: u64) -> f64 {
        let rate = self.recipe.learning_rate(&self.position(done));
        let plateaus = self.state.plateau.map_or(0, |watch| watch.ended);
        self.state.learning_rate_factor * self.recipe.schedule.after_plateaus(rate, plateaus)
    }

    /// The position of the next step in the schedule.
    pub(super) fn next_position(&self) -> Position {
        self.position(self.state.step)
    }

    fn position(&self, done: u64) -> Position {
        Position {
            step: done,
            steps: self.steps(),
            steps_per_epoch: self.steps_per_epoch,
            batch_size: self.batch_size,
        }
    }

    /// Whether the next step is left out, because its loss was not finite before.
    pub(super) fn skips_next(&self) -> bool {
        self.state.skipped.contains(&(self.state.step + 1))
    }

    /// The part of the network that is trained in `epoch`.
    pub(super) fn phase(&self, epoch: u64) -> Phase {
        match &self.recipe.transfer {
            Some(transfer) if epoch <= transfer.frozen_epochs => Phase::Head,
            Some(TransferRecipe { statistics: Statistics::Frozen, .. }) => Phase::FrozenStatistics,
            _ => Phase::Everything,
        }
    }

    /// Whether an epoch has just ended.
    pub(super) fn is_at_end_of_epoch(&self) -> bool {
        self.state.step > 0 && self.state.step.is_multiple_of(self.steps_per_epoch)
    }

    /// Whether the next step is the last of its epoch.
    pub(super) fn next_ends_epoch(&self) -> bool {
        (self.state.step + 1).is_multiple_of(self.steps_per_epoch)
    }

    /// Whether the last step has been taken.
    pub(super) fn is_over(&self) -> bool {
        self.state.step == self.steps()
    }

    /// Whether a line of the log is due.
    pub(super) fn logs(&self) -> bool {
        self.state.step.is_multiple_of(self.recipe.log_every) || self.is_at_end_of_epoch()
    }

    /// Epochs that are over.
    pub(super) fn epochs_done(&self) -> u64 {
        self.state.step / self.steps_per_epoch
    }

    /// Adds the figures of a step.
    pub(super) fn add(&mut self, output: &StepOutput) {
        self.epoch.add(output);
        self.unlogged.add(output);
    }

    /// Waits for the device and reads its sums.
    ///
    /// # Errors
    /// A loss that is not finite since the last line of the log.
    pub(super) fn read_sums(&mut self) -> Result<(), Error> {
        self.state.epoch = self.epoch.read();
        self.state.unlogged = self.unlogged.read();
        Ok(self.last_step().check_finite(self.state.unlogged.loss)?)
    }

    /// Begins the sums of the next line of the log.
    pub(super) fn clear_unlogged(&mut self) {
        self.unlogged.clear();
        self.state.unlogged = Sums::default();
    }

    /// Begins the sums of the next epoch.
    pub(super) fn clear_epoch(&mut self) {
        self.epoch.clear();
        self.state.epoch = Sums::default();
    }

    /// Whether the epoch that is over, with these figures, is the best so far.
    pub(super) fn is_best(&self, evaluation: &Evaluation) -> bool {
        let value = self.value(evaluation);
        self.state.best.is_none_or(|best| value > best.value())
    }

    /// Notes that the epoch that is over is the best so far.
    pub(super) fn set_best(&mut self, evaluation: &Evaluation) {
        let value = match self.recipe.metric() {
            Metric::Top1 => None,
            _ => Some(self.value(evaluation)),
        };
        let (epoch, top1) = (self.epochs_done(), evaluation.top1);
        self.state.best = Some(Best { epoch, top1, value });
    }

    /// Notes whether the epoch that is over is better than those before: its figures may end the run, or lower the learning
    /// rate. Returns whether they lowered it.
    pub(super) fn watch(&mut self, evaluation: &Evaluation) -> bool {
        let (epoch, value) = (self.epochs_done(), self.value(evaluation));
        if let Some(EarlyStopping { min_improvement, .. }) = self.recipe.early_stopping {
            let watch = Watch::after(self.state.stopping, epoch, value, min_improvement);
            self.state.stopping = Some(watch);
        }
        let Schedule::Plateau { patience, min_improvement, .. } = self.recipe.schedule else {
            return false;
        };
        let watch = Watch::after(self.state.plateau, epoch, value, min_improvement);
        let lowers = watch.is_out_of_patience(epoch, patience);
        self.state.plateau = Some(if lowers { watch.again(epoch) } else { watch });
        lowers
    }

    /// The epochs without an improvement after which the run ends before its time, if it does.
    pub(super) fn stalled(&self) -> Option<u64> {
        let EarlyStopping { patience, .. } = self.recipe.early_stopping?;
        let is_over = self.state.stopping?.is_out_of_patience(self.epochs_done(), patience);
        is_over.then_some(patience)
    }

    /// The figure that epochs are compared by, of which more is better. One that is not finite is worse than any, and a number
    /// all the same: a checkpoint could not hold it otherwise.
    fn value(&self, evaluation: &Evaluation) -> f64 {
        let overall = || evaluation.overall();
        let value = match self.recipe.metric() {
            Metric::Top1 => evaluation.top1,
            Metric::Loss => -evaluation.loss,
            Metric::BalancedAccuracy => overall().balanced_accuracy.unwrap_or(0.0),
            Metric::MacroF1 => overall().macro_f1.unwrap_or(0.0),
            Metric::MeanAveragePrecision => {
                evaluation.several.as_ref().map_or(0.0, Several::mean_average_precision)
            }
        };
        value.max(f64::MIN)
    }

    /// The way in which several ranks train together, for people.
    pub(super) fn scaling(&self) -> String {
        let statistics = match self.recipe.ranks.unwrap_or_default().batch_norm {
            RankStatistics::Broadcast => "",
            RankStatistics::Synchronised => ", batch norm synchronised",
        };
        match self.state.learning_rate_factor {
            1.0 => format!("learning rate as it is (ranks.learning_rate){statistics}"),
            factor => format!("learning rate × {factor} (linear scaling){statistics}"),
        }
    }
}
