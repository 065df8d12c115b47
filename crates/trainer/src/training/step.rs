//! What a training step is, and the two ways to have one: kernel by kernel, or recorded once and replayed on a GPU.

mod together;

use datasets::Batch;
use serde::{Deserialize, Serialize};
use tch::{Kind, Reduction, Tensor};
use torch_ext::{LearningRate, SumOverProcesses};
use xception::Xception;

use crate::Error;
use crate::captured::Captured;
use crate::optimizer::{Optimizer, Reach};
use crate::precision::Precision;
use crate::stop::Signal;
use crate::world::{Buckets, World};

/// Where in the run a step is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    /// Counted from 1.
    pub(crate) epoch: u64,
    /// Counted from 1 over the whole run.
    pub(crate) step: u64,
    /// At this step.
    pub(crate) learning_rate: f64,
}

impl Moment {
    /// Refuses to go on with a loss that is not finite.
    pub(crate) fn check(self, loss: f64) -> Result<(), Error> {
        let Moment { epoch, step, learning_rate } = self;
        if loss.is_finite() {
            return Ok(());
        }
        Err(Error::NonFiniteLoss { loss, epoch, step, learning_rate, context: String::new() })
    }
}

/// What a step leaves on the device, of all ranks together. Looking at a tensor waits for the device; the next step may
/// overwrite both.
pub(super) struct Stepped {
    /// Mean loss of the batch ahead of the update, fp32 scalar.
    pub(super) loss: Tensor,
    /// Pictures of the batch that were recognised ahead of the update, int64 scalar.
    pub(super) right: Tensor,
    /// Pictures of the batch.
    pub(super) images: usize,
}

/// The table `[clipping]` of a recipe: what becomes of gradients that are too long.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clipping {
    /// The most that the norm of all gradients together may be; longer ones are scaled down to it, all by
    /// one factor. PyTorch: `clip_grad_norm_`.
    pub max_norm: f64,
}

impl Clipping {
    /// What is wrong with the number, if anything.
    pub(crate) fn problem(self) -> Option<String> {
        let fits = self.max_norm.is_finite() && self.max_norm > 0.0;
        (!fits).then(|| format!("clipping.max_norm must be above 0, got {}", self.max_norm))
    }
}

/// What a step does beside going forth, back and downhill.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct StepOptions {
    /// Part of each label that is spread over all classes.
    pub(crate) label_smoothing: f64,
    /// What becomes of gradients that are too long.
    pub(crate) clipping: Option<Clipping>,
    /// Micro-batches that a batch is passed in, so that fewer feature maps are in memory at a time.
    ///
    /// Each counts by its part of the batch, so loss and gradients are those of the whole batch as far as pictures do
    /// not see each other. In batch norm they do: it normalises by the statistics of a micro-batch, and moves its
    /// running ones once for each.
    pub(crate) accumulation: usize,
}

/// What of the network is trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The head, on features that nothing is asked of.
    Head,
    /// All parameters; batch norms keep their statistics and normalise by them.
    Parameters,
    /// All parameters, and statistics by the batch.
    Everything,
}

/// The network and what moves it.
pub(super) struct Learner {
    model: Xception,
    optimizer: Optimizer,
    world: World,
    /// What the gradients are sent to other ranks in, once there were some.
    buckets: Option<Buckets>,
    /// What adds up the statistics of batch norms, where they are of all ranks.
    statistics: Option<SumOverProcesses>,
    options: StepOptions,
    phase: Phase,
    /// The learning rate where kernels can read it, on a GPU: in a recorded step a number would never change.
    rate: Option<Tensor>,
    /// The share of a mixed batch's own labels, where kernels can read it: fp32 scalar, refilled like `rate`.
    own_share: Tensor,
}

impl Learner {
    /// A learner where `model` is.
    pub(super) fn new(
        model: Xception,
        optimizer: Optimizer,
        world: World,
        options: StepOptions,
    ) -> Self {
        let device = model.device();
        let rate = device.is_cuda().then(|| Tensor::zeros([], (Kind::Float, device)));
        let own_share = Tensor::ones([], (Kind::Float, device));
        Self {
            model,
            optimizer,
            world,
            buckets: None,
            statistics: None,
            options,
            phase: Phase::Everything,
            rate,
            own_share,
        }
    }

    /// The same, with batch norms that normalise by the batch of all ranks, as `statistics` adds them up.
    pub(super) fn with_statistics(self, statistics: Option<SumOverProcesses>) -> Self {
        Self { statistics, ..self }
    }

