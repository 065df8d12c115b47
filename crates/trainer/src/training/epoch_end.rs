//! The end of an epoch: the test set is measured, a line is printed, and the weights are written.

use super::Training;
use super::resuming::interrupted;
use crate::console::progress::Progress;
use crate::duration::clock;
use crate::evaluation::Evaluation;
use crate::training::Error;

impl Training<'_> {
    /// Measures the epoch that was just trained, writes its weights, and begins the sums of the next.
    pub(super) fn measure_epoch(&mut self, progress: &Progress) -> Result<Evaluation, Error> {
        let step = self.course.state.step;
        self.model.compare_parameters(&self.world, step)?;
        let (evaluation, is_best) = self.measure_weights()?;
        self.sets.left_out.test.report_all(&evaluation.left_out);
        let measured = [
            ("val/loss", evaluation.loss),
            ("val/acc1", evaluation.top1),
            ("val/acc5", evaluation.top5),
        ];
        self.logs.log(step, self.course.epochs_done(), &measured);
        self.logs.weights(step, &self.model.store);
        if is_best {
            self.course.set_best(evaluation.top1);
        }
        progress.line(&self.epoch_line(&evaluation, is_best));
        self.course.clear_epoch();
        if self.stop_signal().is_some() {
            self.save()?;
        }
        Ok(evaluation)
    }

    /// Measures the test set under the weights, or under their average, and writes these weights. Returns whether they are
    /// the best so far.
    fn measure_weights(&mut self) -> Result<(Evaluation, bool), Error> {
        let Self { model, sets, world, folder, saver, course, stop, .. } = self;
        let step = course.state.step;
        // The run was saved before. Where that failed, stopping has to wait for another attempt.
        let may_stop = saver.has(step);
        model.averaged(|model| {
            model.share_statistics(world)?;
            let learner = &model.learner;
            let after_batch = |_| {
                let stopped = learner.exchange().stop(stop.received()).filter(|_| may_stop);
                stopped.map_or(Ok(()), |signal| Err(interrupted(signal, step, folder)))
            };
            let evaluation = Evaluation::of_all_ranks(
                learner.network(),
                &sets.test,
                learner.precision(),
                world,
                after_batch,
            )?;
            let is_best = course.is_best(evaluation.top1);
            if world.leads() {
                saver.tolerate_weights(model.write(&folder.file("last.safetensors")))?;
                if is_best {
                    saver.tolerate_weights(model.write(&folder.file("best.safetensors")))?;
                }
            }
            Ok((evaluation, is_best))
        })
    }

    fn epoch_line(&self, evaluation: &Evaluation, is_best: bool) -> String {
        let trained = self.course.state.epoch;
        format!(
            "epoch {:>2}/{} · train loss {:.4}, {:5.2} % · test loss {:.4}, {:5.2} %{} · {:.0} img/s · {}",
            self.course.epochs_done(),
            self.recipe.epochs,
            trained.mean_loss(),
            trained.accuracy() * 100.0,
            evaluation.loss,
            evaluation.top1 * 100.0,
            if is_best { " (best)" } else { "" },
            self.timing.epoch.images_per_second(),
            clock(self.timing.seconds()),
        )
    }
}
