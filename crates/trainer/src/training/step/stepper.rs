//! The two ways to have a step: kernel by kernel, or recorded once and replayed on a GPU.

use datasets::Batch;
use tch::Tensor;

use super::votes::{Wishes, nothing_to_read};
use super::{Learner, Moment, Phase, Stepped};
use crate::Error;
use crate::network::captured::Captured;
use crate::optim::optimizer::{Optimizer, Reach};
use crate::precision::Precision;
use xception::Xception;

/// Whether steps are recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::training) enum Launch {
    /// Every kernel of every step is launched by the CPU.
    KernelByKernel,
    /// Steps over full batches of this size are recorded as a CUDA graph and replayed; smaller ones are not.
    Graph {
        /// Images in a full batch.
        batch_size: usize,
    },
}

impl Launch {
    /// A graph where the machine and this build have them.
    pub(in crate::training) fn best(batch_size: usize) -> Self {
        match torch_ext::cuda_graphs_supported() {
            true => Launch::Graph { batch_size },
            false => Launch::KernelByKernel,
        }
    }
}

/// Takes steps over batches as the loader yields them.
pub(in crate::training) struct Stepper {
    // Ahead of the learner, whose tensors the recording uses.
    pub(super) captured: Option<Captured<2, 2>>,
    pub(super) learner: Learner,
    precision: Precision,
    launch: Launch,
    wishes: Wishes,
}

impl Stepper {
    /// Steps of `learner` in `precision`.
    pub(in crate::training) fn new(learner: Learner, precision: Precision, launch: Launch) -> Self {
        Self { captured: None, learner, precision, launch, wishes: Wishes::default() }
    }

    /// From now on trains what `phase` says.
    pub(in crate::training) fn train(&mut self, phase: Phase) {
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
    pub(in crate::training) fn model(&self) -> &Xception {
        &self.learner.model
    }

    /// What moves the network.
    pub(in crate::training) fn optimizer(&self) -> &Optimizer {
        &self.learner.optimizer
    }

    /// The same, to be put back to where it was.
    pub(in crate::training) fn optimizer_mut(&mut self) -> &mut Optimizer {
        &mut self.learner.optimizer
    }

    /// Takes note of what this rank wishes to do behind the next step, which tells the others.
    pub(in crate::training) fn wish(&mut self, wishes: Wishes) {
        self.wishes = wishes;
    }

    /// What any rank wished ahead of the last step. All ranks agree on it.
    pub(in crate::training) fn wishes(&self) -> Wishes {
        self.wishes
    }

    /// One step over `batch`.
    pub(in crate::training) fn step(
        &mut self,
        batch: &Batch,
        moment: Moment,
    ) -> Result<Stepped, Error> {
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
            let wishes = &mut self.wishes;
            return self.learner.update_together(&images, &labels, batch.in_all, wishes, moment);
        }
        if batch.indices.is_empty() {
            return Err(nothing_to_read());
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