    /// The step: forward, backward, update, on pictures and labels that are where the network is. Nothing else in this
    /// program defines one.
    ///
    /// `labels` are `[n]`, or for a mixed batch `[2, n]`: own ones and partners', in shares of [`Learner::own_share`].
    ///
    /// On a CPU a loss that is not finite ends it ahead of the update. On a GPU nothing here waits for the device, and
    /// the learning rate is what [`Learner::rate`] holds.
    fn update(
        &mut self,
        images: &Tensor,
        labels: &Tensor,
        moment: Moment,
    ) -> Result<Stepped, Error> {
        let (stepped, gradients) = self.pass_all(images, labels)?;
        self.descend(&stepped, &gradients, moment)?;
        Ok(stepped)
    }

    /// The update by `gradients`, which led to `stepped`.
    fn descend(
        &mut self,
        stepped: &Stepped,
        gradients: &[Tensor],
        moment: Moment,
    ) -> Result<(), Error> {
        if !stepped.loss.device().is_cuda() {
            moment.check(stepped.loss.f_double_value(&[])?)?;
        }
        if let Some(Clipping { max_norm }) = self.options.clipping {
            drop(torch_ext::clip_gradients(gradients, max_norm)?);
        }
        let rate = match &self.rate {
            Some(tensor) => LearningRate::Tensor(tensor),
            None => LearningRate::Number(moment.learning_rate),
        };
        self.optimizer.step(gradients, rate)
    }

    /// Forward and backward over a batch, micro-batch by micro-batch.
    fn pass_all(&self, images: &Tensor, labels: &Tensor) -> Result<(Stepped, Vec<Tensor>), Error> {
        let size = images.size()[0];
        let micro = self.micro_batch(size);
        let (mut total, mut sums) = self.pass(images, labels, 0, micro)?;
        for start in (micro..size).step_by(micro as usize) {
            let (stepped, gradients) = self.pass(images, labels, start, micro)?;
            total.add(&stepped)?;
            for (sum, gradient) in sums.iter_mut().zip(&gradients) {
                drop(sum.f_add_(gradient)?);
            }
        }
        Ok((total, sums))
    }

    /// Pictures that a batch of `size` is passed in at a time.
    fn micro_batch(&self, size: i64) -> i64 {
        (size as u64).div_ceil(self.options.accumulation as u64) as i64
    }

    /// Forward and backward over the micro-batch of `micro` pictures that begins at `start`, or of those that are left:
    /// its part in the loss and in the gradients of the batch.
    fn pass(
        &self,
        images: &Tensor,
        labels: &Tensor,
        start: i64,
        micro: i64,
    ) -> Result<(Stepped, Vec<Tensor>), Error> {
        let whole = images.size()[0];
        let (loss, stepped) = self.forward(images, labels, start, micro, whole)?;
        Ok((stepped, self.optimizer.gradients(&loss)?))
    }

    /// Forward over the micro-batch of `micro` pictures that begins at `start`, or of those that are left: its part in the
    /// loss of a batch of `whole` pictures, to go back from and to look at.
    fn forward(
        &self,
        images: &Tensor,
        labels: &Tensor,
        start: i64,
        micro: i64,
        whole: i64,
    ) -> Result<(Tensor, Stepped), Error> {
        let count = micro.min(images.size()[0] - start);
        let (images, labels) = (images.narrow(0, start, count), labels.narrow(-1, start, count));
        let features = match self.phase {
            Phase::Head => tch::no_grad(|| self.model.features_t(&images, false)),
            Phase::Parameters => self.model.features_t(&images, false),
            Phase::Everything => match &self.statistics {
                Some(together) => together.during(|| self.model.features_t(&images, true)),
                None => self.model.features_t(&images, true),
            },
        };
        let logits = self.model.logits_t(&features, true);
        let own_labels = if labels.dim() == 1 { labels.shallow_clone() } else { labels.get(0) };
        let mut loss = cross_entropy(&logits, &own_labels, self.options.label_smoothing);
        if labels.dim() == 2 {
            let partner = cross_entropy(&logits, &labels.get(1), self.options.label_smoothing);
            loss = partner.lerp_tensor(&loss, &self.own_share);
        }
        if count < whole {
            loss *= count as f64 / whole as f64;
        }
        let right = logits.detach().argmax(1, false).eq_tensor(&own_labels).sum(Kind::Int64);
        let stepped = Stepped { loss: loss.detach(), right, images: count as usize };
        Ok((loss, stepped))
    }
}

impl Stepped {
    /// Adds the next micro-batch.
    fn add(&mut self, next: &Self) -> Result<(), Error> {
        drop((self.loss.f_add_(&next.loss)?, self.right.f_add_(&next.right)?));
        self.images += next.images;
        Ok(())
    }
}

