//! The end of an epoch: the validation or test set is measured, a line is printed, and the weights are written.

use super::Training;
use super::model::Model;
use super::resuming::interrupted;
use crate::console::progress::Progress;
use crate::duration::clock;
use crate::evaluation::{Evaluation, Keep};
use crate::run::checkpoint::Best;
use crate::training::Error;

/// The figures of the test set at the end of a run.
pub(super) struct OnTest {
    /// Under the last weights.
    pub(super) last: Evaluation,
    /// Under those of the best epoch, if they can be read.
    pub(super) best: Option<Evaluation>,
}

impl Training<'_> {
    /// Measures the epoch that was just trained, writes its weights, and begins the sums of the next.
    pub(super) fn measure_epoch(&mut self, progress: &Progress) -> Result<Evaluation, Error> {
        let step = self.course.state.step;
        self.model.compare_parameters(&self.world, step)?;
        let (evaluation, is_best) = self.measure_weights()?;
        let left_out = &mut self.sets.left_out;
        let of_measured = match self.sets.validation {
            Some(_) => &mut left_out.validation,
            None => &mut left_out.test,
        };
        of_measured.report_all(&evaluation.left_out);
        let measured = [
            ("val/loss", evaluation.loss),
            ("val/acc1", evaluation.top1),
            ("val/acc5", evaluation.top5),
        ];
        self.logs.log(step, self.course.epochs_done(), &measured);
        self.logs.weights(step, &self.model.store);
        if is_best {
            self.course.set_best(&evaluation);
        }
        let is_lowered = self.course.watch(&evaluation);
        progress.line(&self.epoch_line(&evaluation, is_best));
        if is_lowered && !self.course.is_over() {
            let rate = self.course.next_step().learning_rate;
            progress.line(&format!("no improvement: the learning rate goes down to {rate:.3e}"));
        }
        self.course.clear_epoch();
        if self.stop_signal().is_some() {
            self.save()?;
        }
        Ok(evaluation)
    }

    /// Measures the validation or test set under the weights, or under their average, and writes these weights. Returns whether they are
    /// the best so far.
    fn measure_weights(&mut self) -> Result<(Evaluation, bool), Error> {
        let Self { model, sets, world, folder, saver, course, stop, .. } = self;
        let step = course.state.step;
        // The run was saved before. Where that failed, stopping has to wait for another attempt.
        let may_stop = saver.has(step);
        let keep = match sets.validation {
            None if course.is_over() => Keep::Rows,
            _ => Keep::Figures,
        };
        model.averaged(|model| {
            model.share_statistics(world)?;
            let learner = &model.learner;
            let after_batch = |_| {
                let stopped = learner.exchange().stop(stop.received()).filter(|_| may_stop);
                stopped.map_or(Ok(()), |signal| Err(interrupted(signal, step, folder)))
            };
            let evaluation = Evaluation::of_all_ranks(
                learner.network(),
                sets.measured(),
                learner.precision(),
                world,
                keep,
                after_batch,
            )?;
            let is_best = course.is_best(&evaluation);
            if world.leads() {
                saver.tolerate_weights(model.write(&folder.file("last.safetensors")))?;
                if is_best {
                    saver.tolerate_weights(model.write(&folder.file("best.safetensors")))?;
                }
            }
            Ok((evaluation, is_best))
        })
    }

    /// Measures the test set of a run that has a validation set, too, once training is over: under the last weights, and under
    /// those of the best epoch, which the network has afterwards.
    pub(super) fn measure_test(&mut self, best: Best) -> Result<OnTest, Error> {
        let Self { model, sets, world, folder, course, .. } = self;
        let measure = |model: &Model| {
            let learner = &model.learner;
            let after = |_| Ok::<_, Error>(());
            Evaluation::of_all_ranks(
                learner.network(),
                &sets.test,
                learner.precision(),
                world,
                Keep::Rows,
                after,
            )
        };
        let last = model.averaged(|model| {
            model.share_statistics(world)?;
            measure(model)
        })?;
        sets.left_out.test.report_all(&last.left_out);
        if best.epoch == course.epochs_done() {
            return Ok(OnTest { best: Some(last.clone()), last });
        }
        let path = folder.file("best.safetensors");
        let read = if world.leads() { model.read(&path) } else { Ok(()) };
        if let Err(error) = &read {
            tracing::warn!("the best weights cannot be measured on the test set: {error}");
        }
        if world.broadcast_bytes(vec![u8::from(read.is_ok())])? != [1] {
            return Ok(OnTest { last, best: None });
        }
        model.share_variables(world, course.state.step)?;
        Ok(OnTest { last, best: Some(measure(model)?) })
    }

    fn epoch_line(&self, evaluation: &Evaluation, is_best: bool) -> String {
        let trained = self.course.state.epoch;
        let measured = if self.sets.validation.is_some() { "validation" } else { "test" };
        format!(
            "epoch {:>2}/{} · train loss {:.4}, {:5.2} % · {measured} loss {:.4}, {:5.2} %{} · {:.0} img/s · {}",
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
