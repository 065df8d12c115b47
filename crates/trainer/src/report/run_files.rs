//! Reads the folder of a run: the files that every run has, and those that exist once training has ended.

use std::path::{Path, PathBuf};

use datasets::regular_file;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::curves::{Curves, Point};
use super::error::{Error, Problem};
use crate::evaluation::{self, Details, FirstLayer};
use crate::file_error::FileError;

/// Files that every run has from its start.
const NEEDED: [&str; 3] = ["config.toml", "env.json", "metrics.jsonl"];

/// The content of a run's folder.
#[derive(Debug)]
pub(super) struct Run {
    /// The folder's name, or its path where two runs share a name.
    pub(super) name: String,
    /// `config.toml` as it is.
    pub(super) recipe_text: String,
    /// The same, parsed.
    pub(super) recipe: toml::Table,
    /// `env.json`.
    pub(super) environment: Map<String, Value>,
    /// `metrics.jsonl`.
    pub(super) curves: Curves,
    /// `evaluation.json`, of a run that ended.
    pub(super) details: Option<Details>,
    /// The filters of the first layer, from there or else from the last weights.
    pub(super) first_layer: Option<FirstLayer>,
    /// Seconds of training and evaluation, by `results.json`, of a run that ended.
    trained_seconds: Option<f64>,
    /// The best epoch by `results.json`, of a run that ended.
    best_epoch: Option<u64>,
}

impl Run {
    /// Reads the run in `folder`.
    pub(super) fn read(folder: &Path) -> Result<Self, Error> {
        let missing: Vec<&str> =
            NEEDED.into_iter().filter(|name| !folder.join(name).is_file()).collect();
        if !missing.is_empty() {
            return Err(Error::NotARun { folder: folder.to_path_buf(), missing });
        }
        let recipe_path = folder.join("config.toml");
        let recipe_text = text(&recipe_path)?;
        let recipe = recipe_text
            .parse()
            .map_err(|error| unusable(&recipe_path, Problem::Toml(Box::new(error))))?;
        let details_path = folder.join(evaluation::FILE);
        let details: Option<Details> = document(&details_path)?;
        if details.as_ref().is_some_and(|details| !details.is_consistent()) {
            return Err(unusable(&details_path, Problem::Inconsistent));
        }
        let results: Option<Value> = document(&folder.join("results.json"))?;
        let last = folder.join("last.safetensors");
        let first_layer = match &details {
            Some(details) => details.first_layer.clone(),
            None if last.is_file() => FirstLayer::read(&last)?,
            None => None,
        };
        Ok(Self {
            name: name_of(folder),
            recipe_text,
            recipe,
            environment: document(&folder.join("env.json"))?.unwrap_or_default(),
            curves: Curves::read(&text(&folder.join("metrics.jsonl"))?),
            details,
            first_layer,
            trained_seconds: results.as_ref().and_then(|results| results["seconds"].as_f64()),
            best_epoch: results.and_then(|results| results["best"]["epoch"].as_u64()),
        })
    }

    /// The name of the data set in prose.
    pub(super) fn data(&self) -> &str {
        match self.recipe.get("data").and_then(toml::Value::as_str) {
            Some("cifar10") => "CIFAR-10",
            Some("cifar100") => "CIFAR-100",
            Some("synthetic") => "synthetic shapes",
            Some("synthetic-multi") => "synthetic shapes, several an image",
            Some(other) => other,
            None => "unknown data",
        }
    }

    /// Whether the images were drawn by the program.
    pub(super) fn is_synthetic(&self) -> bool {
        let data = self.recipe.get("data").and_then(toml::Value::as_str);
        matches!(data, Some("synthetic" | "synthetic-multi"))
    }

    /// The set that was measured after every epoch, in prose.
    pub(super) fn measured(&self) -> &str {
        self.environment.get("measured").and_then(Value::as_str).unwrap_or("test")
    }

