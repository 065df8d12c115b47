//! The end of an epoch: the test set, the line that a person reads, and the weights for others to use.

use xception::weights;

use super::Training;
use crate::Error;
use crate::console::progress::Progress;
use crate::duration::clock;
use crate::evaluation::Evaluation;
use crate::run::checkpoint::{Best, Sums};

impl Training<'_> {
    /// Measures the epoch that was just trained, writes its weights, and begins the sums of the next.
    pub(super) fn measure_epoch(&mut self, progress: &Progress) -> Result<Evaluation, Error> {
        self.compare_parameters()?;
        let mut average = self.average.take();
        let measured = match &mut average {
            Some(average) => average.during(|| self.measure_weights()),
            None => self.measure_weights(),
        };
        self.average = average;
        let (evaluation, better) = measured?;
        self.left_out.test.tell_all(&evaluation.left_out);
        let epoch = self.state.step / self.per_epoch();
        let measured = [
            ("val/loss", evaluation.loss),
            ("val/acc1", evaluation.top1),
            ("val/acc5", evaluation.top5),
        ];
        self.watch.log(self.state.step, epoch, &measured);
        self.watch.weights(self.state.step, &self.store);
        if better {
            self.state.best = Some(Best { epoch, top1: evaluation.top1 });
        }
        self.say(epoch, &evaluation, better, progress);
        self.epoch.clear();
        self.state.epoch = Sums::default();
        // Several ranks agree with the next step.
        if self.world.size() == 1 && self.stop.received().is_some() {
            self.save()?;
        }
        Ok(evaluation)
    }

    /// The test set under the weights as they are now, which are written for others to use; whether it was the best.
    fn measure_weights(&mut self) -> Result<(Evaluation, bool), Error> {
        self.share_statistics()?;
        let model = self.stepper.model();
        // The run was saved ahead of this. Where that failed, stopping has to wait for another attempt.
        let stops = self.world.size() == 1 && self.saver.has(self.state.step);
        let on = |_| match self.stop.received().filter(|_| stops) {
            Some(signal) => Err(self.interrupted(signal)),
            None => Ok(()),
        };
        let evaluation =
            Evaluation::of_all_ranks(model, &self.test, self.precision, &self.world, on)?;
        let better = self.state.best.is_none_or(|best| evaluation.top1 > best.top1);
        self.write_weights("last.safetensors")?;
        if better {
            self.write_weights("best.safetensors")?;
        }
        Ok((evaluation, better))
    }

    fn say(&self, epoch: u64, evaluation: &Evaluation, better: bool, progress: &Progress) {
        let trained = self.state.epoch;
        progress.line(&format!(
            "epoch {epoch:>2}/{} · train loss {:.4}, {:5.2} % · test loss {:.4}, {:5.2} %{} · {:.0} img/s · {}",
            self.recipe.epochs,
            trained.mean_loss(),
            trained.accuracy() * 100.0,
            evaluation.loss,
            evaluation.top1 * 100.0,
            if better { " (best)" } else { "" },
            self.speed.images_per_second(),
            clock(self.seconds()),
        ));
    }

    /// Writes the weights beside their place and renames them. A disk that refuses does not end the run.
    fn write_weights(&mut self, name: &str) -> Result<(), Error> {
        if !self.world.leads() {
            return Ok(());
        }
        let path = self.folder.file(name);
        let written =
            weights::write(&path, &weights::snapshot(&self.store), &self.description.to_metadata());
        self.saver.bear_weights(written)
    }
}
