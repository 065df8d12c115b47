//! The learner: a network and everything that a training step does with it.
//!
//! `train`, `compare`, `ablate` and `bench` all build a [`Learner`], so a step is what [`step`] says and nothing else, and
//! what `bench` times is what training does. A learner knows no data set, no run and no files.

mod context;
mod error;
mod exchange;
mod launch;
mod loss;
mod network;
mod output;
mod step;
mod votes;

use datasets::Batch;
use tch::{Device, Kind, Tensor};
use torch_ext::Upload;

use crate::network::graph_replay::{GraphReplay, warn_of_fall_back};
use crate::optim::optimizer::{Optimizer, Reach};
use crate::precision::Precision;
use crate::recipe::{LossPlan, StepOptions};

pub(crate) use self::context::StepContext;
pub(crate) use self::error::{Error, LOWER_RATE, NonFiniteLoss};
pub(crate) use self::exchange::{Exchange, exchange_among};
pub(crate) use self::launch::Launch;
pub(crate) use self::network::{Network, Phase, Stage};
pub(crate) use self::output::StepOutput;
pub(crate) use self::votes::Votes;

use self::exchange::{Alone, Share};
use self::loss::Loss;
use self::step::Step;

/// Tensors whose copies to a GPU may be under way at once: those of two batches.
const UPLOADS: usize = 6;

/// Recordings that are kept, each with the memory of a step: of plain batches, and of mixed ones where a recipe mixes some.
const RECORDINGS: usize = 2;

/// Trains a network, one step for each batch that a loader yields.
pub(crate) struct Learner<N> {
    // Before the step, whose tensors the recordings use: they are dropped first.
    replays: Vec<GraphReplay<2, 2>>,
    step: Step<N>,
    precision: Precision,
    launch: Launch,
    /// The learning rate where kernels can read it, on a GPU: in a recorded step a number would never change.
    learning_rate: Option<Tensor>,
    /// The way of batches to the device, from the first one on.
    upload: Option<Upload>,
}

impl<N: Network> Learner<N> {
    /// A learner of one rank that launches its kernels eagerly. It trains `network` where it is, and computes in
    /// `precision`.
    pub(crate) fn new(
        network: N,
        optimizer: Optimizer,
        options: StepOptions,
        precision: Precision,
    ) -> Self {
        let device = network.device();
        precision.prepare(device);
        let learning_rate = device.is_cuda().then(|| Tensor::zeros([], (Kind::Float, device)));
        let step = Step::new(network, optimizer, options, Box::new(Alone::default()));
        Self {
            replays: Vec::new(),
            step,
            precision,
            launch: Launch::Eager,
            learning_rate,
            upload: None,
        }
    }

    /// The same learner with the loss of `plan`.
    pub(crate) fn with_loss(mut self, plan: &LossPlan) -> Self {
        self.step.loss = Loss::planned(plan, self.step.label_smoothing(), self.device());
        self
    }

    /// The same learner, which exchanges gradients, statistics and votes as `exchange` says.
    pub(crate) fn with_exchange(mut self, exchange: Box<dyn Exchange>) -> Self {
        self.step.exchange = exchange;
        self
    }

    /// The same learner, whose kernels are launched as `launch` says. Random numbers that a network draws are other ones in
    /// each replay: libtorch's generator counts them.
    pub(crate) fn with_launch(self, launch: Launch) -> Self {
        Self { launch, ..self }
    }

    /// Trains the part of the network that `phase` says from now on.
    pub(crate) fn set_phase(&mut self, phase: Phase) {
        if self.step.phase != phase {
            // The recordings are of another step.
            self.replays.clear();
            self.step.phase = phase;
            self.step.optimizer.reach(match phase {
                Phase::Head => Reach::Head,
                Phase::FrozenStatistics | Phase::Everything => Reach::Everything,
            });
        }
    }

    /// The network as it is now.
    pub(crate) fn network(&self) -> &N {
        &self.step.network
    }

    /// The device of the network.
    pub(crate) fn device(&self) -> Device {
        self.step.network.device()
    }

    /// The precision that steps compute in.
    pub(crate) fn precision(&self) -> Precision {
        self.precision
    }