    /// The preset of the network.
    pub(super) fn preset(&self) -> &str {
        let model = self.recipe.get("model");
        model.and_then(|model| model.get("preset")?.as_str()).unwrap_or("unknown")
    }

    /// Rows and columns, in pixels, of the squares that image files became; `None` for images of one size.
    pub(super) fn side(&self) -> Option<i64> {
        self.recipe.get("input")?.get("side")?.as_integer()
    }

    /// The number of classes, of a run that ended.
    pub(super) fn classes(&self) -> Option<usize> {
        self.details.as_ref().map(|details| details.class_names.len())
    }

    /// The figure by which epochs are compared, of the best one: of images with several labels mean average precision, else
    /// accuracy. Until a run has ended it is the largest.
    pub(super) fn best(&self) -> Option<&Point> {
        let tag = match self.curves.points("val/map") {
            [] => "val/acc1",
            _ => "val/map",
        };
        let of_epoch = |epoch| self.curves.points(tag).iter().find(|point| point.epoch == epoch);
        self.best_epoch.and_then(of_epoch).or_else(|| self.curves.largest(tag))
    }

    /// Whether training reached its end, as far as the folder shows.
    pub(super) fn has_ended(&self) -> bool {
        self.details.is_some() || self.trained_seconds.is_some()
    }

    /// Epochs that the recipe asks for.
    pub(super) fn planned_epochs(&self) -> Option<u64> {
        self.recipe.get("epochs")?.as_integer()?.try_into().ok()
    }

    /// Epochs that were measured.
    pub(super) fn measured_epochs(&self) -> u64 {
        self.curves.last("val/acc1").map_or(0, |point| point.epoch)
    }

    /// Top-1 accuracy on the test set: of the final evaluation, or else of the last epoch.
    pub(super) fn top1(&self) -> Option<f64> {
        self.final_or_last(|details| details.top1, "val/acc1")
    }

    /// Top-5 accuracy on the test set.
    pub(super) fn top5(&self) -> Option<f64> {
        self.final_or_last(|details| details.top5, "val/acc5")
    }

    /// Mean cross-entropy on the test set.
    pub(super) fn loss(&self) -> Option<f64> {
        self.final_or_last(|details| details.loss, "val/loss")
    }

    fn final_or_last(&self, of: impl Fn(&Details) -> f64, tag: &str) -> Option<f64> {
        match &self.details {
            Some(details) => Some(of(details)),
            None => self.curves.last(tag).map(|point| point.value),
        }
    }

    /// Seconds of training; for a run that has not ended, those between its first and its last line of metrics.
    pub(super) fn seconds(&self) -> Option<f64> {
        self.trained_seconds.or_else(|| self.curves.seconds())
    }
}

/// Names runs that share a name by the paths that were typed.
pub(super) fn tell_apart(runs: &mut [Run], folders: &[PathBuf]) {
    let names: Vec<String> = runs.iter().map(|run| run.name.clone()).collect();
    for (run, folder) in runs.iter_mut().zip(folders) {
        if names.iter().filter(|name| **name == run.name).count() > 1 {
            run.name = folder.display().to_string();
        }
    }
}

/// The folder's own name, also of `.`.
fn name_of(folder: &Path) -> String {
    let full = folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf());
    full.file_name().unwrap_or(folder.as_os_str()).to_string_lossy().into_owned()
}

fn text(path: &Path) -> Result<String, Error> {
    let bytes = regular_file::read(path).map_err(FileError::on("read", path))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A JSON document; `None` for a file that is not there.
fn document<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Error> {
    if !path.is_file() {
        return Ok(None);
    }
    let document = serde_json::from_str(&text(path)?);
    document.map(Some).map_err(|error| unusable(path, Problem::Json(error)))
}

fn unusable(path: &Path, problem: Problem) -> Error {
    Error::Unusable { path: path.to_path_buf(), problem }
}
