//! The training loop: one readable column from pictures to weights.

mod running;
mod step;

use std::time::Instant;

use datasets::{Augmentation, LastBatch, Loader, LoaderConfig, Order};
use tch::{Device, Tensor, nn::VarStore};
use xception::Xception;
use xception::weights::{self, Description};

use crate::Error;
use crate::data::Data;
use crate::evaluation::Evaluation;
use crate::forward::Views;
use crate::optimizer::Optimizer;
use crate::precision::Precision;
use crate::progress::Progress;
use crate::recipe::{AppliesTo, Recipe};
use crate::run_folder::RunFolder;
use crate::watching::Watch;
use crate::world::World;

pub(crate) use self::step::cross_entropy;

use self::running::{Running, Unread};
use self::step::{Launch, Learner, Moment, Stepper};

/// Batches that are made ready while the network is busy.
const PREFETCH: usize = 2;

/// Everything that a run holds.
pub(crate) struct Training<'a> {
    recipe: &'a Recipe,
    folder: &'a RunFolder,
    world: World,
    precision: Precision,
    description: Description,
    store: VarStore,
    stepper: Stepper,
    train: Loader,
    test: Loader,
    watch: Watch,
}

/// What a run ends with.
pub(crate) struct Outcome {
    /// The test set under the last weights.
    pub(crate) last: Evaluation,
    /// The best top-1 of any epoch. It was chosen on the test set, so it flatters.
    pub(crate) best: (u64, f64),
    /// Wall clock of training and evaluation.
    pub(crate) seconds: f64,
}

impl<'a> Training<'a> {
    /// Builds network, optimizer and loaders; nothing has been trained yet.
    pub(crate) fn new(
        recipe: &'a Recipe,
        data: &Data,
        folder: &'a RunFolder,
    ) -> Result<Self, Error> {
        let device = Device::cuda_if_available();
        let spec = recipe.spec(data.class_names().len() as i64)?;
        tch::manual_seed(recipe.seed as i64);
        let store = VarStore::new(device);
        let model = Xception::new(&store.root(), &spec.architecture()?, spec.classes)?;
        let loader = |pictures, batch_size, order, augmentation| {
            let (seed, normalization) = (recipe.seed, recipe.normalization());
            let last_batch = LastBatch::Keep;
            let config = LoaderConfig {
                batch_size,
                order,
                seed,
                augmentation,
                normalization,
                last_batch,
                prefetch: PREFETCH,
            };
            Loader::new(pictures, config)
        };
        let test_augmentation = match recipe.augmentation.applies_to {
            AppliesTo::Training => Augmentation::default(),
            AppliesTo::TrainingAndTest => recipe.augmentation(),
        };
        let description = Description {
            spec,
            class_names: data.class_names().to_vec(),
            input: data.train.width() as i64,
            mean: recipe.normalization.mean,
            std: recipe.normalization.std,
            data: data.name.to_string(),
        };
        let (world, precision) = (World::single(), recipe.precision.resolved(device));
        let optimizer = Optimizer::new(&store, recipe.optimizer);
        let learner = Learner::new(model, optimizer, world, recipe.label_smoothing);
        Ok(Self {
            recipe,
            folder,
            world,
            precision,
            description,
            store,
            stepper: Stepper::new(learner, precision, Launch::best(recipe.batch_size)),
            train: loader(
                data.train.clone(),
                recipe.batch_size,
                Order::Shuffled,
                recipe.augmentation(),
            )?,
            test: loader(
                data.test.clone(),
                recipe.eval_batch_size,
                Order::Sequential,
                test_augmentation,
            )?,
            watch: Watch::create(folder.path())?,
        })
    }

    /// One line a person reads before it starts: sizes, steps, numbers computed in.
    pub(crate) fn headline(&self) -> String {
        let parameters: usize = self.store.trainable_variables().iter().map(Tensor::numel).sum();
        let steps = self.recipe.epochs * self.train.batches_per_epoch() as u64;
        format!(
            "{} · {:.2} M parameters · {} epochs of {} pictures in batches of {} × {} rank · {steps} steps · {} on {:?}, {} threads",
            self.recipe.model.preset,
            parameters as f64 / 1e6,
            self.recipe.epochs,
            self.train.pictures_per_epoch(),
            self.recipe.batch_size,
            self.world.size(),
            self.precision.name(),
            self.store.device(),
            tch::get_num_threads(),
        )
    }

