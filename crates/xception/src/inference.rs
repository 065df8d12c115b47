//! A network for inference on a CPU: every layer one packed kernel, no gradients, nothing pending.
//!
//! It is made once from trained weights, which it copies. It computes what the network computes in evaluation mode, on
//! fp32 or bf16 images, with the normalisations folded into the weights.

mod fusion;
mod kernel;
mod plan;

use sepconv::PackError;
use tch::{Device, Kind, Tensor, nn};
use torch_ext::Factors;

use crate::graph::Graph;
use crate::hook::Hook;
use crate::images::Images;
use crate::model::Xception;

use kernel::Step;

/// An [`Xception`] for evaluation on a CPU, without gradients.
///
/// It holds numbers and no tensors, so threads can share one in an [`Arc`](std::sync::Arc).
#[derive(Debug)]
pub struct Inference {
    steps: Vec<Step>,
    images: Images,
    classes: i64,
    kind: Kind,
}

/// A network that the packed kernels cannot compute. The [`Xception`] itself can.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Unsupported {
    /// Weights on another device than a CPU.
    #[error("weights are packed for a CPU, and these are on {0:?}; use the network itself")]
    Device(Device),
    /// Images of another kind than fp32 and bf16.
    #[error(
        "weights are packed for images in Float or BFloat16, not in {0:?}; use the network itself"
    )]
    Kind(Kind),
    /// A layer without a packed kernel.
    #[error("{layer} is not packed, so use the network itself: {reason}")]
    Layer {
        /// The layer's name in the checkpoint.
        layer: String,
        /// The reason. Not a source of this error, whose message has all of it.
        reason: PackError,
    },
}

/// Bytes of a layer's input and output that stay in the third-level cache of a server, which others use too.
const MAPS: i64 = 16 << 20;

impl Inference {
    /// Packs the weights of `model` for images of `kind`.
    ///
    /// # Errors
    /// [`Unsupported`]: another device than a CPU, another kind than fp32 and bf16, or a layer without a packed kernel,
    /// such as an ELU.
    pub fn new(model: &Xception, kind: Kind) -> Result<Self, Unsupported> {
        if model.device() != Device::Cpu {
            return Err(Unsupported::Device(model.device()));
        }
        let factors = Factors::suited_to(kind).ok_or(Unsupported::Kind(kind))?;
        let steps = plan::steps(&Graph::of(model), factors)?;
        Ok(Self { steps, images: model.images(), classes: model.classes(), kind })
    }

    /// Images `[N, c_in, H, W]` of the kind that the weights were packed for to logits `[N, classes]`, fp32. An empty
    /// batch gives `[0, classes]`.
    ///
    /// # Panics
    /// Images of another kind, that have other channels, are too small, or are not on a CPU; the message says what was
    /// expected.
    pub fn logits(&self, images: &Tensor) -> Tensor {
        let parts = self.parts(images);
        let hook = Hook::default();
        let logits: Vec<Tensor> =
            parts.iter().map(|part| self.logits_with_hook(part, &hook)).collect();
        Tensor::cat(&logits, 0)
    }

    /// `images` in parts small enough for a layer to find in the cache what the one before it wrote.
    ///
    /// # Panics
    /// As [`Self::logits`].
    #[must_use]
    pub fn parts(&self, images: &Tensor) -> Vec<Tensor> {
        self.check(images);
        let size = images.size();
        let numbers = kernel::largest_maps(&self.steps, [1, size[1], size[2], size[3]]);
        let most = (MAPS / (numbers * self.kind.elt_size_in_bytes() as i64)).max(1);
        // Parts of one size, as far as that goes.
        let (count, most) = (size[0] as u64, most as u64);
        let parts = count.div_ceil(most).max(1);
        images.split(count.div_ceil(parts).max(1) as i64, 0)
    }

    /// As [`Self::logits`], with all images at once; calls `hook` for every layer.
    ///
    /// # Panics
    /// As [`Self::logits`].
    pub fn logits_with_hook(&self, images: &Tensor, hook: &Hook) -> Tensor {
        self.check(images);
        if images.size()[0] == 0 {
            return Tensor::zeros([0, self.classes], (Kind::Float, Device::Cpu));
        }
        tch::no_grad(|| kernel::run(&self.steps, images, hook).flatten(1, 3))
    }

    #[track_caller]
    fn check(&self, images: &Tensor) {
        self.images.check(images, Device::Cpu);
        assert!(
            images.kind() == self.kind,
            "expected {:?} images, as the weights were packed for, got {:?}",
            self.kind,
            images.kind()
        );
    }
}

impl nn::Module for Inference {
    /// As [`Inference::logits`].
    fn forward(&self, xs: &Tensor) -> Tensor {
        self.logits(xs)
    }
}

#[cfg(test)]
mod tests;
