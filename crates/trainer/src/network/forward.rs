//! The logits of a trained network, the fastest way for its device: packed weights on a CPU, a CUDA graph on a GPU.

use std::borrow::Borrow;

use tch::{Device, Tensor, nn::ModuleT};
use xception::{Inference, Xception};

use crate::network::Error;
use crate::network::graph_replay::{GraphReplay, warn_of_fall_back};
use crate::precision::Precision;

/// Test-time augmentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Views {
    /// The logits of the image.
    One,
    /// The logits of the image and of its mirror image, averaged.
    Mirrored,
}

/// A network's logits for batch after batch.
pub(crate) struct Forward<M> {
    network: Network<M>,
    device: Device,
    precision: Precision,
    replay: Option<GraphReplay<1, 1>>,
    /// Images in the batches that are recorded, if any are.
    recorded: Option<usize>,
}

enum Network<M> {
    /// The weights, copied and packed.
    Packed(Box<Inference>),
    /// The model itself, for what cannot be packed.
    Model(M),
}

impl<M: Borrow<Xception>> Forward<M> {
    /// Forward passes of `model` in `precision`, most of them over `full_batch` images.
    pub(crate) fn new(model: M, precision: Precision, full_batch: usize) -> Self {
        let device = model.borrow().device();
        precision.prepare(device);
        let network = match Inference::new(model.borrow(), precision.kind(device)) {
            Ok(inference) => Network::Packed(Box::new(inference)),
            Err(_) => Network::Model(model),
        };
        Self {
            network,
            device,
            precision,
            replay: None,
            recorded: torch_ext::cuda_graphs_supported().then_some(full_batch),
        }
    }

    /// The logits of normalised images `[N, 3, H, W]`, fp32 `[N, classes]`, on the CPU.
    pub(crate) fn logits(&mut self, images: &Tensor, views: Views) -> Result<Tensor, Error> {
        let images = images.to_device(self.device).to_kind(self.precision.kind(self.device));
        tch::no_grad(|| match views {
            Views::One => self.seen(&images),
            Views::Mirrored => Ok((self.seen(&images)? + self.seen(&images.flip([3]))?) / 2.0),
        })
    }

    fn seen(&mut self, images: &Tensor) -> Result<Tensor, Error> {
        let model = match &self.network {
            Network::Packed(inference) => return Ok(inference.logits(images)),
            Network::Model(model) => model.borrow(),
        };
        let forward = |images: &Tensor| model.forward_t(images, false);
        let full = self.recorded.is_some_and(|full| images.size()[0] == full as i64);
        if full && self.replay.as_ref().is_none_or(|replay| !replay.fits([images])) {
            self.replay = Some(GraphReplay::new([images])?);
        }
        let logits = match self.replay.as_mut().filter(|_| full) {
            Some(replay) => {
                let recording = replay.is_next_recorded();
                match replay.run([images], |[images]| Ok::<_, Error>([forward(images)])) {
                    Ok([logits]) => logits,
                    Err(problem) if recording => {
                        warn_of_fall_back("forward passes", &problem);
                        (self.replay, self.recorded) = (None, None);
                        forward(images)
                    }
                    Err(problem) => return Err(problem),
                }
            }
            None => forward(images),
        };
        Ok(logits.to_device(Device::Cpu))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Kind;
    use tch::nn::VarStore;
    use xception::{ModelSpec, Preset};

    #[test]
    fn passes_that_cannot_be_recorded_are_eager() {
        let store = VarStore::new(Device::Cpu);
        let spec = ModelSpec::new(Preset::PlainShared);
        let architecture = spec.architecture().unwrap();
        let model = Xception::new(store.root(), &architecture, spec.classes).unwrap();
        let images = Tensor::rand([2, 3, 32, 32], (Kind::Float, Device::Cpu));
        let mut forward = Forward {
            network: Network::Model(&model),
            device: Device::Cpu,
            precision: Precision::Fp32,
            replay: Some(GraphReplay::refusing([&images])),
            recorded: Some(2),
        };
        let expected = model.logits(&images);
        for pass in 0..6 {
            assert!(forward.logits(&images, Views::One).unwrap().equal(&expected), "{pass}");
            assert_eq!(forward.replay.is_some(), pass < 3);
        }
    }

    /// Six batches, so that three are replayed, and a smaller one, with random weights.
    #[test]
    #[ignore = "needs a CUDA device and the feature `cuda`"]
    fn a_captured_forward_is_the_eager_one() {
        tch::manual_seed(0);
        let device = Device::Cuda(0);
        let store = VarStore::new(device);
        let spec = ModelSpec::new(Preset::NotebookCifar10);
        let table = spec.architecture().unwrap();
        let model = Xception::new(store.root(), &table, spec.classes).unwrap();
        for (precision, views) in
            [(Precision::Fp32, Views::One), (Precision::Bf16, Views::Mirrored)]
        {
            let mut captured = Forward::new(&model, precision, 8);
            assert!(captured.recorded.is_some(), "built without the feature `cuda`");
            let mut eager = Forward { recorded: None, ..Forward::new(&model, precision, 8) };
            for batch_size in [8, 8, 8, 8, 8, 8, 3] {
                let images = Tensor::randn([batch_size, 3, 32, 32], (Kind::Float, Device::Cpu));
                let images = torch_ext::channels_last(&images).unwrap();
                let expected = eager.logits(&images, views).unwrap();
                let got = captured.logits(&images, views).unwrap();
                assert!(got.equal(&expected), "{precision:?} {batch_size} {got} {expected}");
            }
        }
    }
}
