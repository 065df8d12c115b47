//! `xception ablate`: trains variants of the network under one recipe, to measure what a part of it contributes.

#![allow(
    rustdoc::broken_intra_doc_links,
    rustdoc::invalid_html_tags,
    reason = "these comments are what --help prints, where brackets mean an option"
)]

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use xception::summary::Summary;

use super::{print, study};
use crate::commands::Error;
use crate::commands::recipe_arguments::RecipeArgs;
use crate::recipe::Recipe;
use crate::report::{self, Spread};
use crate::run::run_folder::CONFIG;
use crate::whole_file;

/// Flags of `xception ablate`.
#[derive(Debug, Args)]
pub struct AblateArgs {
    /// The part that is varied
    #[arg(value_enum, value_name = "STUDY")]
    pub study: Study,
    /// The recipe of all runs
    #[arg(long, value_name = "NAME|FILE", default_value = "quick")]
    pub recipe: String,
    /// As for `xception train`
    #[arg(long, value_name = "SPEC")]
    pub data: Option<String>,
    /// Runs of each network, from seed 0 on
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=100))]
    pub seeds: u64,
    /// Folder of all runs; an interrupted study resumes there [default: runs/ablate-STUDY]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Change one value of the recipe for all runs; repeatable
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// The part of the network that is varied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Study {
    /// The residual connections (the paper's figure 9)
    Shortcuts,
    /// Nothing, ReLU or ELU between the halves of a separable convolution (figure 10)
    Activation,
    /// The spectrum from regular convolution, one segment, to one segment for each channel (section 1.2)
    Segments,
    /// Two fully connected layers of 4096 units before the logistic regression (section 4.2, table 2)
    FullyConnected,
}

/// A network of a study: its name, and its change to the recipe.
struct Variant {
    name: &'static str,
    change: Option<&'static str>,
}

const fn variant(name: &'static str, change: Option<&'static str>) -> Variant {
    Variant { name, change }
}

impl Study {
    fn variants(self) -> &'static [Variant] {
        match self {
            Study::Shortcuts => {
                const {
                    &[
                        variant("with-shortcuts", None),
                        variant("without-shortcuts", Some("model.options.shortcuts=none")),
                    ]
                }
            }
            Study::Activation => {
                const {
                    &[
                        variant("no-activation", None),
                        variant("relu", Some("model.options.within=relu")),
                        variant("elu", Some("model.options.within=elu")),
                    ]
                }
            }
            Study::Segments => {
                const {
                    &[
                        variant("1-segment", Some("model.options.segments=1")),
                        variant("2-segments", Some("model.options.segments=2")),
                        variant("4-segments", Some("model.options.segments=4")),
                        variant("8-segments", Some("model.options.segments=8")),
                        variant("one-a-channel", None),
                    ]
                }
            }
            Study::FullyConnected => {
                const {
                    &[
                        variant("without", None),
                        variant(
                            "with",
                            Some("model.options.fully_connected={ layers = 2, width = 4096 }"),
                        ),
                    ]
                }
            }
        }
    }

    fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_string())
    }
}

pub(super) fn run(arguments: &AblateArgs) -> Result<(), Error> {
    let root = arguments
        .out
        .clone()
        .unwrap_or_else(|| Path::new("runs").join(format!("ablate-{}", arguments.study.name())));
    let mut rows = Vec::new();
    let mut runs = Vec::new();
    for variant in arguments.study.variants() {
        let mut finished = Vec::new();
        for seed in 0..arguments.seeds {
            let folder = root.join(format!("{}-{seed}", variant.name));
            tracing::info!("{}, seed {seed}", variant.name);
            finished.push(study::results(&folder, of_variant(arguments, variant, seed))?);
            runs.push(folder);
        }
        rows.push(Row::of(variant.name, &root.join(format!("{}-0", variant.name)), &finished)?);
    }
    let page = root.join("comparison.html");
    report::compare(&runs, &page)?;
    let document = json!({
        "study": arguments.study.name(), "seeds": arguments.seeds,
        "variants": rows.iter().map(Row::to_json).collect::<Vec<_>>(),
    });
    whole_file::write(&root.join("ablation.json"), &format!("{document:#}\n"))?;
    if arguments.json {
        return print(&format!("{document:#}"));
    }
    print(&table(&rows))?;
    print(&format!("curves: {}", page.display()))
}

/// The recipe of a variant.
fn of_variant(arguments: &AblateArgs, variant: &Variant, seed: u64) -> RecipeArgs {
    let change = variant.change.map(ToString::to_string);
    RecipeArgs {
        recipe: Some(arguments.recipe.clone()),
        data: arguments.data.clone(),
        set: arguments.set.iter().cloned().chain(change).chain([format!("seed={seed}")]).collect(),
        ..RecipeArgs::default()
    }
}

/// A line of the table: one variant.
struct Row {
    name: &'static str,
    parameters: u64,
    macs: u64,
    top1: Vec<f64>,
    top5: Vec<f64>,
    seconds: Vec<f64>,
}

impl Row {
    fn of(name: &'static str, folder: &Path, finished: &[Value]) -> Result<Self, Error> {
        let recipe = Recipe::read(&folder.join(CONFIG))?;
        let number = |value: &Value, path: &str| value.pointer(path).and_then(Value::as_f64);
        let numbers = |path: &str| -> Vec<f64> {
            finished.iter().filter_map(|results| number(results, path)).collect()
        };
        let classes = finished
            .first()
            .and_then(|results| results["per_class"].as_object())
            .map_or(1, |classes| classes.len());
        let spec = recipe.spec(classes as i64)?;
        let side = recipe.input.map_or(spec.preset.input(), |input| input.side as i64);
        let summary = Summary::new(&spec.architecture()?, spec.classes, side)?;
        Ok(Self {
            name,
            parameters: summary.params_trainable(),
            macs: summary.macs(),
            top1: numbers("/last/top1"),
            top5: numbers("/last/top5"),
            seconds: numbers("/seconds"),
        })
    }

    fn to_json(&self) -> Value {
        json!({
            "name": self.name, "parameters": self.parameters, "macs": self.macs,
            "top1": self.top1, "top5": self.top5, "seconds": self.seconds,
        })
    }
}

fn table(rows: &[Row]) -> String {
    let mut lines = vec![format!(
        "{:<18} {:>12} {:>14} {:>18} {:>18} {:>10}",
        "variant", "parameters", "multiply-adds", "top-1 %", "top-5 %", "minutes"
    )];
    lines.extend(rows.iter().map(|row| {
        format!(
            "{:<18} {:>12} {:>14} {:>18} {:>18} {:>10}",
            row.name,
            row.parameters,
            row.macs,
            Spread::scaled(&row.top1, 100.0),
            Spread::scaled(&row.top5, 100.0),
            Spread::scaled(&row.seconds, 1.0 / 60.0),
        )
    }));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every variant is a network of its own under the recipe that studies take.
    #[test]
    fn variants_differ() {
        for study in Study::value_variants() {
            let mut tables = Vec::new();
            for variant in study.variants() {
                let set = variant.change.into_iter().map(ToString::to_string).collect();
                let recipe = Some("quick".into());
                let arguments = RecipeArgs { recipe, set, ..RecipeArgs::default() };
                let recipe = Recipe::resolve(&arguments.request()).unwrap();
                let table = recipe.spec(10).unwrap().architecture().unwrap();
                assert!(!tables.contains(&table), "{study:?} {}", variant.name);
                tables.push(table);
            }
        }
    }
}
