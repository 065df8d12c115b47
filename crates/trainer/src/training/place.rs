//! Where in the run a step is: its epoch, its batch, its learning rate.

use super::Training;
use super::step::Moment;
use crate::optim::schedule::Position;

impl Training<'_> {
    /// The epoch of the next batch, from 1, and the batch's number in it, from 0.
    pub(super) fn place(&self) -> (u64, usize) {
        let per_epoch = self.per_epoch();
        (self.state.step / per_epoch + 1, (self.state.step % per_epoch) as usize)
    }

    /// The step that comes next.
    pub(super) fn moment(&self) -> Moment {
        self.moment_of(self.state.step)
    }

    /// The step that was taken last.
    pub(super) fn moment_behind(&self) -> Moment {
        self.moment_of(self.state.step.saturating_sub(1))
    }

    pub(super) fn moment_of(&self, before: u64) -> Moment {
        Moment {
            epoch: before / self.per_epoch() + 1,
            step: before + 1,
            learning_rate: self.state.learning_rate_factor
                * self.recipe.learning_rate(&self.position_of(before)),
        }
    }

    pub(super) fn position_of(&self, before: u64) -> Position {
        Position {
            step: before,
            steps: self.steps(),
            steps_per_epoch: self.per_epoch(),
            batch_size: (self.recipe.batch_size * self.world.size()) as u64,
        }
    }

    pub(super) fn at_end_of_epoch(&self) -> bool {
        self.state.step > 0 && self.state.step.is_multiple_of(self.per_epoch())
    }

    pub(super) fn per_epoch(&self) -> u64 {
        self.train.batches_per_epoch() as u64
    }

    pub(super) fn steps(&self) -> u64 {
        self.recipe.epochs * self.per_epoch()
    }

    pub(super) fn seconds(&self) -> f64 {
        self.spent + self.since.elapsed().as_secs_f64()
    }
}
