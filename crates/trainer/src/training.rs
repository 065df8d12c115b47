//! The training loop: one readable column from images to weights.

mod agreement;
mod checks;
mod measuring;
mod memory;
mod not_finite;
mod origin;
mod place;
mod resuming;
mod running;
mod saving;
mod setup;
mod step;
mod together;

use std::time::Instant;

use datasets::random::{Purpose, below, stream};
use datasets::{Batch, Loader};
use tch::{Tensor, nn::VarStore};
use xception::weights::Description;

use crate::Error;
use crate::console::log;
use crate::console::progress::Progress;
use crate::data::left_out::LeftOutOfRun;
use crate::evaluation::Evaluation;
use crate::optim::average::Average;
use crate::precision::Precision;
use crate::ranks::World;
use crate::recipe::{Recipe, Statistics, TransferRecipe};
use crate::run::checkpoint::{Best, State, Sums};
use crate::run::run_folder::RunFolder;
use crate::run::watching::Watch;
use crate::signal::Signal;
use crate::stop::StopRequest;

pub(crate) use self::agreement::{check_archives, check_ranks};
pub(crate) use self::origin::check_recipe;
pub(crate) use self::setup::loader_config;
pub(crate) use self::step::{Moment, cross_entropy};

use self::memory::Needs;
use self::not_finite::Passage;
use self::running::{Running, Speed};
use self::saving::Saver;
use self::step::{Phase, Stepper, Wishes};

/// Everything that a run holds.
pub(crate) struct Training<'a> {
    recipe: &'a Recipe,
    folder: &'a RunFolder,
    stop: StopRequest,
    world: World,
    precision: Precision,
    description: Description,
    store: VarStore,
    stepper: Stepper,
    train: Loader,
    test: Loader,
    watch: Watch,
    saver: Saver,
    /// Where the run is. Its sums are those of the last look; `epoch` and `unlogged` have them up to date.
    state: State,
    epoch: Running,
    unlogged: Running,
    average: Option<Average>,
    passage: Passage,
    needs: Needs,
    left_out: LeftOutOfRun,
    /// Of this epoch, since it was begun or resumed.
    speed: Speed,
    /// Seconds that earlier parts of the run took.
    spent: f64,
    since: Instant,
}

/// What a run ends with.
pub(crate) struct Outcome {
    /// The test set under the last weights.
    pub(crate) last: Evaluation,
    /// The best of the epochs. It was chosen on the test set, so it flatters.
    pub(crate) best: Best,
    /// Wall clock of training and evaluation, all parts of the run together.
    pub(crate) seconds: f64,
    /// The test set.
    pub(crate) test: Loader,
    /// What is in none of the figures.
    pub(crate) left_out: LeftOutOfRun,
}

