//! What a benchmark times: a network, its optimizer and a batch of noise, and the one step of each mode.

use tch::{Device, Kind, Tensor, nn::ModuleT, nn::VarStore};
use xception::{ModelSpec, Xception};

use crate::Error;
use crate::cli::BenchMode;
use crate::optimizer::{Decays, Optimizer, OptimizerConfig};
use crate::precision::Precision;
use crate::training::cross_entropy;

/// A network and a batch of noise.
pub(super) struct Subject {
    model: Xception,
    optimizer: Optimizer,
    images: Tensor,
    labels: Tensor,
}

impl Subject {
    /// Builds the network of `spec`, and `batch_size` pictures of `input` by `input` pixels.
    pub(super) fn new(
        spec: &ModelSpec,
        device: Device,
        precision: Precision,
        batch_size: i64,
        input: i64,
    ) -> Result<Self, Error> {
        let store = VarStore::new(device);
        let model = Xception::new(&store.root(), &spec.architecture()?, spec.classes)?;
        let adam = OptimizerConfig::Adam {
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.0,
            decays: Decays::All,
        };
        let images = Tensor::f_randn([batch_size, 3, input, input], (Kind::Float, device))?;
        Ok(Self {
            model,
            optimizer: Optimizer::new(&store, adam),
            images: torch_ext::channels_last(&images)?.to_kind(precision.kind(device)),
            labels: Tensor::f_randint(spec.classes, [batch_size], (Kind::Int64, device))?,
        })
    }

    /// One step, over when the device is done with it.
    pub(super) fn step(&mut self, mode: BenchMode) -> Result<(), Error> {
        match mode {
            BenchMode::Train => self.train()?,
            BenchMode::Infer => self.infer(),
        }
        if self.images.device().is_cuda() {
            tch::Cuda::synchronize(0);
        }
        Ok(())
    }

    fn train(&mut self) -> Result<(), Error> {
        let logits = self.model.forward_t(&self.images, true);
        let gradients = self.optimizer.gradients(&cross_entropy(&logits, &self.labels, 0.0))?;
        self.optimizer.step(&gradients, 1e-3)
    }

    fn infer(&self) {
        drop(tch::no_grad(|| self.model.forward_t(&self.images, false)));
    }
}