    /// Trains to the end, evaluating and saving after every epoch.
    pub(crate) fn run(mut self) -> Result<Outcome, Error> {
        self.world.broadcast(&self.store.trainable_variables());
        let started = Instant::now();
        let progress = Progress::new(self.recipe.epochs * self.train.pictures_per_epoch() as u64);
        let mut best = (0, f64::NEG_INFINITY);
        let mut last = None;
        for epoch in 1..=self.recipe.epochs {
            let trained = self.train_epoch(epoch, &progress)?;
            let evaluation = Evaluation::of(
                self.stepper.model(),
                &self.test,
                self.precision,
                Views::One,
                |_| {},
            )?;
            let step = epoch * self.train.batches_per_epoch() as u64;
            let measured = [
                ("val/loss", evaluation.loss),
                ("val/acc1", evaluation.top1),
                ("val/acc5", evaluation.top5),
            ];
            self.watch.log(step, epoch, &measured)?;
            self.watch.weights(step, &self.store)?;
            self.save("last.safetensors")?;
            let better = evaluation.top1 > best.1;
            if better {
                best = (epoch, evaluation.top1);
                self.save("best.safetensors")?;
            }
            progress.line(&format!(
                "epoch {epoch:>2}/{} · train loss {:.4} acc {:5.2} % · test loss {:.4} acc {:5.2} %{} · {:.0} img/s · {}",
                self.recipe.epochs,
                trained.loss,
                trained.accuracy * 100.0,
                evaluation.loss,
                evaluation.top1 * 100.0,
                if better { " (best)" } else { "" },
                trained.images_per_second,
                clock(started.elapsed().as_secs_f64()),
            ));
            last = Some(evaluation);
        }
        self.world.barrier();
        let last = last.expect("a recipe has at least one epoch");
        Ok(Outcome { last, best, seconds: started.elapsed().as_secs_f64() })
    }

    /// One pass over the training set.
    ///
    /// On a CPU every loss is checked ahead of its update. On a GPU looking at a loss would make the CPU wait, so the
    /// sums since the last look are checked when they are logged (`log_every`) and at the end of the epoch, ahead of
    /// saving: the error then names the step at which it was seen, and the mean loss up to it.
    fn train_epoch(&mut self, epoch: u64, progress: &Progress) -> Result<Running, Error> {
        let per_epoch = self.train.batches_per_epoch() as u64;
        let steps = self.recipe.epochs * per_epoch;
        let done = (epoch - 1) * self.train.pictures_per_epoch() as u64;
        let (mut whole, mut logged) = (Running::start(), Running::start());
        let mut unread = Unread::new(self.store.device());
        let looking_is_free = !self.store.device().is_cuda();
        progress.prefix(format!("epoch {epoch}/{}", self.recipe.epochs));
        for (step, batch) in (((epoch - 1) * per_epoch)..).zip(self.train.epoch(epoch)) {
            if step == 0 {
                self.watch.samples(step, &batch.images, &self.recipe.normalization())?;
            }
            let learning_rate = self.recipe.schedule.learning_rate(step, steps);
            let moment = Moment { epoch, step: step + 1, learning_rate };
            let stepped = self.stepper.step(&batch, moment)?;
            unread.add(batch.indices.len(), &stepped);
            let logs = (step + 1) % self.recipe.log_every == 0 || (step + 1) % per_epoch == 0;
            if !logs && !looking_is_free {
                continue;
            }
            let (images, loss, right) = unread.read();
            moment.check(loss)?;
            for running in [&mut whole, &mut logged] {
                running.add(images, loss, right);
            }
            if logs {
                let values = [
                    ("train/loss", logged.loss),
                    ("train/acc1", logged.accuracy),
                    ("lr", learning_rate),
                    ("perf/images_per_s", logged.images_per_second),
                ];
                self.watch.log(step + 1, epoch, &values)?;
                logged = Running::start();
            }
            let text = format!(
                "loss {:.3} acc {:4.1} % {:4.0} img/s",
                whole.loss,
                whole.accuracy * 100.0,
                whole.images_per_second
            );
            progress.update(done + whole.images, text);
        }
        Ok(whole)
    }

    fn save(&self, name: &str) -> Result<(), Error> {
        if self.world.leads() {
            weights::write(
                &self.folder.file(name),
                &weights::snapshot(&self.store),
                &self.description.to_metadata(),
            )?;
        }
        Ok(())
    }
}

/// Seconds as people say them.
pub(crate) fn clock(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match (whole / 3600, whole / 60 % 60, whole % 60) {
        (0, minutes, seconds) => format!("{minutes}:{seconds:02} min"),
        (hours, minutes, seconds) => format!("{hours}:{minutes:02}:{seconds:02} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_said_as_people_say_them() {
        assert_eq!(clock(59.6), "1:00 min");
        assert_eq!(clock(3661.0), "1:01:01 h");
    }
}
