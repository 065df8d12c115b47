//! A training step: forward, backward, update. Nothing else in this program defines one.
//!
//! In order: logits and loss, gradients micro-batch by micro-batch, their sum over
//! all ranks, the check that the loss is finite, clipping, and the optimizer.

use tch::{Kind, Tensor};
use torch_ext::LearningRate;

use super::exchange::{Backward, Exchange, add_gradients};
use super::loss::Loss;
use super::{Network, Phase, Stage, StepContext, StepOutput};
use crate::learner::Error;
use crate::optim::optimizer::Optimizer;
use crate::recipe::{Clipping, StepOptions};

/// The state that a step reads and changes.
pub(super) struct Step<N> {
    pub(super) network: N,
    pub(super) optimizer: Optimizer,
    pub(super) exchange: Box<dyn Exchange>,
    options: StepOptions,
    pub(super) loss: Loss,
    pub(super) phase: Phase,
    /// The share of a mixed batch's own labels, fp32 scalar. A tensor, so that a recorded step reads the share of its batch.
    pub(super) own_share: Tensor,
}

impl<N: Network> Step<N> {
    pub(super) fn new(
        network: N,
        optimizer: Optimizer,
        options: StepOptions,
        exchange: Box<dyn Exchange>,
    ) -> Self {
        let own_share = Tensor::ones([], (Kind::Float, network.device()));
        let (phase, loss) = (Phase::Everything, Loss::new(options.label_smoothing));
        Self { network, optimizer, exchange, options, loss, phase, own_share }
    }

    /// Label smoothing, as the recipe has it.
    pub(super) fn label_smoothing(&self) -> f64 {
        self.options.label_smoothing
    }

    /// Takes the step, on images `[n, 3, H, W]` and labels that are on the network's device.
    ///
    /// `labels` are as [`Loss::of`] takes them, those of partners in the rest of [`Step::own_share`]. Losses
    /// are divided by `divisor`, which [`Exchange::open`] returned. On a GPU, `learning_rate` holds that of `context`, and
    /// nothing here waits for the device.
    ///
    /// # Errors
    /// On a CPU, a loss that is not finite, before the update.
    pub(super) fn take(
        &mut self,
        images: &Tensor,
        labels: &Tensor,
        divisor: i64,
        context: StepContext,
        learning_rate: Option<&Tensor>,
    ) -> Result<StepOutput, Error> {
        let (mut output, gradients) = self.gradients(images, labels, divisor)?;
        self.exchange.close(&mut output, &gradients)?;
        self.network.finished(Stage::Backward);
        if !output.loss.device().is_cuda() {
            context.check_finite(output.loss.f_double_value(&[])?)?;
        }
        if let Some(Clipping { max_norm }) = self.options.clipping {
            drop(torch_ext::clip_gradients(&gradients, max_norm)?);
        }
        let learning_rate = match learning_rate {
            Some(tensor) => LearningRate::Tensor(tensor),
            None => LearningRate::Number(context.learning_rate),
        };
        self.optimizer.step(&gradients, learning_rate)?;
        Ok(output)
    }

    /// Forward and backward over this rank's share, micro-batch by micro-batch. Returns the figures and gradients of the
    /// whole batch.
    pub(super) fn gradients(
        &mut self,
        images: &Tensor,
        labels: &Tensor,
        divisor: i64,
    ) -> Result<(StepOutput, Vec<Tensor>), Error> {
        let size = images.size()[0];
        // A share without images has no micro-batch, and takes part in the exchange all the same.
        let micro_batch = (size as u64).div_ceil(self.options.accumulation as u64).max(1);
        let mut accumulated: Vec<Tensor> = Vec::new();
        let mut last = None;
        let mut total: Option<StepOutput> = None;
        for start in (0..size).step_by(micro_batch as usize) {
            if let Some(loss) = last.take() {
                add_gradients(&mut accumulated, self.optimizer.gradients(&loss)?)?;
            }
            let count = (micro_batch as i64).min(size - start);
            let (images, labels) =
                (images.narrow(0, start, count), self.loss.narrow(labels, start, count));
            let (loss, output) = self.forward(&images, &labels, divisor)?;
            self.network.finished(Stage::Forward);
            match &mut total {
                Some(total) => total.add(&output)?,
                None => total = Some(output),
            }
            last = Some(loss);
        }
        self.exchange.backward(Backward {
            loss: last,
            accumulated,
            output: total,
            parameters: &self.optimizer.parameters(),
        })
    }

    /// Forward over a micro-batch: its part in the mean loss over `divisor` images, to compute gradients from and to read.
    fn forward(
        &self,
        images: &Tensor,
        labels: &Tensor,
        divisor: i64,
    ) -> Result<(Tensor, StepOutput), Error> {
        let network = &self.network;
        let features = match self.phase {
            Phase::Head => tch::no_grad(|| network.features(images, false)),
            Phase::FrozenStatistics => {
                self.with_casts(images, || network.features(images, false))?
            }
            Phase::Everything => self.with_casts(images, || match self.exchange.statistics() {
                Some(statistics) => statistics.during(|| network.features(images, true)),
                None => network.features(images, true),
            })?,
        };
        let logits = network.logits(&features);
        let mut loss = self.loss.of(&logits, labels, &self.own_share);
        let count = images.size()[0];
        if count < divisor {
            loss *= count as f64 / divisor as f64;
        }
        let correct = self.loss.correct(&logits.detach(), labels);
        let output = StepOutput { loss: loss.detach(), correct, images: count as usize };
        Ok((loss, output))
    }

    /// Does `work`, in which the kernels of all convolutions are cast to the kind of `images` already where that saves
    /// launches: on a GPU, unless gradients are exchanged during the backward pass.
    fn with_casts<T>(&self, images: &Tensor, work: impl FnOnce() -> T) -> Result<T, Error> {
        let kind = images.kind();
        if kind == Kind::Float || !images.device().is_cuda() || self.exchange.overlaps() {
            return Ok(work());
        }
        let mut kernels = self.optimizer.parameters();
        kernels.retain(|parameter| parameter.dim() == 4);
        Ok(torch_ext::with_casts(&kernels, kind, work)?)
    }
}
