//! `xception compare`: Xception and Inception V3 under one recipe on the same images, as in the paper's table 1 and 3.
//!
//! Both are trained by the few lines here, in fp32, without checkpoints: what is compared must not differ in anything but
//! the network.

mod inception;
mod terms;

use clap::Args;
use std::path::PathBuf;
use std::time::Instant;

use datasets::{Batch, LastBatch, Loader, LoaderConfig, Order, Share};
use serde_json::{Value, json};
use tch::nn::{ModuleT, VarStore};
use tch::{Device, Kind, Tensor};
use xception::Xception;
use xception::summary::Summary;

use super::print;
use crate::Error;
use crate::console::log;
use crate::console::progress::Progress;
use crate::data::left_out::LeftOut;
use crate::data::{Data, DataSpec, stand_in_banner};
use crate::duration::clock;
use crate::optim::optimizer::Optimizer;
use crate::optim::schedule::Position;
use crate::ranks::World;
use crate::recipe::Recipe;
use crate::recipe::Request;
use crate::training::{Moment, cross_entropy, loader_config};
use crate::whole_file;

/// Flags of `xception compare`.
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// The recipe of both; images must have 75 pixels or more, which [[progressive]] can bring them to
    #[arg(long, value_name = "NAME|FILE", default_value = "compare")]
    pub recipe: String,
    /// As for `xception train`
    #[arg(long, value_name = "SPEC")]
    pub data: Option<String>,
    /// Runs of each network, from seed 0 on
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=100))]
    pub seeds: u64,
    /// Change one value of the recipe; repeatable
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Keep the figures here
    #[arg(short, long, value_name = "OUT.json")]
    pub out: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// What the paper reports (tables 1 and 3): top-1 and top-5 on ImageNet, parameters, training steps a second on 60 K80.
struct Published {
    top1: f64,
    top5: f64,
    parameters: u64,
    steps_per_second: f64,
}

/// One of the two.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Contender {
    Xception,
    InceptionV3,
}

impl Contender {
    const BOTH: [Contender; 2] = [Contender::Xception, Contender::InceptionV3];

    fn name(self) -> &'static str {
        match self {
            Contender::Xception => "Xception",
            Contender::InceptionV3 => "Inception V3",
        }
    }

    fn published(self) -> Published {
        let (top1, top5, parameters, steps_per_second) = match self {
            Contender::Xception => (79.0, 94.5, 22_855_952, 28.0),
            Contender::InceptionV3 => (78.2, 94.1, 23_626_728, 31.0),
        };
        Published { top1, top5, parameters, steps_per_second }
    }

    fn build(
        self,
        store: &VarStore,
        recipe: &Recipe,
        classes: i64,
    ) -> Result<Box<dyn ModuleT>, Error> {
        let spec = recipe.spec(classes)?;
        match self {
            Contender::Xception => {
                let model = Xception::new(&store.root(), &spec.architecture()?, spec.classes)?;
                Ok(Box::new(model.with_dropout(recipe.model.dropout.unwrap_or(0.0))?))
            }
            Contender::InceptionV3 => Ok(Box::new(inception::build(store, classes))),
        }
    }

    /// Multiply-accumulates of an image of `side` by `side` pixels.
    fn macs(
        self,
        store: &VarStore,
        recipe: &Recipe,
        classes: i64,
        side: i64,
    ) -> Result<u64, Error> {
        Ok(match self {
            Contender::Xception => {
                let spec = recipe.spec(classes)?;
                Summary::new(&spec.architecture()?, classes, side)?.macs()
            }
            Contender::InceptionV3 => inception::macs(store, side),
        })
    }
}

/// What one run came to.
struct Measured {
    parameters: u64,
    /// Multiply-accumulates of an image in the size of the last epoch.
    macs: u64,
    top1: f64,
    top5: f64,
    /// Images a second.
    training: f64,
    inference: f64,
}

