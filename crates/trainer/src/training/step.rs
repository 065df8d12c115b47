//! What a training step is: forward, backward, downhill.

mod stepper;
mod together;
mod votes;

use tch::{Kind, Reduction, Tensor};
use torch_ext::{LearningRate, SumOverProcesses};
use xception::Xception;

use crate::Error;
use crate::optim::optimizer::Optimizer;
use crate::ranks::{Buckets, World};
use crate::recipe::{Clipping, StepOptions};

pub(super) use self::stepper::{Launch, Stepper};
pub(super) use self::votes::Wishes;

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
    /// Images of the batch that were recognised ahead of the update, int64 scalar.
    pub(super) right: Tensor,
    /// Images of the batch.
    pub(super) images: usize,
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

    /// The step: forward, backward, update, on images and labels that are where the network is. Nothing else in this
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

    /// Images that a batch of `size` is passed in at a time.
    fn micro_batch(&self, size: i64) -> i64 {
        (size as u64).div_ceil(self.options.accumulation as u64) as i64
    }

    /// Forward and backward over the micro-batch of `micro` images that begins at `start`, or of those that are left:
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

    /// Forward over the micro-batch of `micro` images that begins at `start`, or of those that are left: its part in the
    /// loss of a batch of `whole` images, to go back from and to look at.
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

/// Mean cross-entropy in fp32. PyTorch: `F.cross_entropy(logits, labels, label_smoothing=…)`.
pub(crate) fn cross_entropy(logits: &Tensor, labels: &Tensor, label_smoothing: f64) -> Tensor {
    logits.cross_entropy_loss(labels, None::<Tensor>, Reduction::Mean, -100, label_smoothing)
}

#[cfg(test)]
mod tests;
