//! The training loop, from images to weights: epochs, steps, log, checkpoints, evaluation.

mod agreement;
mod course;
mod epoch_end;
mod error;
mod memory;
mod model;
mod non_finite;
mod origin;
mod resuming;
pub(crate) mod run_plan;
mod sanity_checks;
mod saving;
mod sets;
mod setup;
mod timing;
mod totals;
mod trial;
mod unreadable_batch;

use datasets::random::{Purpose, below, stream};
use datasets::{Batch, Loader};
use tch::Device;

use crate::console::log;
use crate::console::progress::Progress;
use crate::data::unreadable_images::LeftOutOfRun;
use crate::evaluation::Evaluation;
use crate::learner::{self, StepContext, Votes};
use crate::ranks::World;
use crate::recipe::Recipe;
use crate::run::checkpoint::Best;
use crate::run::logs::RunLogs;
use crate::run::run_folder::RunFolder;
use crate::signal::Signal;
use crate::stop::StopRequest;
use crate::torch_error::TorchError;

use self::agreement::{check_archives, check_ranks};
pub(crate) use self::error::Error;
use self::origin::check_recipe;
pub(crate) use self::sets::loader_config;
pub(crate) use self::trial::Tried;

use self::course::Course;
use self::epoch_end::OnTest;
use self::memory::Needs;
use self::model::Model;
use self::non_finite::{NonFinitePolicy, Recovery};
use self::saving::Saver;
use self::sets::Sets;
use self::timing::{Speed, Timing};

/// A run that is being trained.
pub(crate) struct Training<'a> {
    recipe: &'a Recipe,
    folder: &'a RunFolder,
    world: World,
    stop: StopRequest,
    model: Model,
    sets: Sets,
    course: Course<'a>,
    policy: NonFinitePolicy,
    saver: Saver,
    logs: RunLogs,
    timing: Timing,
    needs: Needs,
    /// Batches in a row, up to now, of which no image could be read.
    unreadable_batches: u32,
}

/// The results of a run.
pub(crate) struct Outcome {
    /// The test set under the last weights.
    pub(crate) last: Evaluation,
    /// The best epoch. Without a validation set it was chosen on the test set, so it flatters.
    pub(crate) best: Best,
    /// With a validation set, its last figures.
    pub(crate) validation: Option<Evaluation>,
    /// With a validation set, the test set under the weights of the best epoch.
    pub(crate) best_on_test: Option<Evaluation>,
    /// Epochs that were trained, fewer than the recipe's where the run ended early.
    pub(crate) epochs: u64,
    /// Wall clock of training and evaluation, all parts of the run together.
    pub(crate) seconds: f64,
    /// The test set.
    pub(crate) test: Loader,
    /// Images that are in none of the figures.
    pub(crate) left_out: LeftOutOfRun,
}

