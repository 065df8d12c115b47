//! `xception bench --layers`: where the time of a step goes, and how far each layer is from what the machine allows.
//!
//! A layer cannot be faster than its multiplications at the rate of a matrix product whose factors are near, nor than
//! its maps and weights take to come and go. Both rates are measured first, on this machine, in this process.

mod rates;
mod table;
mod watched;

use std::time::Instant;

use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};
use xception::summary::Summary;
use xception::{Inference, ModelSpec, Pass, Xception};

use self::rates::Rates;
pub(super) use self::table::Table;
use self::table::{OPTIMIZER, Work};
use self::watched::{LayerTime, Log, medians, sums};
use super::subject::network;
use crate::Error;
use crate::commands::bench::{BenchArgs, BenchMode};
use crate::optim::optimizer::{Optimizer, OptimizerConfig};
use crate::precision::Precision;
use crate::training::cross_entropy;

/// Passes ahead of the timed ones.
const WARM_UP: u32 = 2;

/// Times every layer of the network of `spec`, on the CPU, over images of `input` by `input` pixels.
pub(super) fn time(
    spec: &ModelSpec,
    arguments: &BenchArgs,
    precision: Precision,
    input: i64,
) -> Result<Table, Error> {
    let batch_size = arguments.batch_size;
    let rates = Rates::measured(precision.kind(Device::Cpu))?;
    let (store, model, images) = network(spec, Device::Cpu, precision, batch_size, input)?;
    let times = match arguments.mode {
        BenchMode::Infer => inference(spec, &model, &images, arguments.steps)?,
        BenchMode::Train => training(spec, &store, &model, &images, arguments.steps)?,
    };
    let summary = Summary::new(&spec.architecture()?, spec.classes, input)?;
    let work = Work {
        mode: arguments.mode,
        batch_size: batch_size as f64,
        element: if precision.kind(Device::Cpu) == Kind::BFloat16 { 2.0 } else { 4.0 },
    };
    Ok(Table::new(&summary, &times, work, rates))
}

/// What part of a forward pass over one image each layer of `summary` takes, in fp32 or bf16 as is faster; `None` for
/// those that are computed with the one ahead of them.
pub(in super::super) fn shares(
    spec: &ModelSpec,
    summary: &Summary,
) -> Result<Vec<Option<f64>>, Error> {
    let precision = Precision::Auto.resolved(Device::Cpu);
    let (_store, model, images) = network(spec, Device::Cpu, precision, 1, summary.input)?;
    let times = inference(spec, &model, &images, SHARES_OF)?;
    Ok(table::shares(summary, &times))
}

/// Passes whose median is the time of a layer.
const SHARES_OF: u32 = 9;

fn inference(
    spec: &ModelSpec,
    model: &Xception,
    images: &Tensor,
    steps: u32,
) -> Result<Vec<LayerTime>, Error> {
    let Some(packed) = Inference::new(model, images.kind()) else {
        let message = format!(
            "preset '{}' is not packed for inference, so its layers cannot be told apart; leave --layers out",
            spec.preset
        );
        return Err(Error::Usage(message));
    };
    let log = Log::default();
    let part = |images: &Tensor| {
        let started = Instant::now();
        drop(packed.logits_watched(images, &log.watcher()));
        log.times(started, Instant::now())
    };
    let pass = || Ok(sums(packed.parts(images).iter().map(part)));
    repeated(steps, pass)
}

fn training(
    spec: &ModelSpec,
    store: &VarStore,
    model: &Xception,
    images: &Tensor,
    steps: u32,
) -> Result<Vec<LayerTime>, Error> {
    let mut optimizer = Optimizer::new(store, OptimizerConfig::adam());
    let labels = Tensor::f_randint(spec.classes, [images.size()[0]], (Kind::Int64, Device::Cpu))?;
    let log = Log::default();
    let head = spec.architecture()?.names.head();
    let pass = || {
        let started = Instant::now();
        let features = model.features_watched(images, true, &log.watcher());
        let loss = cross_entropy(&model.logits(&features), &labels, 0.0);
        // The head and the loss have no map to be watched on.
        log.note(head, Pass::Forward);
        log.note(head, Pass::Backward);
        let gradients = optimizer.gradients(&loss)?;
        let went_back = Instant::now();
        optimizer.step(&gradients, 1e-3)?;
        let stepped = went_back.elapsed().as_secs_f64();
        let mut times = log.times(started, went_back);
        times.push(LayerTime { name: OPTIMIZER.into(), forward: stepped, backward: None });
        Ok(times)
    };
    repeated(steps, pass)
}

/// Medians of `steps` passes, warmed up.
fn repeated(
    steps: u32,
    mut pass: impl FnMut() -> Result<Vec<LayerTime>, Error>,
) -> Result<Vec<LayerTime>, Error> {
    for _ in 0..WARM_UP {
        pass()?;
    }
    let passes: Vec<_> = (0..steps).map(|_| pass()).collect::<Result<_, _>>()?;
    Ok(medians(&passes))
}
