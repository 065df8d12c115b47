//! `xception train`: resolves the recipe, finds the data, trains, and says what came of it.

#![allow(
    rustdoc::broken_intra_doc_links,
    rustdoc::invalid_html_tags,
    reason = "these comments are what --help prints, where brackets mean an option"
)]

use crate::recipe::Request;
use clap::Args;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};

use serde_json::json;

use super::print;
use crate::commands::table;
use crate::commands::{Error, Refusal};
use crate::console::log;
use crate::data::{Data, DataSpec, stand_in_banner};
use crate::duration::clock;
use crate::evaluation::{Details, LeftOutNames};
use crate::network::model_file::foreign;
use crate::network::transfer::Pretrained;
use crate::ranks::World;
use crate::recipe::{InputRecipe, Recipe};
use crate::run::run_folder::{CONFIG, RunFolder};
use crate::stop::StopRequest;
use crate::torch_error::TorchError;
use crate::training;
use crate::training::{Outcome, Training, check_archives, check_ranks, check_recipe};

/// Flags of `xception train`.
#[derive(Debug, Default, Args)]
pub struct TrainArgs {
    /// A recipe by name (`xception recipes` lists them) or a TOML file [default: quick]
    #[arg(long, value_name = "NAME|FILE")]
    pub recipe: Option<String>,
    /// The network, in place of the recipe's
    #[arg(long, value_name = "PRESET")]
    pub preset: Option<String>,
    /// cifar10[:DIR], cifar100[:DIR], folder:DIR, shards:DIR, synthetic, or auto: CIFAR-10 if it can be found, else
    /// synthetic
    #[arg(long, value_name = "SPEC")]
    pub data: Option<String>,
    /// What to start from, in place of the recipe's: a file, the folder of a run, or the name of published weights
    /// that were fetched
    #[arg(long, value_name = "FILE|RUN|NAME")]
    pub weights: Option<String>,
    /// The run's folder, new or empty [default: runs/<recipe>-<data>, numbered]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Go on with the run in this folder from its newest checkpoint; its recipe is the run's
    #[arg(long, value_name = "DIR", conflicts_with = "out")]
    pub resume: Option<PathBuf>,
    /// Change one value of the recipe, such as epochs=3 or schedule.peak=0.01; repeatable
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

impl TrainArgs {
    /// What is asked of the recipe.
    pub(crate) fn request(&self) -> Request {
        let Self { recipe, preset, data, weights, set, .. } = self;
        Request {
            recipe: recipe.clone(),
            preset: preset.clone(),
            data: data.clone(),
            weights: weights.clone(),
            set: set.clone(),
        }
    }
}

pub(super) fn run(arguments: &TrainArgs) -> Result<(), Error> {
    // What is wrong with the words alone does not wait for others.
    let typed = match &arguments.resume {
        None => Recipe::resolve(&arguments.request()).map(drop).map_err(Error::from),
        Some(_) => Ok(()),
    };
    let world = World::join(typed)?;
    let work = || -> Result<(), Error> {
        let finished = train_together(arguments, &world)?;
        if world.leads() {
            say(&finished)?;
        }
        Ok(world.finish()?)
    };
    // With several ranks all have to hear of a panic, too.
    let ended = panic::catch_unwind(AssertUnwindSafe(work));
    let ended =
        ended.unwrap_or_else(|payload| Err(TorchError::from_panic(payload.as_ref()).into()));
    ended.inspect_err(|error| world.fail(&error.failure()))
}

/// A run that came to its end.
pub(super) struct Finished {
    recipe: Recipe,
    data: Data,
    folder: RunFolder,
    outcome: Outcome,
}

/// Trains in this process alone, and leaves all there is to know in the run's folder.
pub(super) fn train(arguments: &TrainArgs) -> Result<Finished, Error> {
    train_together(arguments, &World::single())
}

/// The same with the ranks of `world`, of which rank 0 keeps the folder.
fn train_together(arguments: &TrainArgs, world: &World) -> Result<Finished, Error> {
    let place = place(arguments, world)?;
    // Locked ahead of everything: what is read must stay as it is.
    let reopen = |path: &Path| RunFolder::reopen(path, world);
    let resumed = place.as_deref().map(reopen).transpose()?;
    let config = resumed.as_ref().map(|run| run.read_config(world)).transpose()?;
    let begun = config.as_ref().map(Recipe::parse).transpose()?;
    // A launcher that starts a run again says what it said the first time, which is compared with what came of that.
    let base = config.as_ref().filter(|_| arguments.resume.is_some());
    let request = arguments.request();
    let mut recipe = Recipe::resolve_on(base, &request)?;
    // What follows from weights and images is in a run's own text already.
    let is_own_text = base.is_some() && arguments.recipe.is_none();
    let pretrained = if is_own_text { None } else { Pretrained::of(&recipe)? };
    if let Some(pretrained) = &pretrained {
        pretrained.adopt(&mut recipe, &request)?;
    }
    let spec: DataSpec = recipe.data.parse()?;
    if spec.is_files() && recipe.input.is_none() {
        recipe.input = Some(input_of(&recipe, pretrained.as_ref())?);
    }
    if let Some(begun) = &begun {
        // Where the data lie may have changed; what they are is compared when they are there.
        check_recipe(begun, &Recipe { data: begun.data.clone(), ..recipe.clone() })?;
    }
    check_archives(world, &spec)?;
    let data = Data::load(&spec, world)?;
    if data.stands_in {
        tracing::warn!("\n{}", stand_in_banner());
    }
    recipe.data = match &begun {
        // Files may have been moved; what they are is compared when the run goes on.
        Some(begun) if data.is_files() => begun.data.clone(),
        _ => data.name.clone(),
    };
    if let Some(begun) = &begun {
        check_recipe(begun, &recipe)?;
    }
    check_ranks(world, &recipe, &data)?;
    let stop = StopRequest::listen()?;
    let folder = match resumed {
        Some(run) => run,
        None => begin(arguments, &recipe, &data, world)?,
    };
    world.set_folder(folder.path());
    if !world.leads() {
        let place = folder.file(&format!("rank-{}.log", world.rank()));
        if world.leads_a_machine() {
            log::aloud(&format!("met the others; the rest goes to {}", place.display()));
        }
        log::to_file(&place)?;
    }
    // A run that is resumed has taken over what it needs, or else begins like a new one further down.
    let pretrained = pretrained.filter(|_| begun.is_none());
    let outcome = match work(&recipe, &data, &folder, stop, pretrained, begun.as_ref(), world) {
        Ok(outcome) => outcome,
        Err(error) => {
            // Refused ahead of anything worth keeping: nothing is left to be taken for a run.
            if begun.is_none() && error.is_refusal() && world.leads() {
                folder.take_back();
            }
            return Err(error);
        }
    };
    if world.leads() {
        write(&outcome, &recipe, &data, &folder)?;
    }
    Ok(Finished { recipe, data, folder, outcome })
}

/// The folder of the run that is gone on with, if one is: what was asked for, or, where a launcher starts runs again, what
/// is there already. Rank 0 decides for all.
fn place(arguments: &TrainArgs, world: &World) -> Result<Option<PathBuf>, Error> {
    let TrainArgs { out, resume, .. } = arguments;
    if world.restarts_together() && out.is_none() && resume.is_none() {
        return Err(Refusal::RestartWithoutFolder.into());
    }
    let left = out.as_ref().filter(|out| world.restarts() && out.join(CONFIG).is_file());
    let own = resume.as_ref().or(left).cloned();
    let said = world.follow_rank_0("folder", own)?;
    // Of one command, that is: a launcher's restarts find on rank 0 what there is.
    if said.is_some() != resume.is_some() && !world.restarts() {
        let begins = |resumes: bool| if resumes { "resumes (--resume)" } else { "begins anew" };
        let (of_rank_0, own) = (begins(said.is_some()), begins(resume.is_some()));
        let difference = format!("rank 0 {of_rank_0}, this rank {own}");
        return Err(training::Error::OtherRank(vec![difference]).into());
    }
    Ok(said)
}

/// How images become squares where the recipe does not say so: as the weights know them, or the network.
fn input_of(recipe: &Recipe, pretrained: Option<&Pretrained>) -> Result<InputRecipe, Error> {
    let known = match pretrained {
        Some(pretrained) => pretrained.description().clone(),
        None => foreign(recipe.model.preset.parse()?, None),
    };
    let input = InputRecipe::of(&known);
    tracing::info!(
        "the recipe has no table [input]: images become squares of {side} pixels (--set input.side=…)",
        side = input.side
    );
    Ok(input)
}

/// From a folder that says how the run is made to its end. `begun` is the recipe of a run that is gone on with.
fn work(
    recipe: &Recipe,
    data: &Data,
    folder: &RunFolder,
    stop: StopRequest,
    pretrained: Option<Pretrained>,
    begun: Option<&Recipe>,
    world: &World,
) -> Result<Outcome, Error> {
    let mut training = Training::new(recipe, data, folder, stop, world.clone())?;
    if let Some(pretrained) = pretrained {
        training.start_from(pretrained)?;
    }
    if let Some(begun) = begun {
        if !training.resume(begun)?
            && let Some(pretrained) = Pretrained::of(recipe)?
        {
            training.start_from(pretrained)?;
        }
        if world.leads() {
            folder.extend_environment(recipe.seed, world.ranks(), training.steps_done())?;
            // With other ranks each has another part of a batch.
            if begun.batch_size != recipe.batch_size {
                folder.write_config(recipe)?;
            }
        }
    }
    tracing::info!(
        "{} ({}) · {} training and {} test images",
        data.name,
        data.origin,
        data.train.len(),
        data.test.len()
    );
    tracing::info!("{}", training.headline());
    tracing::info!("run folder {}", folder.path().display());
    Ok(training.run()?)
}

/// The folder of a new run, which says how it is made.
fn begin(
    arguments: &TrainArgs,
    recipe: &Recipe,
    data: &Data,
    world: &World,
) -> Result<RunFolder, Error> {
    if !world.leads() {
        let path = world.broadcast_bytes(Vec::new())?;
        return Ok(RunFolder::of_rank_0(Path::new(&*String::from_utf8_lossy(&path)))?);
    }
    let name = format!("{}-{}", recipe_name(arguments.request().recipe_name()), data.short_name());
    let folder = RunFolder::create(arguments.out.as_deref(), &name)?;
    folder.write_config(recipe)?;
    folder.write_environment(recipe.seed, world.ranks())?;
    world.broadcast_bytes(folder.path().display().to_string().into_bytes())?;
    Ok(folder)
}

/// `quick` of `quick`, `mine` of `recipes/mine.toml`.
fn recipe_name(recipe: &str) -> &str {
    Path::new(recipe).file_stem().and_then(|stem| stem.to_str()).unwrap_or("run")
}

/// What is left for programs and for the report.
fn write(outcome: &Outcome, recipe: &Recipe, data: &Data, folder: &RunFolder) -> Result<(), Error> {
    let Outcome { last, best, seconds, test, left_out } = outcome;
    let per_class: serde_json::Map<String, serde_json::Value> = data
        .class_names()
        .iter()
        .cloned()
        .zip(last.per_class().into_iter().map(|part| json!(part)))
        .collect();
    let left_out = LeftOutNames {
        train: left_out.train.names(&*data.train),
        test: left_out.test.names(&*data.test),
    };
    let document = json!({
        "data": data.name, "epochs": recipe.epochs, "seconds": seconds, "last": last.to_json(),
        "best": { "epoch": best.epoch, "top1": best.top1 }, "per_class": per_class, "confusion": last.confusion,
        "left_out": left_out,
    });
    folder.write_json("results.json", &document)?;
    let weights = folder.file("last.safetensors");
    Details::of(last, data, test, left_out, &weights)?.save(folder)?;
    crate::report::write(folder.path(), None)?;
    Ok(())
}

/// What is said to people.
fn say(finished: &Finished) -> Result<(), Error> {
    let Finished { recipe, data, folder, outcome } = finished;
    let Outcome { last, best, seconds, .. } = outcome;
    print(&format!(
        "\nAccuracy by class on the {} test set:\n{}",
        data.name,
        table::per_class(last, data.class_names())
    ))?;
    if let Some(matrix) = table::confusion(last, data.class_names()) {
        print(&format!(
            "\nRows are the true classes, columns what they were taken for:\n{matrix}"
        ))?;
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
    print(&format!(
        "best epoch {}: {:.2} % (chosen on the test set, so it flatters)",
        best.epoch,
        best.top1 * 100.0
    ))?;
    if best.top1 > last.top1 {
        print(&format!("weights of that epoch: {}", folder.file("best.safetensors").display()))?;
    }
    print(&format!("report: {}", folder.file(crate::report::FILE).display()))?;
    print(&format!("weights and metrics: {}", folder.path().display()))
}