impl Training<'_> {
    /// The network, its precision and device, and the length of the run: printed before the first step.
    pub(crate) fn headline(&self) -> String {
        let Self { recipe, model, course, .. } = self;
        let done = match course.state.step {
            0 => String::new(),
            step => format!(", {step} of them done"),
        };
        format!(
            "{} · {:.2} M parameters · {} on {:?}, {} threads\n{} epochs of {} images in batches of {}{} · {} steps{done}",
            recipe.model.preset,
            model.parameters() as f64 / 1e6,
            model.learner.precision().name(),
            model.learner.device(),
            tch::get_num_threads(),
            recipe.epochs,
            self.sets.images_per_epoch(),
            recipe.batch_size,
            self.world.times_ranks(&course.scaling()),
            course.steps(),
        )
    }

    /// Trains to the end. Saves from time to time, and measures after every epoch; with a validation set, the test set once.
    pub(crate) fn run(mut self) -> Result<Outcome, Error> {
        self.model.share_variables(&self.world, self.course.state.step)?;
        let images = self.recipe.epochs * self.sets.images_per_epoch();
        let progress = Progress::new(images, log::audience());
        self.save_to_roll_back_to()?;
        loop {
            // A checkpoint at the end of an epoch is saved before the epoch is measured: a resumed run measures it again.
            if self.course.is_at_end_of_epoch() {
                let last = self.measure_epoch(&progress)?;
                if self.course.is_over() || self.has_stalled(&progress)? {
                    return self.finish(last);
                }
            }
            self.train_epoch(&progress)?;
        }
    }

    /// Whether the run ends before its time, because its figures have stopped getting better. It is saved then.
    fn has_stalled(&mut self, progress: &Progress) -> Result<bool, Error> {
        let Some(patience) = self.course.stalled() else { return Ok(false) };
        let metric = self.recipe.metric().name();
        progress.line(&format!("no better {metric} in {patience} epochs: the run ends here"));
        self.save()?;
        Ok(true)
    }

    /// Trains the rest of the epoch, or up to a roll-back.
    ///
    /// On a CPU every loss is checked before its update. On a GPU reading a loss would make the CPU wait, so the sums are
    /// checked when they are logged (`log_every`) and before saving: the error then names the step at which it was found,
    /// and the mean loss up to it.
    fn train_epoch(&mut self, progress: &Progress) -> Result<(), Error> {
        let (epoch, first) = self.course.next_batch();
        let done = (epoch - 1) * self.sets.images_per_epoch();
        self.timing.start_epoch();
        progress.prefix(format!("epoch {epoch}/{}", self.recipe.epochs));
        for batch in self.sets.batches(self.recipe, epoch, first) {
            let batch = batch?;
            self.sets.left_out.train.report(&batch);
            if let Err(error) = self.step(&batch)
                && self.recover(error, &batch)? != Recovery::Skip
            {
                return Ok(());
            }
            self.timing.add(batch.in_all);
            if self.reads_every_step() || self.course.logs() {
                progress.update(done + self.course.state.epoch.images, self.so_far());
            }
            if self.course.logs() {
                self.log();
            }
            if self.saves() {
                self.save()?;
            }
        }
        Ok(())
    }

    /// Takes one step over `batch`, unless it is to be skipped. After an error the run is where it was before.
    fn step(&mut self, batch: &Batch) -> Result<(), Error> {
        if self.course.skips_next() {
            self.model.learner.forget_votes();
        } else {
            self.train_step(batch)?;
        }
        self.course.state.step += 1;
        if self.reads_every_step() || self.course.logs() || self.saves() {
            self.course.read_sums()?;
        }
        Ok(())
    }

    fn train_step(&mut self, batch: &Batch) -> Result<(), Error> {
        let context = self.course.next_step();
        let is_first = context.step == 1;
        if is_first && !batch.indices.is_empty() {
            let images = batch.images_on(Device::Cpu)?;
            self.logs.samples(0, &images, &self.recipe.normalization());
        }
        self.policy.keep_statistics();
        self.seed_dropout();
        let votes = Votes {
            stop: self.stop.received(),
            save: self.saver.due(self.course.next_ends_epoch()),
        };
        let learner = &mut self.model.learner;
        learner.set_phase(self.course.phase(context.epoch));
        let output =
            learner.step(batch, context, votes).map_err(|error| self.with_memory(error))?;
        self.unreadable_batches = 0;
        let one_label = self.recipe.multi_label.is_none();
        if is_first && one_label && self.recipe.transfer.is_none() {
            sanity_checks::first_loss(
                output.loss.double_value(&[]),
                self.model.description.class_names.len(),
            );
        }
        self.model.update_average(&self.course.next_position())?;
        self.course.add(&output);
        Ok(())
    }

    /// Seeds dropout and drop-path by the step and the rank: a resumed run drops the same.
    fn seed_dropout(&self) {
        if self.recipe.model.draws() {
            let (rank, step) = (self.world.rank() as u64, self.course.state.step);
            let mut stream = stream(self.recipe.seed, Purpose::Dropout, rank, step);
            tch::manual_seed(below(&mut stream, 1 << 62) as i64);
        }
    }

    /// Adds to an error of memory that ran out how much the batch needs.
    fn with_memory(&self, error: learner::Error) -> Error {
        let Some(&TorchError::OutOfMemory { requested }) = error.as_torch() else {
            return error.into();
        };
        let advice = self.needs.explain(self.recipe.batch_size as u64);
        Error::OutOfMemory { requested, advice }
    }

    /// Whether the loss of every step is read. On a GPU, reading would make the CPU wait.
    fn reads_every_step(&self) -> bool {
        !self.model.learner.device().is_cuda()
    }

    /// Writes a line of `metrics.jsonl` over the steps since the last one.
    fn log(&mut self) {
        let StepContext { epoch, step, learning_rate } = self.course.last_step();
        let sums = self.course.state.unlogged;
        let values = [
            ("train/loss", sums.mean_loss()),
            ("train/acc1", sums.accuracy()),
            ("lr", learning_rate),
            ("perf/images_per_s", self.timing.unlogged.images_per_second()),
        ];
        self.logs.log(step, epoch, &values);
        self.course.clear_unlogged();
        self.timing.unlogged = Speed::start();
    }

    /// Whether the run is saved now.
    fn saves(&self) -> bool {
        let every_end = self.saver.saves_every_epoch() || self.course.is_over();
        self.stop_signal().is_some()
            || (every_end && self.course.is_at_end_of_epoch())
            || self.model.learner.exchange().saves()
    }

    /// The signal that stops the run. Ranks agree on it with every step, so that all stop after the same one.
    fn stop_signal(&self) -> Option<Signal> {
        self.model.learner.exchange().stop(self.stop.received())
    }

    fn so_far(&self) -> String {
        format!(
            "loss {:.3} acc {:4.1} % {:4.0} img/s",
            self.course.state.epoch.mean_loss(),
            self.course.state.epoch.accuracy() * 100.0,
            self.timing.epoch.images_per_second(),
        )
    }

    /// The results, once the last epoch was measured.
    fn finish(mut self, measured: Evaluation) -> Result<Outcome, Error> {
        let best = self.course.state.best.expect("the last epoch was measured");
        let (last, validation, best_on_test) = match self.sets.validation {
            None => (measured, None, None),
            Some(_) => {
                let thresholds = measured.best_thresholds();
                let OnTest { last, best } = self.measure_test(best, thresholds.as_deref())?;
                (last, Some(measured), best)
            }
        };
        let Sets { test, mut left_out, .. } = self.sets;
        left_out.train = left_out.train.of_all_ranks(&self.world)?;
        let (epochs, seconds) = (self.course.epochs_done(), self.timing.seconds());
        Ok(Outcome { last, best, validation, best_on_test, epochs, seconds, test, left_out })
    }
}

#[cfg(test)]
mod tests;