pub(super) fn run(arguments: &CompareArgs) -> Result<(), Error> {
    let recipe = Recipe::resolve(&Request {
        recipe: Some(arguments.recipe.clone()),
        data: arguments.data.clone(),
        set: arguments.set.clone(),
        ..Request::default()
    })?;
    terms::check(&recipe, &arguments.recipe, arguments.out.as_deref())?;
    let data = Data::load(&recipe.data.parse::<DataSpec>()?, &World::single())?;
    terms::check_sides(&recipe, data.train.size())?;
    if data.stands_in {
        tracing::warn!("\n{}", stand_in_banner());
    }
    let mut rows = Vec::new();
    for contender in Contender::BOTH {
        let mut measured = Vec::new();
        for seed in 0..arguments.seeds {
            let recipe = Recipe { seed, ..recipe.clone() };
            measured.push(train(contender, &recipe, &data)?);
        }
        rows.push(row(contender, &measured));
    }
    let document = json!({ "data": data.name, "epochs": recipe.epochs, "networks": rows });
    if let Some(out) = &arguments.out {
        whole_file::write(out, &format!("{document:#}\n"))?;
    }
    print(&if arguments.json { format!("{document:#}") } else { table(&document) })
}

fn loader(recipe: &Recipe, data: &Data, order: Order) -> Result<Loader, Error> {
    let (images, last_batch) = match order {
        // Steps of one size, of which one is as long as another.
        Order::Shuffled | Order::ShuffledByFile => (&data.train, LastBatch::Drop),
        Order::Sequential => (&data.test, LastBatch::Keep),
    };
    let config =
        LoaderConfig { last_batch, ..loader_config(recipe, &**images, order, Share::WHOLE) };
    Ok(Loader::new(images.clone(), config)?)
}

fn train(contender: Contender, recipe: &Recipe, data: &Data) -> Result<Measured, Error> {
    let device = Device::cuda_if_available();
    tch::manual_seed(recipe.seed as i64);
    let store = VarStore::new(device);
    let classes = data.class_names().len() as i64;
    let model = contender.build(&store, recipe, classes)?;
    let parameters: usize = store.trainable_variables().iter().map(Tensor::numel).sum();
    let mut optimizer = Optimizer::with_groups(&store, &recipe.optimizer, &recipe.groups, None)?;
    let (training, test) =
        (loader(recipe, data, Order::Shuffled)?, loader(recipe, data, Order::Sequential)?);
    let per_epoch = training.batches_per_epoch() as u64;
    let progress =
        Progress::new(recipe.epochs * training.images_per_epoch() as u64, log::audience());
    let (mut step, mut images, began) = (0, 0_u64, Instant::now());
    let mut left_out = LeftOut::default();
    for epoch in 1..=recipe.epochs {
        progress.prefix(format!("{} epoch {epoch}/{}", contender.name(), recipe.epochs));
        let batches = match recipe.side(epoch) {
            Some(side) => training.epoch_at(epoch, 0, side),
            None => training.epoch(epoch),
        };
        for batch in batches {
            let batch = batch?;
            left_out.tell(&batch);
            let Batch { images: batch_images, labels, indices, .. } = batch;
            if indices.is_empty() {
                continue;
            }
            let logits = model.forward_t(&batch_images.to_device(device), true);
            let loss = cross_entropy(&logits, &labels.to_device(device), recipe.label_smoothing);
            let gradients = optimizer.gradients(&loss)?;
            let position = Position {
                step,
                steps: recipe.epochs * per_epoch,
                steps_per_epoch: per_epoch,
                batch_size: recipe.batch_size as u64,
            };
            let learning_rate = recipe.learning_rate(&position);
            let loss = loss.double_value(&[]);
            Moment { epoch, step: step + 1, learning_rate }.check(loss)?;
            optimizer.step(&gradients, learning_rate)?;
            step += 1;
            images += indices.len() as u64;
            let speed = images as f64 / began.elapsed().as_secs_f64();
            progress.update(images, format!("loss {loss:.3} {speed:4.0} img/s"));
        }
    }
    let training_speed = images as f64 / began.elapsed().as_secs_f64();
    drop(progress);
    let (top1, top5, inference) = evaluate(&*model, &test, recipe, device)?;
    tracing::info!(
        "{} seed {}: {:.2} %, {:.0} img/s, {}",
        contender.name(),
        recipe.seed,
        top1 * 100.0,
        training_speed,
        clock(began.elapsed().as_secs_f64())
    );
    let side = recipe.side(recipe.epochs).unwrap_or(test.size()[0]) as i64;
    let macs = contender.macs(&store, recipe, classes, side)?;
    let parameters = parameters as u64;
    Ok(Measured { parameters, macs, top1, top5, training: training_speed, inference })
}

