//! `xception predict`: classifies images.

use crate::network::weights_name::WeightsArgs;
use crate::precision::Precision;
use clap::Args;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Once;

use serde_json::{Value, json};
use tch::{Kind, Tensor};
use xception::weights;

use super::inputs::Inputs;
use super::{output, print};
use crate::commands::refusal::ImagesProblem;
use crate::commands::{Error, Refusal};
use crate::console::escape;
use crate::network;
use crate::network::forward::{Forward, Views};
use crate::network::images::{self, Prepared};
use crate::network::model_file::Loaded;

/// Flags of `xception predict`.
#[derive(Debug, Args)]
pub struct PredictArgs {
    /// The weights.
    #[command(flatten)]
    pub weights: WeightsArgs,
    /// Numbers to compute in; auto is bf16 where the device multiplies it faster than fp32
    #[arg(long, value_enum, default_value_t = Precision::Auto)]
    pub precision: Precision,
    /// Images (JPEG, PNG, WebP, GIF, TIFF, BMP), or safetensors files whose tensor `input` is [N,3,H,W] float32, normalised
    #[arg(required = true, value_name = "INPUT")]
    pub inputs: Vec<PathBuf>,
    /// Classes to name for each image
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub top: u32,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
    /// Write all logits to this safetensors file, as the tensor `logits` [N,classes]
    #[arg(long, value_name = "OUT.safetensors")]
    pub logits: Option<PathBuf>,
}

/// Images that go through the network together.
const BATCH: i64 = 32;

pub(super) fn run(arguments: &PredictArgs) -> Result<(), Error> {
    let loaded = Loaded::open(&arguments.weights)?;
    let inputs = arguments.inputs.iter().chain([&loaded.path]).map(PathBuf::as_path);
    let logits_file =
        arguments.logits.as_deref().map(|out| output::place(out, inputs)).transpose()?;
    let mut forward = Forward::new(&loaded.model, arguments.precision, BATCH as usize);
    let mut documents = Vec::new();
    let mut all_logits = Vec::new();
    let mut inputs = Inputs::new(arguments.inputs.len());
    for input in &arguments.inputs {
        let (names, images) = match read(input, &loaded) {
            Ok(found) => found,
            // A file of logits needs a row for each.
            Err(error) if arguments.logits.is_none() => {
                documents.push(inputs.unreadable(input, error)?);
                continue;
            }
            Err(error) => return Err(error),
        };
        let batches = images.split(BATCH, 0);
        let logits: Vec<Tensor> = batches
            .iter()
            .map(|batch| forward.logits(batch, Views::One))
            .collect::<Result<_, _>>()?;
        let logits = Tensor::cat(&logits, 0);
        if logits.isfinite().all().int64_value(&[]) == 0 {
            return Err(network::Error::NoAnswer.into());
        }
        for (row, name) in (0..).zip(names) {
            documents.push(best(
                &logits.get(row),
                name,
                arguments.top,
                &loaded.description.class_names,
            ));
        }
        all_logits.push(logits);
    }
    if let Some(out) = &logits_file {
        let tensors = BTreeMap::from([("logits".to_string(), Tensor::cat(&all_logits, 0))]);
        weights::write(out, &tensors, &BTreeMap::new())?;
    }
    if arguments.json {
        print(&format!("{:#}", Value::Array(documents)))?;
    } else {
        let named = documents.iter().filter(|document| document["top"].is_array());
        named.map(for_people).try_for_each(|lines| print(&lines))?;
    }
    inputs.end()
}

/// The names and images `[N, 3, H, W]` of one input.
fn read(input: &Path, loaded: &Loaded) -> Result<(Vec<String>, Tensor), Error> {
    let name = input.display().to_string();
    if input.extension().is_none_or(|extension| extension != "safetensors") {
        let prepared = images::prepare(input, &loaded.description)?;
        warn_of_shrinking(input, &prepared);
        return Ok((vec![name], prepared.image));
    }
    let refuse = |problem| Refusal::NoImages { path: input.to_path_buf(), problem };
    let (mut tensors, _) = weights::read(input)?;
    let images = tensors.remove("input").ok_or_else(|| refuse(ImagesProblem::NoInput))?;
    match images.size()[..] {
        [_, 3, _, _] if images.numel() > 0 && images.kind() == Kind::Float => {}
        _ => {
            let (size, kind) = (images.size(), images.kind());
            return Err(refuse(ImagesProblem::Shape { size, kind }).into());
        }
    }
    let side = images.size()[2].min(images.size()[3]);
    let spec = loaded.description.spec;
    xception::summary::Summary::new(&spec.architecture()?, spec.classes, side)?;
    let names = (0..images.size()[0]).map(|row| format!("{name}[{row}]")).collect();
    Ok((names, torch_ext::channels_last(&images)?))
}

/// The shorter side of an image, as a multiple of the network's side, from which a warning is due.
const SHRUNK: usize = 8;

/// Warns, of the first such image, where the network sees a small part of what an image shows.
fn warn_of_shrinking(path: &Path, prepared: &Prepared) {
    static ONCE: Once = Once::new();
    let Prepared { side, size: [width, height], .. } = *prepared;
    if width.min(height) >= SHRUNK * side {
        ONCE.call_once(|| {
            tracing::warn!(
                "{} has {width}×{height} pixels, and these weights see {side}×{side} of them: small things vanish",
                path.display()
            );
        });
    }
}

/// `{input, top: [{class, label, probability}]}` for one row of logits.
fn best(logits: &Tensor, input: String, top: u32, class_names: &[String]) -> Value {
    let top = i64::from(top).min(class_names.len() as i64);
    let (probabilities, classes) = logits.softmax(-1, Kind::Double).topk(top, -1, true, true);
    let entry = |rank: i64| {
        let class = classes.int64_value(&[rank]);
        json!({ "class": class, "label": class_names[class as usize], "probability": probabilities.double_value(&[rank]) })
    };
    json!({ "input": input, "top": (0..top).map(entry).collect::<Vec<_>>() })
}

fn for_people(document: &Value) -> String {
    let line = |entry: &Value| {
        format!(
            "  {:6.2} %  {}",
            entry["probability"].as_f64().unwrap_or(0.0) * 100.0,
            escape::name(entry["label"].as_str().unwrap_or("?"))
        )
    };
    let lines: Vec<String> = document["top"].as_array().into_iter().flatten().map(line).collect();
    let input = document["input"].as_str().unwrap_or("?");
    format!("{}\n{}", escape::name(input), lines.join("\n"))
}