/// Whether steps are recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Launch {
    /// Every kernel of every step is launched by the CPU.
    KernelByKernel,
    /// Steps over full batches of this size are recorded as a CUDA graph and replayed; smaller ones are not.
    Graph {
        /// Pictures in a full batch.
        batch_size: usize,
    },
}

impl Launch {
    /// A graph where the machine and this build have them.
    pub(super) fn best(batch_size: usize) -> Self {
        match torch_ext::cuda_graphs_supported() {
            true => Launch::Graph { batch_size },
            false => Launch::KernelByKernel,
        }
    }
}

/// Takes steps over batches as the loader yields them.
pub(super) struct Stepper {
    // Ahead of the learner, whose tensors the recording uses.
    captured: Option<Captured<2, 2>>,
    learner: Learner,
    precision: Precision,
    launch: Launch,
    asked: Option<Signal>,
}

impl Stepper {
    /// Steps of `learner` in `precision`.
    pub(super) fn new(learner: Learner, precision: Precision, launch: Launch) -> Self {
        Self { captured: None, learner, precision, launch, asked: None }
    }

    /// From now on trains what `phase` says.
    pub(super) fn train(&mut self, phase: Phase) {
        if self.learner.phase != phase {
            // What was recorded is another step.
            self.captured = None;
            self.learner.phase = phase;
            self.learner.optimizer.reach(match phase {
                Phase::Head => Reach::Head,
                Phase::Parameters | Phase::Everything => Reach::Everything,
            });
        }
    }

    /// The network as it is now.
    pub(super) fn model(&self) -> &Xception {
        &self.learner.model
    }

    /// What moves the network.
    pub(super) fn optimizer(&self) -> &Optimizer {
        &self.learner.optimizer
    }

    /// The same, to be put back to where it was.
    pub(super) fn optimizer_mut(&mut self) -> &mut Optimizer {
        &mut self.learner.optimizer
    }

    /// Takes note of who asked this rank to stop so far; the next step tells the others.
    pub(super) fn ask(&mut self, asked: Option<Signal>) {
        self.asked = asked;
    }

    /// Who asked any of the ranks to stop ahead of the last step. All ranks agree on it.
    pub(super) fn asked(&self) -> Option<Signal> {
        self.asked
    }

    /// One step over `batch`.
    pub(super) fn step(&mut self, batch: &Batch, moment: Moment) -> Result<Stepped, Error> {
        let device = self.learner.model.device();
        if let Some(rate) = &mut self.learner.rate {
            drop(rate.f_fill_(moment.learning_rate)?);
        }
        // Mixed batches are recorded, too: their labels have a shape of their own, so a recording of others does not
        // fit them, and their share is read where it is filled in here.
        let labels = match &batch.mixed {
            Some(mixed) => {
                drop(self.learner.own_share.f_fill_(mixed.weight)?);
                Tensor::stack(&[&batch.labels, &mixed.partner_labels], 0)
            }
            None => batch.labels.shallow_clone(),
        };
        let given = [&batch.images, &labels];
        if let Some(captured) = self.captured.as_mut().filter(|captured| captured.fits(given)) {
            return Self::replay(captured, &mut self.learner, given, moment);
        }
        let images = batch.images.to_device(device).to_kind(self.precision.kind(device));
        let labels = labels.to_device(device);
        if self.learner.world.size() > 1 {
            let (stepped, asked) =
                self.learner.update_together(&images, &labels, batch.in_all, self.asked, moment)?;
            self.asked = asked;
            return Ok(stepped);
        }
        match self.launch {
            Launch::Graph { batch_size } if batch_size == batch.indices.len() => {
                let captured = self.captured.insert(Captured::new([&images, &labels])?);
                Self::replay(captured, &mut self.learner, [&images, &labels], moment)
            }
            _ => self.learner.update(&images, &labels, moment),
        }
    }

    fn replay(
        captured: &mut Captured<2, 2>,
        learner: &mut Learner,
        given: [&Tensor; 2],
        moment: Moment,
    ) -> Result<Stepped, Error> {
        let [loss, right] = captured.run(given, |[images, labels]| {
            let Stepped { loss, right, .. } = learner.update(images, labels, moment)?;
            Ok([loss, right])
        })?;
        Ok(Stepped { loss, right, images: given[0].size()[0] as usize })
    }
}

/// Mean cross-entropy in fp32. PyTorch: `F.cross_entropy(logits, labels, label_smoothing=…)`.
pub(crate) fn cross_entropy(logits: &Tensor, labels: &Tensor, label_smoothing: f64) -> Tensor {
    logits.cross_entropy_loss(labels, None::<Tensor>, Reduction::Mean, -100, label_smoothing)
}

#[cfg(test)]
mod tests;