/// Top-1, top-5, and images a second of the network alone.
fn evaluate(
    model: &dyn ModuleT,
    test: &Loader,
    recipe: &Recipe,
    device: Device,
) -> Result<(f64, f64, f64), Error> {
    let batches = match recipe.side(recipe.epochs) {
        Some(side) => test.epoch_at(0, 0, side),
        None => test.epoch(0),
    };
    let (mut images, mut right, mut among_five, mut seconds) = (0_u64, 0_i64, 0_i64, 0.0);
    let mut left_out = LeftOut::default();
    for batch in batches {
        let batch = batch?;
        left_out.tell(&batch);
        let Batch { images: batch_images, labels, indices, .. } = batch;
        if indices.is_empty() {
            continue;
        }
        let began = Instant::now();
        let logits = tch::no_grad(|| model.forward_t(&batch_images.to_device(device), false));
        let logits = logits.to_device(Device::Cpu);
        seconds += began.elapsed().as_secs_f64();
        let best = logits.topk(5.min(logits.size()[1]), 1, true, true).1;
        let hits = best.eq_tensor(&labels.unsqueeze(1));
        among_five += hits.sum(Kind::Int64).int64_value(&[]);
        right += hits.narrow(1, 0, 1).sum(Kind::Int64).int64_value(&[]);
        images += indices.len() as u64;
    }
    let count = images.max(1) as f64;
    Ok((right as f64 / count, among_five as f64 / count, count / seconds.max(1e-9)))
}

fn row(contender: Contender, runs: &[Measured]) -> Value {
    let all = |value: fn(&Measured) -> f64| runs.iter().map(value).collect::<Vec<f64>>();
    let Published { top1, top5, parameters: own, steps_per_second } = contender.published();
    json!({
        "name": contender.name(), "parameters": runs.first().map(|run| run.parameters),
        "macs": runs.first().map(|run| run.macs),
        "top1": all(|run| run.top1), "top5": all(|run| run.top5),
        "training_img_per_s": all(|run| run.training),
        "inference_img_per_s": all(|run| run.inference),
        "published": {
            "top1_imagenet": top1, "top5_imagenet": top5, "parameters": own,
            "steps_per_s_60_k80": steps_per_second,
        },
    })
}

/// A number of JSON is padded as its text only.
fn table(document: &Value) -> String {
    let mut lines = vec![format!(
        "{:<14} {:>12} {:>14} {:>16} {:>16} {:>14} {:>14}",
        "network",
        "parameters",
        "multiply-adds",
        "top-1 %",
        "top-5 %",
        "training img/s",
        "inference"
    )];
    let networks = document["networks"].as_array().map_or(&[][..], |rows| rows);
    let numbers = |value: &Value| -> Vec<f64> {
        value.as_array().into_iter().flatten().filter_map(Value::as_f64).collect()
    };
    for row in networks {
        lines.push(format!(
            "{:<14} {:>12} {:>14} {:>16} {:>16} {:>14} {:>14}",
            row["name"].as_str().unwrap_or("?"),
            row["parameters"].to_string(),
            row["macs"].to_string(),
            super::ablate::spread(&numbers(&row["top1"]), 100.0),
            super::ablate::spread(&numbers(&row["top5"]), 100.0),
            super::ablate::spread(&numbers(&row["training_img_per_s"]), 1.0),
            super::ablate::spread(&numbers(&row["inference_img_per_s"]), 1.0),
        ));
    }
    lines.push("\nthe paper, on ImageNet, 60 K80:".to_string());
    for row in networks {
        let published = &row["published"];
        lines.push(format!(
            "{:<14} {:>12} {:>14} {:>16} {:>16} {:>8} steps/s",
            row["name"].as_str().unwrap_or("?"),
            published["parameters"].to_string(),
            "",
            published["top1_imagenet"].to_string(),
            published["top5_imagenet"].to_string(),
            published["steps_per_s_60_k80"].to_string(),
        ));
    }
    lines.join("\n")
}
