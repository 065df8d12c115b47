//! What a benchmark times: a network and a batch of noise, and the one step of each mode.

use tch::{Device, Kind, Tensor, nn::ModuleT, nn::VarStore};
use xception::{ModelSpec, Xception};

use crate::Error;
use crate::commands::bench::BenchMode;
use crate::network::forward::{Forward, Views};
use crate::optim::optimizer::{Optimizer, OptimizerConfig};
use crate::precision::Precision;
use crate::training::cross_entropy;

/// A batch of noise and what is done with it.
pub(super) struct Subject {
    images: Tensor,
    work: Work,
}

enum Work {
    Train { model: Xception, optimizer: Optimizer, labels: Tensor },
    Infer { forward: Forward<Xception> },
}

impl Subject {
    /// Builds the network of `spec`, and `batch_size` images of `input` by `input` pixels.
    pub(super) fn new(
        spec: &ModelSpec,
        mode: BenchMode,
        device: Device,
        precision: Precision,
        batch_size: i64,
        input: i64,
    ) -> Result<Self, Error> {
        let (store, model, images) = network(spec, device, precision, batch_size, input)?;
        let work = match mode {
            BenchMode::Train => Work::Train {
                model,
                optimizer: Optimizer::new(&store, OptimizerConfig::adam()),
                labels: Tensor::f_randint(spec.classes, [batch_size], (Kind::Int64, device))?,
            },
            BenchMode::Infer => {
                Work::Infer { forward: Forward::new(model, precision, batch_size as usize) }
            }
        };
        Ok(Self { images, work })
    }

    /// One step, over when the device is done with it.
    pub(super) fn step(&mut self) -> Result<(), Error> {
        match &mut self.work {
            Work::Train { model, optimizer, labels } => {
                let logits = model.forward_t(&self.images, true);
                let gradients = optimizer.gradients(&cross_entropy(&logits, labels, 0.0))?;
                optimizer.step(&gradients, 1e-3)?;
            }
            Work::Infer { forward } => drop(forward.logits(&self.images, Views::One)?),
        }
        if self.images.device().is_cuda() {
            tch::Cuda::synchronize(0);
        }
        Ok(())
    }
}

/// The network of `spec`, and a batch of noise for it.
pub(super) fn network(
    spec: &ModelSpec,
    device: Device,
    precision: Precision,
    batch_size: i64,
    input: i64,
) -> Result<(VarStore, Xception, Tensor), Error> {
    let store = VarStore::new(device);
    let model = Xception::new(&store.root(), &spec.architecture()?, spec.classes)?;
    let images = Tensor::f_randn([batch_size, 3, input, input], (Kind::Float, device))?;
    let images = torch_ext::channels_last(&images)?.to_kind(precision.kind(device));
    Ok((store, model, images))
}
