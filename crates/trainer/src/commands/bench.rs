//! `xception bench`: times a training step or a forward pass.

use std::time::Instant;

use serde_json::json;
use tch::{Device, Kind, Tensor, nn::ModuleT, nn::VarStore};
use xception::summary::Summary;
use xception::{ModelSpec, Preset, Xception};

use super::print;
use crate::Error;
use crate::cli::{BenchArgs, BenchMode};
use crate::optimizer::{Decays, Optimizer, OptimizerConfig};
use crate::precision::Precision;
use crate::training::cross_entropy;

/// Steps ahead of the timed ones.
const WARM_UP: u32 = 2;

pub(super) fn run(arguments: &BenchArgs) -> Result<(), Error> {
    let preset: Preset = arguments.preset.parse()?;
    let spec = ModelSpec::new(preset);
    let input = arguments.input.unwrap_or(preset.input());
    Summary::new(&spec.architecture()?, spec.classes, input)?;
    let device = Device::cuda_if_available();
    let precision = arguments.precision.resolved(device);
    tch::manual_seed(0);
    let mut subject = Subject::new(&spec, device, precision, arguments.batch_size, input)?;
    let mut seconds = Vec::new();
    for step in 0..WARM_UP + arguments.steps {
        let started = Instant::now();
        match arguments.mode {
            BenchMode::Train => subject.train()?,
            BenchMode::Infer => subject.infer(),
        }
        if device.is_cuda() {
            tch::Cuda::synchronize(0);
        }
        if step >= WARM_UP {
            seconds.push(started.elapsed().as_secs_f64());
        }
    }
    seconds.sort_by(f64::total_cmp);
    let median = seconds[seconds.len() / 2];
    let mode = match arguments.mode {
        BenchMode::Train => "train",
        BenchMode::Infer => "infer",
    };
    let images_per_second = arguments.batch_size as f64 / median;
    if arguments.json {
        let document = json!({
            "preset": preset.to_string(), "mode": mode, "batch_size": arguments.batch_size, "input": input,
            "precision": precision.name(), "layout": "channels_last", "threads": tch::get_num_threads(),
            "img_per_s": images_per_second, "ms_per_step": median * 1e3,
        });
        return print(&format!("{document:#}"));
    }
    print(&format!(
        "{preset} {mode}, {} × {input}×{input}, {}, {} threads: {images_per_second:.1} img/s, {:.1} ms a step \
         (median of {}, {:.1} to {:.1} ms)",
        arguments.batch_size,
        precision.name(),
        tch::get_num_threads(),
        median * 1e3,
        seconds.len(),
        seconds[0] * 1e3,
        seconds[seconds.len() - 1] * 1e3,
    ))
}

/// A network and a batch of noise.
struct Subject {
    model: Xception,
    optimizer: Optimizer,
    images: Tensor,
    labels: Tensor,
}

impl Subject {
    fn new(
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

    fn train(&mut self) -> Result<(), Error> {
        let logits = self.model.forward_t(&self.images, true);
        let gradients = self.optimizer.gradients(&cross_entropy(&logits, &self.labels, 0.0))?;
        self.optimizer.step(&gradients, 1e-3)
    }

    fn infer(&self) {
        drop(tch::no_grad(|| self.model.forward_t(&self.images, false)));
    }
}
