//! The end of an epoch: the validation or test set is measured, a line is printed, and the weights are written.

use xception::weights::Labels;

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
        let mut measured = vec![
            ("val/loss", evaluation.loss),
            ("val/acc1", evaluation.top1),
            ("val/acc5", evaluation.top5),
        ];
        if let Some(several) = &evaluation.several {
            measured.push(("val/map", several.mean_average_precision()));
        }
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
        let Self { recipe, model, sets, world, folder, saver, course, stop, .. } = self;
        let step = course.state.step;
        // The run was saved before. Where that failed, stopping has to wait for another attempt.
        let may_stop = saver.has(step);
        let keep = match sets.validation {
            // Any epoch may be the last where a run may end early.
            None if course.is_over() || recipe.early_stopping.is_some() => Keep::Rows,
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
            let thresholds = sets.validation.as_ref().and_then(|_| evaluation.best_thresholds());
            let evaluation = evaluation.with_thresholds(thresholds.as_deref());
            let is_best = course.is_best(&evaluation);
            if world.leads() {
                saver.tolerate_weights(
                    model.write(&folder.file("last.safetensors"), thresholds.as_deref()),
                )?;
                if is_best {
                    saver.tolerate_weights(
                        model.write(&folder.file("best.safetensors"), thresholds.as_deref()),
                    )?;
                }
            }
            Ok((evaluation, is_best))
        })
    }

    /// Measures the test set of a run that has a validation set, too, once training is over: under the last weights, and under
    /// those of the best epoch, which the network has afterwards. Images with several labels are answered from the `thresholds`
    /// of the last epoch on, and from those in the file of the best one.
    pub(super) fn measure_test(
        &mut self,
        best: Best,
        thresholds: Option<&[f64]>,
    ) -> Result<OnTest, Error> {
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
            Ok(measure(model)?.with_thresholds(thresholds))
        })?;
        sets.left_out.test.report_all(&last.left_out);
        if best.epoch == course.epochs_done() {
            return Ok(OnTest { best: Some(last.clone()), last });
        }
        let path = folder.file("best.safetensors");
        // Rank 0 alone says what the figures are.
        let read = if world.leads() { model.read(&path) } else { Ok(Labels::One) };
        if let Err(error) = &read {
            tracing::warn!("the best weights cannot be measured on the test set: {error}");
        }
        if world.broadcast_bytes(vec![u8::from(read.is_ok())])? != [1] {
            return Ok(OnTest { last, best: None });
        }
        model.share_variables(world, course.state.step)?;
        let measured = measure(model)?;
        let best = match &read {
            Ok(Labels::Several { thresholds }) => measured.with_thresholds(Some(thresholds)),
            _ => measured.with_thresholds(None),
        };
        Ok(OnTest { last, best: Some(best) })
    }

    fn epoch_line(&self, evaluation: &Evaluation, is_best: bool) -> String {
        let trained = self.course.state.epoch;
        let measured = if self.sets.validation.is_some() { "validation" } else { "test" };
        let figure = if evaluation.several.is_some() { "mAP " } else { "" };
        format!(
            "epoch {:>2}/{} · train loss {:.4}, {:5.2} % · {measured} loss {:.4}, {figure}{:5.2} %{} · {:.0} img/s · {}",
            self.course.epochs_done(),
            self.recipe.epochs,
            trained.mean_loss(),
            trained.accuracy() * 100.0,
            evaluation.loss,
            100.0
                * match &evaluation.several {
                    Some(several) => several.mean_average_precision(),
                    None => evaluation.top1,
                },
            if is_best { " (best)" } else { "" },
            self.timing.epoch.images_per_second(),
            clock(self.timing.seconds()),
        )
    }
}
