//! The networks that a learner can train.

use tch::{Device, Tensor};
use xception::Xception;

/// A network that a [`Learner`](super::Learner) trains: features, and the head that turns them into logits.
///
/// A network that cannot be split is all head: its features are the images.
pub(crate) trait Network {
    /// The features of images `[N, 3, H, W]`; `train` as for [`tch::nn::ModuleT`].
    fn features(&self, images: &Tensor, train: bool) -> Tensor;

    /// The logits `[N, classes]` of features, as in training.
    fn logits(&self, features: &Tensor) -> Tensor;

    /// The device of the weights.
    fn device(&self) -> Device;

    /// Is called when a step has finished `stage`. It does nothing, unless the step is being timed.
    fn finished(&self, _stage: Stage) {}
}

/// The stages of a step before the update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The loss of a micro-batch is computed.
    Forward,
    /// The gradients of a batch are computed.
    Backward,
}

/// The part of a network that is trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The head alone, on features that have no gradient.
    Head,
    /// All parameters; batch norms keep their running statistics and normalise by them.
    FrozenStatistics,
    /// All parameters; batch norms normalise by the batch and move their running statistics.
    Everything,
}

impl Network for Xception {
    fn features(&self, images: &Tensor, train: bool) -> Tensor {
        self.features_t(images, train)
    }

    fn logits(&self, features: &Tensor) -> Tensor {
        self.head_t(features, true)
    }

    fn device(&self) -> Device {
        Xception::device(self)
    }
}
