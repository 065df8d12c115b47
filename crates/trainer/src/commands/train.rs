//! `xception train`: resolves a plan, trains, writes the results and prints them.

#![allow(
    rustdoc::broken_intra_doc_links,
    rustdoc::invalid_html_tags,
    reason = "these comments are what --help prints, where brackets mean an option"
)]

mod results;

use std::panic::{self, AssertUnwindSafe};
use std::path::PathBuf;

use clap::Args;

use crate::commands::Error;
use crate::console::log;
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
    /// Passes through the training set; the same as --set epochs=N
    #[arg(long, value_name = "N")]
    pub epochs: Option<u64>,
    /// Images in a step; the same as --set batch_size=N
    #[arg(long, value_name = "N")]
    pub batch_size: Option<usize>,
    /// The learning rate, or the peak of a schedule that has one
    #[arg(long = "lr", value_name = "RATE")]
    pub learning_rate: Option<f64>,
    /// Rows and columns of the squares that image files become; the same as --set input.side=N
    #[arg(long, value_name = "SIDE")]
    pub input: Option<usize>,
    /// Train the run of --resume up to this number of epochs, which is larger than its own, also where it was finished
    #[arg(long, value_name = "EPOCHS", requires = "resume", conflicts_with = "epochs", value_parser = extended)]
    pub extend: Option<u64>,
    /// Change one value of the recipe, such as epochs=3 or schedule.peak=0.01; repeatable
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

impl TrainArgs {
    /// The run that these flags ask for.
    pub(crate) fn request(&self) -> RunRequest {
        let Self { recipe, preset, data, weights, learning_rate, out, resume, extend, .. } =
            self.clone();
        let short = [
            self.epochs.map(|epochs| format!("epochs={epochs}")),
            self.batch_size.map(|size| format!("batch_size={size}")),
            self.input.map(|side| format!("input.side={side}")),
        ];
        // What is typed in full has the last word.
        let set = short.into_iter().flatten().chain(self.set.iter().cloned()).collect();
        let recipe = Request { recipe, preset, data, weights, learning_rate, set };
        RunRequest { recipe, out, resume, extend }
    }
}

/// The value of `--extend`: `30` or `epochs=30`.
fn extended(text: &str) -> Result<u64, String> {
    let number = text.trim().strip_prefix("epochs=").unwrap_or(text.trim());
    number.parse().map_err(|_| format!("'{text}' is no number of epochs; give one, such as 30"))
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
            results::print(&finished)?;
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
        results::write(&plan, &outcome)?;
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
