//! `xception bench`: times a training step or a forward pass.
//!
//! The training step is the one that `xception train` takes, over a batch as a loader yields it: the images are brought to
//! the device and the precision, then logits, cross-entropy, accuracy, gradients, the check that the loss is finite, and
//! Adam. It has neither label smoothing nor clipping, and one micro-batch. On a GPU it is recorded as a CUDA graph where
//! training would record it.

#![allow(
    rustdoc::broken_intra_doc_links,
    rustdoc::invalid_html_tags,
    reason = "these comments are what --help prints, where brackets mean an option"
)]

pub(super) mod layers;
mod on_request;
mod subject;

use std::io;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use tch::Device;
use xception::summary::Summary;
use xception::{ModelSpec, Preset};

use self::on_request::steps_per_round;
use self::subject::Subject;
use super::print;
use crate::commands::{Error, Refusal};
use crate::instructions;
use crate::precision::Precision;
use crate::recipe::LaunchRecipe;

/// The work that `xception bench` times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BenchMode {
    /// The step of `xception train` with Adam: forward, backward, update.
    Train,
    /// Forward only.
    Infer,
}

/// Flags of `xception bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// The network
    #[arg(long, default_value = "notebook-cifar10", value_name = "PRESET")]
    pub preset: String,
    /// The pass to time
    #[arg(long, value_enum, default_value_t = BenchMode::Train)]
    pub mode: BenchMode,
    /// Images at a time
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(i64).range(1..=65_536))]
    pub batch_size: i64,
    /// Rows and columns of the images [default: the preset's]
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(i64).range(1..=8192))]
    pub input: Option<i64>,
    /// Multiplies the channels of every layer; for preset cifar, the one that scales
    #[arg(long, value_name = "FACTOR")]
    pub width: Option<f64>,
    /// Numbers to compute in; auto is bf16 where the device multiplies it faster than fp32
    #[arg(long, value_enum, default_value_t = Precision::Auto)]
    pub precision: Precision,
    /// The way in which a GPU gets its kernels in training
    #[arg(long, value_enum, default_value_t = LaunchRecipe::Auto)]
    pub launch: LaunchRecipe,
    /// Timed steps, of which the median counts; two more warm up. On a GPU, timed stretches of about 0.2 seconds each
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    pub steps: u32,
    /// Threads of each operation [default: libtorch's choice, the physical cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=4096))]
    pub threads: Option<i32>,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
    /// Warm up and print a line of JSON with "ready": true. Then, for every line on stdin, time a round of about SECONDS
    /// after a step that does not count, and print {"ms_per_step", "steps"} as one line; the end of stdin ends it.
    /// For timing programs in turns
    #[arg(long, value_name = "SECONDS", value_parser = round_seconds, conflicts_with_all = ["steps", "json"])]
    pub on_request: Option<f64>,
    /// Time every layer, and show how far each is from the limit of this machine
    #[arg(long, conflicts_with = "on_request")]
    pub layers: bool,
}

/// The length of a round in seconds.
fn round_seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.0..=3600.0).contains(&seconds) => Ok(seconds),
        _ => Err("expected seconds between 0 and 3600".into()),
    }
}

/// Steps before the timed ones.
const WARM_UP: u32 = 2;
/// The same on a GPU.
const GPU_WARM_UP: u32 = 6;
/// Seconds of a timed stretch on a GPU.
const GPU_STRETCH: f64 = 0.2;

pub(super) fn run(arguments: &BenchArgs) -> Result<(), Error> {
    if let Some(threads) = arguments.threads {
        tch::set_num_threads(threads);
    }
    let preset: Preset = arguments.preset.parse()?;
    let spec = spec(preset, arguments.width)?;
    let input = arguments.input.unwrap_or(preset.input());
    Summary::new(&spec.architecture()?, spec.classes, input)?;
    if arguments.mode == BenchMode::Infer && arguments.launch != LaunchRecipe::Auto {
        return Err(Refusal::LaunchOfInference.into());
    }
    let device = Device::cuda_if_available();
    let precision = arguments.precision.resolved(device);
    tch::manual_seed(0);
    if arguments.layers {
        let table = layers::time(&spec, arguments, precision, input)?;
        return print(&if arguments.json {
            format!("{:#}", table.to_json())
        } else {
            table.to_text()
        });
    }
    let computing = (device, precision, arguments.launch);
    let mut subject = Subject::new(&spec, arguments.mode, computing, arguments.batch_size, input)?;
    let mode = match arguments.mode {
        BenchMode::Train => "train",
        BenchMode::Infer => "infer",
    };
    let described = json!({
        "preset": preset.to_string(), "mode": mode, "batch_size": arguments.batch_size, "input": input,
        "precision": precision.name(), "layout": "channels_last", "threads": tch::get_num_threads(),
        "instruction_set": instructions::in_use(),
        "width": spec.scale.width, "device": if device.is_cuda() { "cuda" } else { "cpu" },
        "launch": arguments.launch.name(),
    });
    if let Some(seconds) = arguments.on_request {
        let mut ready = described;
        ready["ready"] = true.into();
        ready["versions"] =
            json!({ "xception": env!("CARGO_PKG_VERSION"), "libtorch": torch_ext::version() });
        let timed = |steps| subject.timed(steps);
        return on_request::serve(seconds, ready, io::stdin().lock(), timed, print);
    }
    let each = if device.is_cuda() {
        // Past the recording of a graph.
        subject.timed(GPU_WARM_UP)?;
        steps_per_round(GPU_STRETCH, subject.timed(1)?)
    } else {
        subject.timed(WARM_UP)?;
        1
    };
    let timed = |_| Ok(subject.timed(each)? / f64::from(each));
    let mut seconds: Vec<f64> = (0..arguments.steps).map(timed).collect::<Result<_, Error>>()?;
    seconds.sort_by(f64::total_cmp);
    report(arguments, described, &seconds)
}

/// The network of `preset`, scaled where it can be.
fn spec(preset: Preset, width: Option<f64>) -> Result<ModelSpec, Error> {
    let mut spec = ModelSpec::new(preset);
    if let Some(width) = width {
        if preset != Preset::Cifar {
            return Err(Refusal::Width { preset }.into());
        }
        spec.scale.width = width;
    }
    Ok(spec)
}

/// Prints the work that was timed, and the median of the sorted `seconds`.
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
