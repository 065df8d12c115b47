//! `xception cv`: k-fold cross-validation. Each part of the images is measured once by a network that did not see it, which
//! says more than one test set where images are few.

#![allow(
    rustdoc::broken_intra_doc_links,
    rustdoc::invalid_html_tags,
    reason = "these comments are what --help prints, where brackets mean an option"
)]

use std::path::{Path, PathBuf};

use clap::Args;
use datasets::regular_file;
use serde_json::{Value, json};

use super::{print, study};
use crate::commands::Error;
use crate::commands::recipe_arguments::RecipeArgs;
use crate::evaluation::PREDICTIONS;
use crate::file_error::FileError;
use crate::report::{self, Spread};
use crate::whole_file;

/// Flags of `xception cv`.
#[derive(Debug, Args)]
pub struct CvArgs {
    /// The recipe and its changes.
    #[command(flatten)]
    pub recipe: RecipeArgs,
    /// Parts of the images, each of which is the test set of one run
    #[arg(long, value_name = "K", default_value_t = 5, value_parser = clap::value_parser!(u64).range(2..=100))]
    pub folds: u64,
    /// Times that it is done, each with other parts and another seed
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=100))]
    pub repeats: u64,
    /// Folder of all runs; an interrupted cross-validation resumes there
    #[arg(long, value_name = "DIR", default_value = "runs/cv")]
    pub out: PathBuf,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// The figures of each run: their names, their places in `results.json`, and whether they are percentages.
const FIGURES: [(&str, &str, bool); 5] = [
    ("mean average precision", "/last/mean_average_precision", false),
    ("accuracy", "/last/top1", true),
    ("balanced accuracy", "/last/balanced_accuracy", true),
    ("macro F1", "/last/macro_f1", false),
    ("loss", "/last/loss", false),
];

pub(super) fn run(arguments: &CvArgs) -> Result<(), Error> {
    let mut runs = Vec::new();
    let mut finished = Vec::new();
    for repeat in 0..arguments.repeats {
        for number in 1..=arguments.folds {
            let folder = arguments.out.join(match arguments.repeats {
                1 => format!("fold-{number}"),
                _ => format!("repeat-{}-fold-{number}", repeat + 1),
            });
            tracing::info!("fold {number} of {}, repeat {}", arguments.folds, repeat + 1);
            finished.push(study::results(&folder, of_fold(arguments, number, repeat))?);
            runs.push(folder);
        }
    }
    // Images with one label have no mean average precision, and those with several no balanced accuracy.
    let spreads: Vec<Spread> = FIGURES
        .iter()
        .map(|figure| spread(*figure, &finished))
        .filter(|spread| !spread.values.is_empty())
        .collect();
    let page = arguments.out.join("comparison.html");
    report::cross_validation(&runs, &spreads, &page)?;
    let table = predictions(&runs)?;
    whole_file::write(&arguments.out.join(PREDICTIONS), &table)?;
    let figure = |spread: &Spread| {
        let (mean, deviation) = spread.moments();
        (
            spread.name.replace(' ', "_"),
            json!({ "mean": mean, "deviation": deviation, "values": spread.values }),
        )
    };
    let figures: serde_json::Map<String, Value> = spreads.iter().map(figure).collect();
    let document =
        json!({ "folds": arguments.folds, "repeats": arguments.repeats, "figures": figures });
    whole_file::write(&arguments.out.join("cv.json"), &format!("{document:#}\n"))?;
    if arguments.json {
        return print(&format!("{document:#}"));
    }
    let lines = spreads.iter().map(|spread| format!("{:<23} {}", spread.name, spread.text()));
    print(&format!(
        "{} runs, each measured on images that it was not trained on; mean ± standard deviation:\n{}",
        runs.len(),
        lines.collect::<Vec<_>>().join("\n")
    ))?;
    print(&format!("page: {}", page.display()))?;
    print(&format!("answers to all images: {}", arguments.out.join(PREDICTIONS).display()))
}

/// The recipe of one run.
fn of_fold(arguments: &CvArgs, number: u64, repeat: u64) -> RecipeArgs {
    let of = arguments.folds;
    let mut recipe = arguments.recipe.clone();
    recipe.set.push(format!("training_set.fold={{ number = {number}, of = {of} }}"));
    if repeat > 0 {
        recipe.set.push(format!("training_set.seed={repeat}"));
        recipe.set.push(format!("seed={repeat}"));
    }
    recipe
}

fn spread((name, place, is_part): (&'static str, &str, bool), finished: &[Value]) -> Spread {
    let value = |results: &Value| results.pointer(place).and_then(Value::as_f64);
    Spread { name, values: finished.iter().filter_map(value).collect(), is_part }
}

/// The rows of all runs as one table; runs with too many rows have none.
fn predictions(runs: &[PathBuf]) -> Result<String, Error> {
    let mut all = String::new();
    for path in runs.iter().map(|run| run.join(PREDICTIONS)).filter(|path| path.is_file()) {
        let table = read(&path)?;
        let rows = table.split_once('\n').map_or("", |(_, rows)| rows);
        all += if all.is_empty() { &table } else { rows };
    }
    Ok(all)
}

fn read(path: &Path) -> Result<String, FileError> {
    regular_file::read_to_string(path).map_err(FileError::on("read", path))
}
