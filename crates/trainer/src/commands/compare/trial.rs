//! One run of one network: trained by the recipe, then measured on the test set.

use std::time::Instant;

use datasets::{Batch, LastBatch, Loader, LoaderConfig, Order, Share};
use tch::nn::{ModuleT, VarStore};
use tch::{Device, Kind, Tensor};
use xception::Xception;

use super::contender::Contender;
use super::inception::InceptionV3;
use crate::commands::Error;
use crate::console::log;
use crate::console::progress::Progress;
use crate::data::Data;
use crate::data::unreadable_images::LeftOut;
use crate::duration::clock;
use crate::learner::{Launch, Learner, Network, StepContext, Votes};
use crate::optim::optimizer::Optimizer;
use crate::optim::schedule::Position;
use crate::recipe::Recipe;
use crate::training::loader_config;

/// The figures of one run.
pub(super) struct Measured {
    pub(super) parameters: u64,
    /// Multiply-accumulates of an image in the size of the last epoch.
    pub(super) macs: u64,
    pub(super) top1: f64,
    pub(super) top5: f64,
    /// Images a second in training.
    pub(super) training: f64,
    /// Images a second of the network alone.
    pub(super) inference: f64,
}

/// Trains `contender` by `recipe` on `data`, and measures it.
pub(super) fn run(contender: Contender, recipe: &Recipe, data: &Data) -> Result<Measured, Error> {
    tch::manual_seed(recipe.seed as i64);
    let store = VarStore::new(Device::cuda_if_available());
    let classes = data.class_names().len() as i64;
    let trial = Trial { contender, recipe, data, store: &store };
    match contender {
        Contender::Xception => {
            let architecture = recipe.spec(classes)?.architecture()?;
            let network = Xception::new(store.root(), &architecture, classes)?;
            trial.run(network.with_dropout(recipe.model.dropout.unwrap_or(0.0))?)
        }
        Contender::InceptionV3 => trial.run(InceptionV3::new(&store, classes)),
    }
}

/// A run, but for its network.
struct Trial<'a> {
    contender: Contender,
    recipe: &'a Recipe,
    data: &'a Data,
    store: &'a VarStore,
}

impl Trial<'_> {
    fn run(self, network: impl Network + ModuleT) -> Result<Measured, Error> {
        let Self { contender, recipe, data, store } = self;
        let parameters: usize = store.trainable_variables().iter().map(Tensor::numel).sum();
        let optimizer = Optimizer::with_groups(store, &recipe.optimizer, &recipe.groups, None)?;
        let precision = recipe.precision.resolved(network.device());
        let launch = Launch::new(recipe.launch, recipe.batch_size);
        let mut learner = Learner::new(network, optimizer, recipe.step_options(), precision)
            .with_loss(&recipe.loss_plan(&*data.train))
            .with_launch(launch);
        let test = self.loader(Order::Sequential)?;
        let began = Instant::now();
        let training = self.train(&mut learner)?;
        let (top1, top5, inference) = self.evaluate(learner.network(), &test)?;
        tracing::info!(
            "{} seed {}: {:.2} %, {training:.0} img/s, {}",
            contender.name(),
            recipe.seed,
            top1 * 100.0,
            clock(began.elapsed().as_secs_f64())
        );
        let classes = data.class_names().len() as i64;
        let side = recipe.side(recipe.epochs).unwrap_or(test.size()[0]) as i64;
        let macs = contender.macs(store, recipe, classes, side)?;
        Ok(Measured { parameters: parameters as u64, macs, top1, top5, training, inference })
    }

    fn loader(&self, order: Order) -> Result<Loader, Error> {
        let (images, last_batch) = match order {
            Order::Sequential => (&self.data.test, LastBatch::Keep),
            // Steps of one size, of which one takes as long as another.
            Order::Shuffled | Order::ShuffledByFile | Order::Balanced(_) => {
                (&self.data.train, LastBatch::Drop)
            }
        };
        let config = LoaderConfig {
            last_batch,
            ..loader_config(self.recipe, &**images, order, Share::WHOLE)
        };
        Ok(Loader::new(images.clone(), config)?)
    }

    /// Trains to the end. Returns the images a second.
    fn train(&self, learner: &mut Learner<impl Network>) -> Result<f64, Error> {
        let Self { contender, recipe, .. } = self;
        let loader = self.loader(recipe.order())?;
        let steps_per_epoch = loader.batches_per_epoch() as u64;
        let progress =
            Progress::new(recipe.epochs * loader.images_per_epoch() as u64, log::audience());
        let (mut step, mut images, began) = (0, 0_u64, Instant::now());
        let mut left_out = LeftOut::default();
        for epoch in 1..=recipe.epochs {
            progress.prefix(format!("{} epoch {epoch}/{}", contender.name(), recipe.epochs));
            let batches = match recipe.side(epoch) {
                Some(side) => loader.epoch_at(epoch, 0, side),
                None => loader.epoch(epoch),
            };
            for batch in batches {
                let batch = batch?;
                left_out.report(&batch);
                if batch.indices.is_empty() {
                    continue;
                }
                let position = Position {
                    step,
                    steps: recipe.epochs * steps_per_epoch,
                    steps_per_epoch,
                    batch_size: recipe.batch_size as u64,
                };
                let learning_rate = recipe.learning_rate(&position);
                let context = StepContext { epoch, step: step + 1, learning_rate };
                let output = learner.step(&batch, context, Votes::default())?;
                step += 1;
                images += output.images as u64;
                // Reading a loss waits for a GPU.
                if learner.device().is_cuda() && !step.is_multiple_of(recipe.log_every) {
                    continue;
                }
                let loss = output.loss.double_value(&[]);
                context.check_finite(loss)?;
                let speed = images as f64 / began.elapsed().as_secs_f64();
                progress.update(images, format!("loss {loss:.3} {speed:4.0} img/s"));
            }
        }
        Ok(images as f64 / began.elapsed().as_secs_f64())
    }

    /// Returns top-1, top-5, and the images a second of the network alone.
    fn evaluate(
        &self,
        network: &(impl Network + ModuleT),
        test: &Loader,
    ) -> Result<(f64, f64, f64), Error> {
        let batches = match self.recipe.side(self.recipe.epochs) {
            Some(side) => test.epoch_at(0, 0, side),
            None => test.epoch(0),
        };
        let (mut images, mut correct, mut among_five, mut seconds) = (0_u64, 0_i64, 0_i64, 0.0);
        let mut left_out = LeftOut::default();
        for batch in batches {
            let batch = batch?;
            left_out.report(&batch);
            let Batch { labels, indices, .. } = &batch;
            if indices.is_empty() {
                continue;
            }
            let began = Instant::now();
            let batch_images = batch.images_on(network.device())?;
            let logits = tch::no_grad(|| network.forward_t(&batch_images, false));
            let logits = logits.to_device(Device::Cpu);
            seconds += began.elapsed().as_secs_f64();
            let best = logits.topk(5.min(logits.size()[1]), 1, true, true).1;
            let hits = best.eq_tensor(&labels.unsqueeze(1));
            among_five += hits.sum(Kind::Int64).int64_value(&[]);
            correct += hits.narrow(1, 0, 1).sum(Kind::Int64).int64_value(&[]);
            images += indices.len() as u64;
        }
        let count = images.max(1) as f64;
        Ok((correct as f64 / count, among_five as f64 / count, count / seconds.max(1e-9)))
    }
}
