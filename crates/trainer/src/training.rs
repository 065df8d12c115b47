//! The training loop: one readable column from pictures to weights.

use std::time::Instant;

use datasets::{Augmentation, Batch, LastBatch, Loader, LoaderConfig, Order};
use tch::{Device, Kind, Reduction, Tensor, nn::ModuleT, nn::VarStore};
use xception::Xception;
use xception::weights::{self, Description};

use crate::Error;
use crate::data::Data;
use crate::evaluation::{Evaluation, Views};
use crate::metrics::Metrics;
use crate::optimizer::Optimizer;
use crate::precision::Precision;
use crate::progress::Progress;
use crate::recipe::{AppliesTo, Recipe};
use crate::run_folder::RunFolder;
use crate::world::World;

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
    model: Xception,
    optimizer: Optimizer,
    train: Loader,
    test: Loader,
    metrics: Metrics,
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
        Ok(Self {
            recipe,
            folder,
            world: World::single(),
            precision: recipe.precision.resolved(device),
            description,
            optimizer: Optimizer::new(&store, recipe.optimizer),
            store,
            model,
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
            metrics: Metrics::create(&folder.file("metrics.jsonl"))?,
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
            let evaluation =
                Evaluation::of(&self.model, &self.test, self.precision, Views::One, |_| {});
            let step = epoch * self.train.batches_per_epoch() as u64;
            let measured = [
                ("val/loss", evaluation.loss),
                ("val/acc1", evaluation.top1),
                ("val/acc5", evaluation.top5),
            ];
            self.metrics.log(step, epoch, &measured)?;
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

    fn train_epoch(&mut self, epoch: u64, progress: &Progress) -> Result<Running, Error> {
        let per_epoch = self.train.batches_per_epoch() as u64;
        let steps = self.recipe.epochs * per_epoch;
        let done = (epoch - 1) * self.train.pictures_per_epoch() as u64;
        let (mut whole, mut logged) = (Running::start(), Running::start());
        progress.prefix(format!("epoch {epoch}/{}", self.recipe.epochs));
        for (step, batch) in (((epoch - 1) * per_epoch)..).zip(self.train.epoch(epoch)) {
            let learning_rate = self.recipe.schedule.learning_rate(step, steps);
            let (loss, right) = self.step(&batch, epoch, step + 1, learning_rate)?;
            for running in [&mut whole, &mut logged] {
                running.add(batch.indices.len(), loss, right);
            }
            if (step + 1) % self.recipe.log_every == 0 || (step + 1) % per_epoch == 0 {
                let values = [
                    ("train/loss", logged.loss),
                    ("train/acc1", logged.accuracy),
                    ("lr", learning_rate),
                    ("perf/images_per_s", logged.images_per_second),
                ];
                self.metrics.log(step + 1, epoch, &values)?;
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

    /// Forward, backward, update. Returns the mean loss and how many pictures were recognised.
    fn step(
        &mut self,
        batch: &Batch,
        epoch: u64,
        step: u64,
        learning_rate: f64,
    ) -> Result<(f64, i64), Error> {
        let device = self.store.device();
        let images = batch.images.to_device(device).to_kind(self.precision.kind(device));
        let labels = batch.labels.to_device(device);
        let logits = self.model.forward_t(&images, true);
        let loss = cross_entropy(&logits, &labels, self.recipe.label_smoothing);
        let value = loss.double_value(&[]);
        if !value.is_finite() {
            return Err(Error::NonFiniteLoss { loss: value, epoch, step, learning_rate });
        }
        let gradients = self.optimizer.gradients(&loss)?;
        self.world.all_reduce(&gradients);
        self.optimizer.step(&gradients, learning_rate)?;
        let right =
            logits.detach().argmax(1, false).eq_tensor(&labels).sum(Kind::Int64).int64_value(&[]);
        Ok((value, right))
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

/// Mean cross-entropy in fp32. PyTorch: `F.cross_entropy(logits, labels, label_smoothing=…)`.
pub(crate) fn cross_entropy(logits: &Tensor, labels: &Tensor, label_smoothing: f64) -> Tensor {
    logits.cross_entropy_loss(labels, None::<Tensor>, Reduction::Mean, -100, label_smoothing)
}

/// Means over the pictures since it was started.
struct Running {
    since: Instant,
    images: u64,
    right: i64,
    loss: f64,
    accuracy: f64,
    images_per_second: f64,
}

impl Running {
    fn start() -> Self {
        Self {
            since: Instant::now(),
            images: 0,
            right: 0,
            loss: 0.0,
            accuracy: 0.0,
            images_per_second: 0.0,
        }
    }

    fn add(&mut self, images: usize, loss: f64, right: i64) {
        let before = self.images as f64;
        self.images += images as u64;
        self.right += right;
        self.loss = (self.loss * before + loss * images as f64) / self.images as f64;
        self.accuracy = self.right as f64 / self.images as f64;
        self.images_per_second = self.images as f64 / self.since.elapsed().as_secs_f64();
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
    fn means_weigh_batches_by_their_size() {
        let mut running = Running::start();
        running.add(3, 1.0, 3);
        running.add(1, 5.0, 0);
        assert_eq!((running.loss, running.accuracy, running.images), (2.0, 0.75, 4));
    }

    #[test]
    fn times_are_said_as_people_say_them() {
        assert_eq!(clock(59.6), "1:00 min");
        assert_eq!(clock(3661.0), "1:01:01 h");
    }
}
