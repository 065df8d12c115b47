//! `xception bench`: times a training step or a forward pass.

pub(super) mod layers;
mod on_request;
mod subject;

use std::io;
use std::time::Instant;

use serde_json::{Value, json};
use tch::Device;
use xception::summary::Summary;
use xception::{ModelSpec, Preset};

use self::subject::Subject;
use super::print;
use crate::Error;
use crate::cli::{BenchArgs, BenchMode};

/// Steps ahead of the timed ones.
const WARM_UP: u32 = 2;

pub(super) fn run(arguments: &BenchArgs) -> Result<(), Error> {
    if let Some(threads) = arguments.threads {
        tch::set_num_threads(threads);
    }
    let preset: Preset = arguments.preset.parse()?;
    let spec = spec(preset, arguments.width)?;
    let input = arguments.input.unwrap_or(preset.input());
    Summary::new(&spec.architecture()?, spec.classes, input)?;
    let device = Device::cuda_if_available();
    let precision = arguments.precision.resolved(device);
    tch::manual_seed(0);
    if arguments.layers {
        let table = layers::time(&spec, arguments, precision, input)?;
        return print(&match arguments.json {
            true => format!("{:#}", table.to_json()),
            false => table.to_text(),
        });
    }
    let mut subject =
        Subject::new(&spec, arguments.mode, device, precision, arguments.batch_size, input)?;
    let mode = match arguments.mode {
        BenchMode::Train => "train",
        BenchMode::Infer => "infer",
    };
    let described = json!({
        "preset": preset.to_string(), "mode": mode, "batch_size": arguments.batch_size, "input": input,
        "precision": precision.name(), "layout": "channels_last", "threads": tch::get_num_threads(),
        "width": spec.scale.width,
    });
    if let Some(seconds) = arguments.on_request {
        let mut ready = described;
        ready["ready"] = true.into();
        ready["versions"] =
            json!({ "xception": env!("CARGO_PKG_VERSION"), "libtorch": torch_ext::version() });
        let step = || subject.step();
        return on_request::serve(seconds, ready, io::stdin().lock(), step, print);
    }
    let mut seconds = Vec::new();
    for step in 0..WARM_UP + arguments.steps {
        let started = Instant::now();
        subject.step()?;
        if step >= WARM_UP {
            seconds.push(started.elapsed().as_secs_f64());
        }
    }
    seconds.sort_by(f64::total_cmp);
    report(arguments, described, &seconds)
}

/// The network of `preset`, scaled where it can be.
fn spec(preset: Preset, width: Option<f64>) -> Result<ModelSpec, Error> {
    let mut spec = ModelSpec::new(preset);
    if let Some(width) = width {
        if preset != Preset::Cifar {
            let message = format!(
                "--width scales preset 'cifar' only, not '{preset}'; add --preset cifar or leave --width out"
            );
            return Err(Error::Usage(message));
        }
        spec.scale.width = width;
    }
    Ok(spec)
}

/// Prints what was timed, and the median of the sorted `seconds`.
fn report(arguments: &BenchArgs, described: Value, seconds: &[f64]) -> Result<(), Error> {
    let median = seconds[seconds.len() / 2];
    let images_per_second = arguments.batch_size as f64 / median;
    if arguments.json {
        let mut document = described;
        document["img_per_s"] = images_per_second.into();
        document["ms_per_step"] = (median * 1e3).into();
        return print(&format!("{document:#}"));
    }
    let text = |key: &str| described[key].as_str().unwrap_or_default();
    print(&format!(
        "{} {}, {} × {input}×{input}, {}, {} threads: {images_per_second:.1} img/s, {:.1} ms a step \
         (median of {}, {:.1} to {:.1} ms)",
        text("preset"),
        text("mode"),
        arguments.batch_size,
        text("precision"),
        described["threads"],
        median * 1e3,
        seconds.len(),
        seconds[0] * 1e3,
        seconds[seconds.len() - 1] * 1e3,
        input = described["input"],
    ))
}