impl Training<'_> {
    /// What a person reads before it starts: the network and what it computes in, and how far it will go.
    pub(crate) fn headline(&self) -> String {
        let parameters: usize = self.store.trainable_variables().iter().map(Tensor::numel).sum();
        let ranks = match self.world.size() {
            1 => String::new(),
            ranks => format!(" × {ranks} ranks, {}", self.scaling()),
        };
        let done = match self.state.step {
            0 => String::new(),
            step => format!(", {step} of them done"),
        };
        format!(
            "{} · {:.2} M parameters · {} on {:?}, {} threads\n{} epochs of {} images in batches of {}{ranks} · {} steps{done}",
            self.recipe.model.preset,
            parameters as f64 / 1e6,
            self.precision.name(),
            self.store.device(),
            tch::get_num_threads(),
            self.recipe.epochs,
            self.train.images_per_epoch(),
            self.recipe.batch_size,
            self.steps(),
        )
    }

    /// Trains to the end, saving now and then, and measuring after every epoch.
    pub(crate) fn run(mut self) -> Result<Outcome, Error> {
        self.share_variables()?;
        let progress = Progress::new(
            self.recipe.epochs * self.train.images_per_epoch() as u64,
            log::audience(),
        );
        self.save_if_gone_back_to()?;
        loop {
            // A checkpoint at the end of an epoch is of the moment ahead of this: a resumed run measures again.
            let measured = match self.at_end_of_epoch() {
                true => Some(self.measure_epoch(&progress)?),
                false => None,
            };
            if let (Some(last), true) = (measured, self.state.step == self.steps()) {
                let best = self.state.best.expect("the last epoch was measured");
                let seconds = self.seconds();
                let Self { test, mut left_out, .. } = self;
                left_out.train = left_out.train.of_all_ranks(&self.world)?;
                return Ok(Outcome { last, best, seconds, test, left_out });
            }
            self.train_epoch(&progress)?;
        }
    }

    /// The rest of the epoch, or up to where the run has to go back to a checkpoint.
    ///
    /// On a CPU every loss is checked ahead of its update. On a GPU looking at a loss would make the CPU wait, so the
    /// sums are checked when they are logged (`log_every`) and ahead of saving: the error then names the step at which
    /// it was seen, and the mean loss up to it.
    fn train_epoch(&mut self, progress: &Progress) -> Result<(), Error> {
        let (epoch, first) = self.place();
        let done = (epoch - 1) * self.train.images_per_epoch() as u64;
        let mut unlogged = Speed::start();
        self.speed = Speed::start();
        progress.prefix(format!("epoch {epoch}/{}", self.recipe.epochs));
        let batches = match self.recipe.side(epoch) {
            Some(side) => self.train.epoch_at(epoch, first, side),
            None => self.train.epoch_from(epoch, first),
        };
        for batch in batches {
            let batch = batch?;
            self.left_out.train.tell(&batch);
            if let Err(error) = self.step(&batch)
                && self.passes(error, &batch)?.goes_back()
            {
                return Ok(());
            }
            self.speed.add(batch.in_all);
            unlogged.add(batch.in_all);
            if !self.store.device().is_cuda() {
                progress.update(done + self.state.epoch.images, self.so_far());
            }
            if self.logs() {
                progress.update(done + self.state.epoch.images, self.so_far());
                self.log(&unlogged);
                unlogged = Speed::start();
            }
            if self.saves() {
                self.save()?;
            }
        }
        Ok(())
    }

    /// One step over `batch`, unless it is to be passed over; on an error the run is where it was.
    fn step(&mut self, batch: &Batch) -> Result<(), Error> {
        let moment = self.moment();
        self.stepper.wish(Wishes::default());
        if !self.state.passed_over.contains(&moment.step) {
            if moment.step == 1 && !batch.indices.is_empty() {
                self.watch.samples(0, &batch.images, &self.recipe.normalization());
            }
            self.passage.remember();
            self.seed_dropout();
            self.stepper.train(self.phase(moment.epoch));
            self.stepper.wish(Wishes { stop: self.stop.received(), save: self.saver.due() });
            let stepped =
                self.stepper.step(batch, moment).map_err(|error| self.explained(error))?;
            if moment.step == 1 {
                checks::first_loss(
                    stepped.loss.double_value(&[]),
                    self.description.class_names.len(),
                );
            }
            let position = self.position_of(self.state.step);
            if let Some(average) = &mut self.average {
                average.update(&position)?;
            }
            self.epoch.add(&stepped);
            self.unlogged.add(&stepped);
        }
        self.state.step += 1;
        match !self.store.device().is_cuda() || self.logs() || self.saves() {
            true => self.look(),
            false => Ok(()),
        }
    }

    /// What is trained in an epoch.
    fn phase(&self, epoch: u64) -> Phase {
        match &self.recipe.transfer {
            Some(transfer) if epoch <= transfer.frozen_epochs => Phase::Head,
            Some(TransferRecipe { statistics: Statistics::Frozen, .. }) => Phase::Parameters,
            _ => Phase::Everything,
        }
    }

    /// What dropout and drop-path leave out follows from the step and the rank: a resumed run blanks the same.
    fn seed_dropout(&self) {
        if self.recipe.model.draws() {
            let rank = self.world.rank() as u64;
            let mut stream = stream(self.recipe.seed, Purpose::Dropout, rank, self.state.step);
            tch::manual_seed(below(&mut stream, 1 << 62) as i64);
        }
    }

    /// Memory that ran out says how much it should have been.
    fn explained(&self, error: Error) -> Error {
        match error {
            Error::OutOfMemory { asked } => {
                let needs = self.needs.explain(self.recipe.batch_size as u64);
                Error::OutOfMemory { asked: format!("{asked}: {needs}") }
            }
            other => other,
        }
    }

    /// Waits for the device, and takes its sums over; refuses those that are not finite.
    fn look(&mut self) -> Result<(), Error> {
        self.state.epoch = self.epoch.read();
        self.state.unlogged = self.unlogged.read();
        self.moment_behind().check(self.state.unlogged.loss)
    }

    /// A line of `metrics.jsonl` over the steps since the last one.
    fn log(&mut self, speed: &Speed) {
        let Moment { epoch, step, learning_rate } = self.moment_behind();
        let sums = self.state.unlogged;
        let values = [
            ("train/loss", sums.mean_loss()),
            ("train/acc1", sums.accuracy()),
            ("lr", learning_rate),
            ("perf/images_per_s", speed.images_per_second()),
        ];
        self.watch.log(step, epoch, &values);
        self.unlogged.clear();
        self.state.unlogged = Sums::default();
    }

    fn logs(&self) -> bool {
        self.state.step.is_multiple_of(self.recipe.log_every) || self.at_end_of_epoch()
    }

    fn saves(&self) -> bool {
        self.asked().is_some() || self.at_end_of_epoch() || self.stepper.wishes().save
    }

    /// Who asked the run to stop. Ranks agree on it with every step, so that all stop after the same one.
    fn asked(&self) -> Option<Signal> {
        match self.world.size() {
            1 => self.stop.received(),
            _ => self.stepper.wishes().stop,
        }
    }

    fn so_far(&self) -> String {
        format!(
            "loss {:.3} acc {:4.1} % {:4.0} img/s",
            self.state.epoch.mean_loss(),
            self.state.epoch.accuracy() * 100.0,
            self.speed.images_per_second(),
        )
    }
}

#[cfg(test)]
mod tests;
