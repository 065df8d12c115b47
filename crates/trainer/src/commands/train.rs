//! `xception train`: resolves the recipe, finds the data, trains, and says what came of it.

use std::path::Path;

use serde_json::json;

use super::print;
use crate::Error;
use crate::cli::TrainArgs;
use crate::data::{Data, DataSpec, stand_in_banner};
use crate::evaluation::Details;
use crate::recipe::Recipe;
use crate::run_folder::RunFolder;
use crate::stop::StopRequest;
use crate::table;
use crate::training::{Outcome, Training, clock, recipe_differences};

pub(super) fn run(arguments: &TrainArgs) -> Result<(), Error> {
    // Locked ahead of everything: what is read must stay as it is.
    let begun = arguments.resume.as_deref().map(RunFolder::reopen).transpose()?;
    let mut recipe = Recipe::resolve(arguments)?;
    if let Some(run) = &begun {
        check_recipe(&recipe, run)?;
    }
    let data = Data::load(&recipe.data.parse::<DataSpec>()?)?;
    if data.stands_in {
        tracing::warn!("\n{}", stand_in_banner());
    }
    recipe.data = data.name.to_string();
    let stop = StopRequest::listen()?;
    let training;
    let folder;
    match begun {
        Some(run) => {
            folder = run;
            check_data(&recipe, &folder)?;
            let mut resumed = Training::new(&recipe, &data, &folder, stop)?;
            resumed.resume()?;
            folder.extend_environment(recipe.seed, resumed.steps_done())?;
            training = resumed;
        }
        None => {
            let name = format!("{}-{}", recipe_name(&arguments.recipe_name()), data.name);
            folder = RunFolder::create(arguments.out.as_deref(), &name)?;
            folder.write_config(&recipe)?;
            folder.write_environment(recipe.seed)?;
            training = Training::new(&recipe, &data, &folder, stop)?;
        }
    }
    tracing::info!(
        "{} ({}) · {} training and {} test pictures",
        data.name,
        data.origin,
        data.train.len(),
        data.test.len()
    );
    tracing::info!("{}", training.headline());
    tracing::info!("run folder {}", folder.path().display());
    let outcome = training.run()?;
    report(&outcome, &recipe, &data, &folder)
}

/// Refuses to go on with a run as another one, also where it has no checkpoint yet. The data are compared when they are
/// there: where they lie may have changed.
fn check_recipe(recipe: &Recipe, run: &RunFolder) -> Result<(), Error> {
    let begun = Recipe::read(&run.config())?;
    refuse_other(recipe_differences(&begun, &Recipe { data: begun.data.clone(), ..recipe.clone() }))
}

fn check_data(recipe: &Recipe, run: &RunFolder) -> Result<(), Error> {
    refuse_other(recipe_differences(&Recipe::read(&run.config())?, recipe))
}

fn refuse_other(differences: Vec<String>) -> Result<(), Error> {
    match differences.is_empty() {
        true => Ok(()),
        false => Err(Error::OtherRun(differences.join("\n  "))),
    }
}

/// `quick` of `quick`, `mine` of `recipes/mine.toml`.
fn recipe_name(recipe: &str) -> &str {
    Path::new(recipe).file_stem().and_then(|stem| stem.to_str()).unwrap_or("run")
}

fn report(
    outcome: &Outcome,
    recipe: &Recipe,
    data: &Data,
    folder: &RunFolder,
) -> Result<(), Error> {
    let Outcome { last, best, seconds } = outcome;
    let per_class: serde_json::Map<String, serde_json::Value> = data
        .class_names()
        .iter()
        .cloned()
        .zip(last.per_class().into_iter().map(|part| json!(part)))
        .collect();
    let document = json!({
        "data": data.name, "epochs": recipe.epochs, "seconds": seconds, "last": last.to_json(),
        "best": { "epoch": best.epoch, "top1": best.top1 }, "per_class": per_class, "confusion": last.confusion,
    });
    folder.write_json("results.json", &document)?;
    Details::of(last, data, &folder.file("last.safetensors"))?.save(folder)?;

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
    let stands_in = if data.stands_in { " (synthetic pictures, NOT CIFAR-10)" } else { "" };
    print(&format!(
        "\n{} test accuracy{stands_in}: {:.2} % (top-5 {:.2} %, loss {:.4}, {} pictures) after {} epochs in {}",
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
    print(&format!("report: {}", crate::report::write(folder.path(), None)?.display()))?;
    print(&format!("weights and metrics: {}", folder.path().display()))
}
