//! Steps that belong to no run: the search for a learning rate, and the measurement by which a time limit becomes a number
//! of epochs.

use std::time::Instant;

use datasets::Batch;

use super::Training;
use crate::evaluation::{self, Evaluation, Keep};
use crate::learner::{self, StepContext, Votes};
use crate::network::forward::Views;
use crate::ranks;
use crate::training::Error;

/// Steps before the clock starts: the first ones allocate.
const WARM_UP: usize = 2;
/// Steps that are timed. A number and not a time, because ranks take steps together.
const TIMED: usize = 10;
/// Seconds after which the measurement of the evaluation ends.
const EVALUATION: f64 = 3.0;

/// The loss of a step, and its learning rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Tried {
    /// The learning rate.
    pub(crate) learning_rate: f64,
    /// The mean loss of the batch, before the step; infinite where it was not finite.
    pub(crate) loss: f64,
}

/// Seconds that an epoch takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct EpochTime {
    /// Of its steps, with images of the size of the last epoch.
    pub(crate) training: f64,
    /// Of measuring the set that is measured after every epoch.
    pub(crate) evaluation: f64,
}

/// The reason why a measurement of the evaluation ended.
enum Ended {
    Early,
    Failed(evaluation::Error),
}

impl From<evaluation::Error> for Ended {
    fn from(error: evaluation::Error) -> Self {
        Ended::Failed(error)
    }
}

impl Training<'_> {
    /// Takes a step at each of `rates` in turn, over as many epochs as they need. Ends early where `continues` says no, or where
    /// the loss is not finite.
    pub(crate) fn try_rates(
        mut self,
        rates: &[f64],
        continues: impl Fn(&[Tried]) -> bool,
    ) -> Result<Vec<Tried>, Error> {
        let last = self.recipe.epochs;
        self.model.learner.set_phase(self.course.phase(last));
        let mut tried = Vec::new();
        let mut rates = rates.iter().copied().zip(1..);
        for epoch in 1.. {
            let mut is_empty = true;
            for batch in self.sets.batches(self.recipe, epoch, 0) {
                let batch = batch?;
                if batch.indices.is_empty() {
                    continue;
                }
                is_empty = false;
                let Some((learning_rate, step)) = rates.next() else { return Ok(tried) };
                let context = StepContext { epoch, step, learning_rate };
                let loss = self.loss_of(&batch, context)?;
                tried.push(Tried { learning_rate, loss });
                if !loss.is_finite() || !continues(&tried) || self.stop.received().is_some() {
                    return Ok(tried);
                }
            }
            if is_empty {
                return Err(Error::UnreadableBatches { in_a_row: 1 });
            }
        }
        Ok(tried)
    }

    /// The seconds of an epoch, by some steps and a part of the evaluation.
    pub(crate) fn epoch_time(mut self) -> Result<EpochTime, Error> {
        let epoch = self.recipe.epochs;
        self.model.learner.set_phase(self.course.phase(epoch));
        let mut batches = self.sets.batches(self.recipe, epoch, 0);
        let (mut images, mut began) = (0, Instant::now());
        for step in 0..WARM_UP + TIMED {
            let Some(batch) = batches.next() else { break };
            let batch = batch?;
            let context = StepContext { epoch, step: step as u64 + 1, learning_rate: 1e-6 };
            if step == WARM_UP {
                (images, began) = (0, Instant::now());
            }
            self.loss_of(&batch, context)?;
            images += batch.in_all;
        }
        let seconds = began.elapsed().as_secs_f64() / images.max(1) as f64;
        let training = seconds * self.sets.images_per_epoch() as f64;
        Ok(EpochTime { training, evaluation: self.evaluation_time()? })
    }

    fn evaluation_time(&self) -> Result<f64, Error> {
        let (network, loader) = (self.model.learner.network(), self.sets.measured());
        let (began, mut so_far) = (Instant::now(), 0);
        let after = |images| {
            so_far = images;
            if began.elapsed().as_secs_f64() > EVALUATION { Err(Ended::Early) } else { Ok(()) }
        };
        let precision = self.model.learner.precision();
        match Evaluation::of(network, loader, precision, Views::One, Keep::Figures, after) {
            Err(Ended::Failed(error)) => return Err(error.into()),
            Ok(_) | Err(Ended::Early) => {}
        }
        let own = self.world.largest_share(loader.images().len());
        Ok(began.elapsed().as_secs_f64() * own as f64 / so_far.max(1) as f64)
    }

    /// The loss of a step; infinite where it is not finite.
    fn loss_of(&mut self, batch: &Batch, context: StepContext) -> Result<f64, Error> {
        match self.model.learner.step(batch, context, Votes::default()) {
            Ok(output) => {
                let loss = output.loss.double_value(&[]);
                Ok(if loss.is_finite() { loss } else { f64::INFINITY })
            }
            Err(learner::Error::NonFiniteLoss(_)) => Ok(f64::INFINITY),
            Err(error) => Err(self.with_memory(error)),
        }
    }
}

impl EpochTime {
    /// The time as all ranks have it: rank 0's.
    pub(crate) fn agreed(self, world: &ranks::World) -> Result<Self, Error> {
        let [training, evaluation] =
            world.follow_rank_0("time of an epoch", [self.training, self.evaluation])?;
        Ok(Self { training, evaluation })
    }

    /// The number of epochs that fit into `seconds`, a twentieth of which is left for the start and the end.
    pub(crate) fn epochs_in(self, seconds: f64) -> u64 {
        (seconds * 0.95 / (self.training + self.evaluation).max(1e-9)).floor() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_fit_into_a_time() {
        let time = EpochTime { training: 50.0, evaluation: 10.0 };
        assert_eq!([59.0, 63.0, 64.0, 640.0].map(|limit| time.epochs_in(limit)), [0, 0, 1, 10]);
    }
}
