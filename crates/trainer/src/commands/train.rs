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
use crate::commands::recipe_arguments::RecipeArgs;
use crate::console::log;
use crate::duration;
use crate::ranks::World;
use crate::stop::StopRequest;
use crate::torch_error::TorchError;
use crate::training::run_plan::{RunPlan, RunRequest};
use crate::training::{Outcome, Training};

/// Flags of `xception train`.
#[derive(Debug, Clone, Default, Args)]
pub struct TrainArgs {
    /// The recipe and its changes.
    #[command(flatten)]
    pub recipe: RecipeArgs,
    /// Train as many epochs as fit into this time, such as 30m or 1h30m, by a measurement at the start
    #[arg(long, value_name = "TIME", conflicts_with_all = ["epochs", "resume"], value_parser = duration::parse)]
    pub time_limit: Option<f64>,
    /// The run's folder, new or empty [default: runs/<recipe>-<data>, numbered]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Resume the run in this folder from its newest checkpoint, by its own recipe
    #[arg(long, value_name = "DIR", conflicts_with = "out")]
    pub resume: Option<PathBuf>,
    /// Train the run of --resume up to this number of epochs, which is larger than its own, also where it was finished
    #[arg(long, value_name = "EPOCHS", requires = "resume", conflicts_with = "epochs", value_parser = extended)]
    pub extend: Option<u64>,
}

impl TrainArgs {
    /// The run that these flags ask for.
    pub(crate) fn request(&self) -> RunRequest {
        let Self { recipe, out, resume, extend, .. } = self.clone();
        RunRequest { recipe: recipe.request(), out, resume, extend }
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
        let finished = train_together(&request, arguments.time_limit, &world)?;
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
    train_together(&arguments.request(), arguments.time_limit, &World::single())
}

/// Trains with the other ranks of `world`, of which rank 0 writes the folder.
fn train_together(
    request: &RunRequest,
    time_limit: Option<f64>,
    world: &World,
) -> Result<Finished, Error> {
    let mut resolved = request.resolve(world)?;
    // Before the folder is made: from here on a signal saves the run, or leaves a folder that can be resumed.
    let stop = StopRequest::listen()?;
    if let Some(seconds) = time_limit {
        resolved = resolved.within(seconds, &stop, world)?;
    }
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