    /// The optimizer as it is now.
    pub(crate) fn optimizer(&self) -> &Optimizer {
        &self.step.optimizer
    }

    /// The optimizer, to be restored from a checkpoint.
    pub(crate) fn optimizer_mut(&mut self) -> &mut Optimizer {
        &mut self.step.optimizer
    }

    /// The exchange with the other ranks.
    pub(crate) fn exchange(&self) -> &dyn Exchange {
        &*self.step.exchange
    }

    /// Forgets the votes of the last step, where the run continues without a step: ranks vote with the steps that they take.
    pub(crate) fn forget_votes(&mut self) {
        self.step.exchange.forget_votes();
    }

    /// Takes the step of `context` over `batch`, of which each rank has a share, and casts this rank's `votes`. What all
    /// ranks decided is in [`Learner::exchange`] afterwards, also where the loss is not finite.
    ///
    /// On a GPU this does not wait for the device, and the next step may overwrite the output.
    ///
    /// # Errors
    /// On a CPU, a loss that is not finite: the weights are then as before, and running statistics have moved. A batch
    /// without a readable image.
    pub(crate) fn step(
        &mut self,
        batch: &Batch,
        context: StepContext,
        votes: Votes,
    ) -> Result<StepOutput, Error> {
        let share = Share { readable: batch.indices.len(), in_all: batch.in_all };
        let divisor = self.step.exchange.open(share, votes)?;
        if let Some(learning_rate) = &mut self.learning_rate {
            drop(learning_rate.f_fill_(context.learning_rate)?);
        }
        // Mixed batches are recorded, too: their labels have a shape of their own, so a recording of other batches does
        // not fit them, and the recorded kernels read the share that is filled in here.
        let labels = match &batch.mixed {
            Some(mixed) => {
                drop(self.step.own_share.f_fill_(mixed.weight)?);
                Tensor::stack(&[&batch.labels, &mixed.partner_labels], 0)
            }
            None => batch.labels.shallow_clone(),
        };
        let device = self.device();
        let upload = match &mut self.upload {
            Some(upload) => upload,
            None => self.upload.insert(Upload::new(device, UPLOADS)?),
        };
        let images = batch.images_by(|tensor| upload.to_device(tensor).map_err(Error::from))?;
        let labels = upload.to_device(&labels)?;
        if let Some(known) = self.replays.iter().position(|replay| replay.fits([&images, &labels]))
        {
            return self.replay(known, [&images, &labels], divisor, context);
        }
        let images = images.to_kind(self.precision.kind(device));
        let full = self.launch.records(batch.indices.len());
        if full && self.step.exchange.can_be_recorded() {
            if self.replays.len() == RECORDINGS {
                drop(self.replays.remove(0));
            }
            self.replays.push(GraphReplay::new([&images, &labels])?);
            return self.replay(self.replays.len() - 1, [&images, &labels], divisor, context);
        }
        self.step.take(&images, &labels, divisor, context, self.learning_rate.as_ref())
    }

    /// Takes a step by recording `number`: still eagerly at first, then recorded, then replayed. Where the recording fails and
    /// need not succeed, this step and all later ones are eager.
    fn replay(
        &mut self,
        number: usize,
        given: [&Tensor; 2],
        divisor: i64,
        context: StepContext,
    ) -> Result<StepOutput, Error> {
        let Self { replays, step, learning_rate, launch, precision, .. } = self;
        let recording = &mut replays[number];
        let attempt = recording.is_next_recorded();
        let taken = recording.run(given, |[images, labels]| {
            let output = step.take(images, labels, divisor, context, learning_rate.as_ref())?;
            Ok::<_, Error>([output.loss, output.correct])
        });
        match taken {
            Ok([loss, correct]) => {
                Ok(StepOutput { loss, correct, images: given[0].size()[0] as usize })
            }
            Err(problem) if attempt && launch.may_fall_back() => {
                warn_of_fall_back("training steps", &problem);
                replays.clear();
                *launch = Launch::Eager;
                let [images, labels] = given;
                let images = images.to_kind(precision.kind(images.device()));
                step.take(&images, labels, divisor, context, learning_rate.as_ref())
            }
            Err(problem) => Err(problem),
        }
    }
}

#[cfg(test)]
mod tests;
