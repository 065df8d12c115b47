//! `xception train`: resolves a plan, trains, writes the results and prints them.

#![allow(
    rustdoc::broken_intra_doc_links,
    rustdoc::invalid_html_tags,
    reason = "these comments are what --help prints, where brackets mean an option"
)]

use std::panic::{self, AssertUnwindSafe};
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::print;
use crate::commands::{Error, table};
use crate::console::log;
use crate::duration::clock;
use crate::evaluation::{Details, Evaluation, LeftOutNames};
use crate::ranks::World;
use crate::recipe::Request;
use crate::stop::StopRequest;
use crate::torch_error::TorchError;
use crate::training::run_plan::{RunPlan, RunRequest};
use crate::training::{Outcome, Training};

/// Flags of `xception train`.
#[derive(Debug, Clone, Default, Args)]
pub struct TrainArgs {
    /// A recipe by name (`xception recipes` lists them) or a TOML file [default: quick]
    #[arg(long, value_name = "NAME|FILE")]
    pub recipe: Option<String>,
    /// The network, in place of the recipe's
    #[arg(long, value_name = "PRESET")]
    pub preset: Option<String>,
    /// cifar10[:DIR], cifar100[:DIR], folder:DIR, csv:FILE, parquet:DIR, shards:DIR, synthetic, or auto: CIFAR-10 if it can be
    /// found, else synthetic
    #[arg(long, value_name = "SPEC")]
    pub data: Option<String>,
    /// The weights to start from, in place of the recipe's: a file, the folder of a run, or the name of published weights
    /// that were fetched
    #[arg(long, value_name = "FILE|RUN|NAME")]
    pub weights: Option<String>,
    /// The run's folder, new or empty [default: runs/<recipe>-<data>, numbered]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Resume the run in this folder from its newest checkpoint, by its own recipe
    #[arg(long, value_name = "DIR", conflicts_with = "out")]
    pub resume: Option<PathBuf>,
    /// Change one value of the recipe, such as epochs=3 or schedule.peak=0.01; repeatable
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

impl TrainArgs {
    /// The run that these flags ask for.
    pub(crate) fn request(&self) -> RunRequest {
        let Self { recipe, preset, data, weights, set, out, resume } = self.clone();
        RunRequest { recipe: Request { recipe, preset, data, weights, set }, out, resume }
    }
}

/// A run that came to its end.
pub(super) struct Finished {
    plan: RunPlan,
    outcome: Outcome,
}

pub(super) fn run(arguments: &TrainArgs) -> Result<(), Error> {
    let request = arguments.request();
    let world = World::join(request.check().map_err(Error::from))?;
    let work = || -> Result<(), Error> {
        let finished = train_together(&request, &world)?;
        if world.leads() {
            print_results(&finished)?;
        }
        Ok(world.finish()?)
    };
    // With several ranks, the others have to be told of a panic, too.
    let ended = panic::catch_unwind(AssertUnwindSafe(work));
    let ended =
        ended.unwrap_or_else(|payload| Err(TorchError::from_panic(payload.as_ref()).into()));
    ended.inspect_err(|error| world.fail(&error.failure()))
}

/// Trains in this process alone.
pub(super) fn train(arguments: &TrainArgs) -> Result<Finished, Error> {
    train_together(&arguments.request(), &World::single())
}

/// Trains with the other ranks of `world`, of which rank 0 writes the folder.
fn train_together(request: &RunRequest, world: &World) -> Result<Finished, Error> {
    let resolved = request.resolve(world)?;
    // Before the folder is made: from here on a signal saves the run, or leaves a folder that can be resumed.
    let stop = StopRequest::listen()?;
    let plan = resolved.in_folder(world)?;
    log_to_folder(&plan, world)?;
    let outcome = train_plan(&plan, stop, world).inspect_err(|error| {
        if error.is_refusal() {
            plan.discard(world);
        }
    })?;
    if world.leads() {
        write_results(&plan, &outcome)?;
    }
    Ok(Finished { plan, outcome })
}

/// Sends the log of another rank than 0 to a file in the folder of the run.
fn log_to_folder(plan: &RunPlan, world: &World) -> Result<(), Error> {
    if world.leads() {
        return Ok(());
    }
    let path = plan.folder.file(&format!("rank-{}.log", world.rank()));
    if world.leads_a_machine() {
        log::aloud(&format!("met the other ranks; the rest of the log is in {}", path.display()));
    }
    Ok(log::to_file(&path)?)
}

fn train_plan(plan: &RunPlan, stop: StopRequest, world: &World) -> Result<Outcome, Error> {
    let training = Training::new(plan, stop, world.clone())?;
    let RunPlan { data, folder, .. } = plan;
    let counts: Vec<String> = match &data.validation {
        Some(validation) => vec![
            format!("{} training", data.train.len()),
            format!("{} validation", validation.len()),
        ],
        None => vec![format!("{} training", data.train.len())],
    };
    tracing::info!(
        "{} ({}) · {} and {} test images",
        data.name,
        data.origin,
        counts.join(", "),
        data.test.len()
    );
    tracing::info!("{}", training.headline());
    tracing::info!("run folder {}", folder.path().display());
    Ok(training.run()?)
}

/// Writes `results.json` for programs, and the report for people.
fn write_results(plan: &RunPlan, outcome: &Outcome) -> Result<(), Error> {
    let RunPlan { recipe, data, folder, .. } = plan;
    let Outcome { last, best, validation, best_on_test, seconds, test, left_out } = outcome;
    let per_class: serde_json::Map<String, serde_json::Value> = data
        .class_names()
        .iter()
        .cloned()
        .zip(last.per_class().into_iter().map(|part| json!(part)))
        .collect();
    let mut left_out = LeftOutNames {
        train: left_out.train.names(&*data.train),
        validation: left_out.validation.names(&**data.measured()),
        test: left_out.test.names(&*data.test),
    };
    // A finished run that is resumed reads no image to train on.
    let earlier = LeftOutNames::in_results(&folder.file("results.json")).unwrap_or_default();
    let is_new = |name: &String| !left_out.train.contains(name);
    let earlier: Vec<String> = earlier.train.into_iter().filter(is_new).collect();
    left_out.train.extend(earlier);
    match left_out.count() {
        0 => {}
        1 => tracing::warn!("1 image cannot be read, and is in no figure; results.json names it"),
        count => tracing::warn!(
            "{count} images cannot be read, and are in no figure; results.json names them"
        ),
    }
    let mut document = json!({
        "data": data.name, "epochs": recipe.epochs, "seconds": seconds, "last": last.to_json(),
        "best": { "epoch": best.epoch, "top1": best.top1 }, "per_class": per_class, "confusion": last.confusion,
        "left_out": left_out,
    });
    if let Some(validation) = validation {
        document["validation"] = validation.to_json();
        document["best"]["test"] = json!(best_on_test.as_ref().map(Evaluation::to_json));
    }
    folder.write_json("results.json", &document)?;
    let weights = folder.file("last.safetensors");
    let details = Details::of(last, data, test, left_out, &weights)?;
    let best_top1 = best_on_test.as_ref().map(|evaluation| evaluation.top1);
    Details { best_top1, ..details }.save(folder)?;
    crate::report::write(folder.path(), None)?;
    Ok(())
}

/// Prints the results for people.
fn print_results(finished: &Finished) -> Result<(), Error> {
    let Finished { plan: RunPlan { recipe, data, folder, .. }, outcome } = finished;
    let Outcome { last, best, validation, best_on_test, seconds, .. } = outcome;
    print(&format!(
        "\nAccuracy by class on the {} test set:\n{}",
        data.name,
        table::per_class(last, data.class_names())
    ))?;
    if let Some(matrix) = table::confusion(last, data.class_names()) {
        print(&format!("\nRows are the true classes, columns the predicted ones:\n{matrix}"))?;
    }
    let stands_in = if data.stands_in { " (synthetic images, NOT CIFAR-10)" } else { "" };
    print(&format!(
        "\n{} test accuracy{stands_in}: {:.2} % (top-5 {:.2} %, loss {:.4}, {} images) after {} epochs in {}",
        data.name,
        last.top1 * 100.0,
        last.top5 * 100.0,
        last.loss,
        last.images,
        recipe.epochs,
        clock(*seconds),
    ))?;
    let chosen_on = match (validation, best_on_test) {
        (None, _) => "(chosen on the test set, so it flatters)".to_string(),
        (Some(_), Some(test)) => {
            format!(
                "of the validation set, by which it was chosen; {:.2} % of the test set",
                test.top1 * 100.0
            )
        }
        (Some(_), None) => "of the validation set, by which it was chosen".to_string(),
    };
    print(&format!("best epoch {}: {:.2} % {chosen_on}", best.epoch, best.top1 * 100.0))?;
    if best.top1 > validation.as_ref().unwrap_or(last).top1 {
        print(&format!("weights of that epoch: {}", folder.file("best.safetensors").display()))?;
    }
    print(&format!("report: {}", folder.file(crate::report::FILE).display()))?;
    print(&format!("weights and metrics: {}", folder.path().display()))
}
