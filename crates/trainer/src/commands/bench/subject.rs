//! The work that a benchmark times: the step of each mode, over a batch of noise.

use std::time::Instant;

use datasets::Batch;
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};
use xception::{ModelSpec, Xception};

use crate::commands::Error;
use crate::commands::bench::BenchMode;
use crate::learner::{Launch, Learner, Network, StepContext, Votes};
use crate::network::forward::{Forward, Views};
use crate::optim::optimizer::{Optimizer, OptimizerConfig};
use crate::precision::Precision;
use crate::recipe::{LaunchRecipe, StepOptions};

/// The options of a benchmark's training step: none.
const OPTIONS: StepOptions = StepOptions { label_smoothing: 0.0, clipping: None, accumulation: 1 };

/// A step of one mode.
pub(super) struct Subject {
    device: Device,
    work: Work,
}

enum Work {
    /// A training step, as `xception train` takes it with [`OPTIONS`] and Adam.
    Train(Box<Training<Xception>>),
    /// A forward pass, as evaluation and prediction do it. The images are where the network is.
    Infer { forward: Box<Forward<Xception>>, images: Tensor },
}

impl Subject {
    /// The network of `spec`, and `batch_size` images of `input` by `input` pixels.
    pub(super) fn new(
        spec: &ModelSpec,
        mode: BenchMode,
        (device, precision, launch): (Device, Precision, LaunchRecipe),
        batch_size: i64,
        input: i64,
    ) -> Result<Self, Error> {
        let (store, network) = network(spec, device)?;
        let images = noise(batch_size, input)?;
        let work = match mode {
            BenchMode::Train => {
                let classes = spec.classes;
                let training = Training::new(&store, network, classes, images, precision, launch)?;
                Work::Train(Box::new(training))
            }
            BenchMode::Infer => Work::Infer {
                forward: Box::new(Forward::new(network, precision, batch_size as usize)),
                images: images.to_device(device).to_kind(precision.kind(device)),
            },
        };
        Ok(Self { device, work })
    }

    /// Takes `steps` steps, waits until the device has done them, and returns the seconds of it all.
    ///
    /// A GPU's steps are not waited for one by one, and training does not, either.
    pub(super) fn timed(&mut self, steps: u32) -> Result<f64, Error> {
        let started = Instant::now();
        for _ in 0..steps {
            match &mut self.work {
                Work::Train(training) => training.step()?,
                Work::Infer { forward, images } => drop(forward.logits(images, Views::One)?),
            }
        }
        if self.device.is_cuda() {
            tch::Cuda::synchronize(0);
        }
        Ok(started.elapsed().as_secs_f64())
    }
}

/// A learner and the batch that it trains on, step after step.
pub(super) struct Training<N> {
    learner: Learner<N>,
    batch: Batch,
    steps: u64,
}

impl<N: Network> Training<N> {
    /// Trains `network`, whose variables are in `store`, on `images` as a loader yields them, with labels of `classes`
    /// classes.
    pub(super) fn new(
        store: &VarStore,
        network: N,
        classes: i64,
        images: Tensor,
        precision: Precision,
        launch: LaunchRecipe,
    ) -> Result<Self, Error> {
        let size = images.size()[0];
        let batch = Batch {
            images,
            rest: None,
            labels: Tensor::f_randint(classes, [size], (Kind::Int64, Device::Cpu))?,
            mixed: None,
            indices: (0..size as u32).collect(),
            in_all: size as usize,
            left_out: Vec::new(),
        };
        let optimizer = Optimizer::new(store, OptimizerConfig::adam());
        let learner = Learner::new(network, optimizer, OPTIONS, precision)
            .with_launch(Launch::new(launch, size as usize));
        Ok(Self { learner, batch, steps: 0 })
    }

    /// Takes one step.
    pub(super) fn step(&mut self) -> Result<(), Error> {
        self.steps += 1;
        let context = StepContext { epoch: 1, step: self.steps, learning_rate: 1e-3 };
        self.learner.step(&self.batch, context, Votes::default())?;
        Ok(())
    }
}

/// The network of `spec` on `device`, and its variables.
pub(super) fn network(spec: &ModelSpec, device: Device) -> Result<(VarStore, Xception), Error> {
    let store = VarStore::new(device);
    let network = Xception::new(store.root(), &spec.architecture()?, spec.classes)?;
    Ok((store, network))
}

/// Images of noise as a loader yields them: `[N, 3, H, W]`, fp32, channels-last, on the CPU.
pub(super) fn noise(batch_size: i64, input: i64) -> Result<Tensor, Error> {
    let images = Tensor::f_randn([batch_size, 3, input, input], (Kind::Float, Device::Cpu))?;
    Ok(torch_ext::channels_last(&images)?)
}
