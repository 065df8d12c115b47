//! `xception bench --layers`: the time of every layer in a step, beside the limit that the machine sets.
//!
//! A layer cannot be faster than its multiplications at the rate of a matrix product whose factors are in the cache, nor
//! than its maps and weights can be read and written. Both rates are measured first, on this machine, in this process.

mod rates;
mod table;
mod watched;

use std::time::Instant;

use tch::{Device, Kind, Tensor};
use xception::summary::Summary;
use xception::{Inference, ModelSpec, Xception};

use self::rates::Rates;
pub(super) use self::table::Table;
use self::table::{OPTIMIZER, Work};
use self::watched::{LayerTime, Log, Watched, medians, sums};
use super::subject::{Training, network, noise};
use crate::commands::bench::{BenchArgs, BenchMode};
use crate::commands::{Error, Refusal};
use crate::precision::Precision;
use crate::recipe::LaunchRecipe;

/// Passes before the timed ones.
const WARM_UP: u32 = 2;

/// Times every layer of the network of `spec`, on the CPU, over images of `input` by `input` pixels.
pub(super) fn time(
    spec: &ModelSpec,
    arguments: &BenchArgs,
    precision: Precision,
    input: i64,
) -> Result<Table, Error> {
    let batch_size = arguments.batch_size;
    let kind = precision.kind(Device::Cpu);
    let rates = Rates::measured(kind)?;
    let images = noise(batch_size, input)?;
    let times = match arguments.mode {
        BenchMode::Infer => {
            let (_store, network) = network(spec, Device::Cpu)?;
            inference(spec, &network, &images.to_kind(kind), arguments.steps)?
        }
        BenchMode::Train => training(spec, images, precision, arguments.steps)?,
    };
    let summary = Summary::new(&spec.architecture()?, spec.classes, input)?;
    let work = Work {
        mode: arguments.mode,
        batch_size: batch_size as f64,
        element: if kind == Kind::BFloat16 { 2.0 } else { 4.0 },
    };
    Ok(Table::new(&summary, &times, work, rates))
}

/// The fraction of a forward pass over one image that each layer of `summary` takes, in fp32 or bf16 as is faster; `None`
/// for layers that are computed with the one before them.
pub(in super::super) fn shares(
    spec: &ModelSpec,
    summary: &Summary,
) -> Result<Vec<Option<f64>>, Error> {
    let precision = Precision::Auto.resolved(Device::Cpu);
    let (_store, network) = network(spec, Device::Cpu)?;
    let images = noise(1, summary.input)?.to_kind(precision.kind(Device::Cpu));
    let times = inference(spec, &network, &images, SHARES_OF)?;
    Ok(table::shares(summary, &times))
}

/// Passes of which the median is the time of a layer.
const SHARES_OF: u32 = 9;

/// The times of the layers in a packed forward pass over `images`.
fn inference(
    spec: &ModelSpec,
    network: &Xception,
    images: &Tensor,
    steps: u32,
) -> Result<Vec<LayerTime>, Error> {
    let packed = Inference::new(network, images.kind())
        .map_err(|problem| Refusal::Layers { preset: spec.preset, problem: problem.into() })?;
    let log = Log::default();
    let part = |images: &Tensor| {
        let started = Instant::now();
        drop(packed.logits_with_hook(images, &log.hook()));
        log.times(started, Instant::now())
    };
    let pass = || Ok(sums(packed.parts(images).iter().map(part)));
    repeated(steps, pass)
}

/// The times of the layers in the training step over `images`, and of the optimizer.
fn training(
    spec: &ModelSpec,
    images: Tensor,
    precision: Precision,
    steps: u32,
) -> Result<Vec<LayerTime>, Error> {
    let (store, network) = network(spec, Device::Cpu)?;
    let log = Log::default();
    let network = Watched::new(network, spec.architecture()?.names.head(), &log);
    let mut training =
        Training::new(&store, network, spec.classes, images, precision, LaunchRecipe::Eager)?;
    let pass = || {
        let started = Instant::now();
        training.step()?;
        let ended = Instant::now();
        let backward_ended = log.take_backward_end().unwrap_or(ended);
        let mut times = log.times(started, backward_ended);
        let forward = (ended - backward_ended).as_secs_f64();
        times.push(LayerTime { name: OPTIMIZER.into(), forward, backward: None });
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
