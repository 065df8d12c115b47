//! A recipe is everything that makes a run what it is: every number written, no defaults, unknown keys refused.

mod augmentation;
mod named;
mod progressive;

use std::path::Path;

use datasets::{Augmentation, Normalization};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};
use xception::{CifarScale, ModelSpec, Preset};

use crate::optimizer::OptimizerConfig;
use crate::precision::Precision;
use crate::schedule::Schedule;
use crate::{Error, cli::TrainArgs};

pub use augmentation::{
    AppliesTo, AugmentationRecipe, CropMode, ErasingRecipe, ErasingValueRecipe, HorizontalFlip,
    JitterRecipe, MixRecipe, PolicyRecipe, ResizedCropRecipe,
};
pub use named::{NAMED, named};
pub use progressive::Stage;

/// How to train.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// A data set as `--data` takes it.
    pub data: String,
    /// Of initialisation, order and augmentation.
    pub seed: u64,
    /// Times through the training set.
    pub epochs: u64,
    /// Pictures a step.
    pub batch_size: usize,
    /// Pictures at a time in evaluation, which does not change results.
    pub eval_batch_size: usize,
    /// Numbers to compute in.
    pub precision: Precision,
    /// Part of each label that is spread over all classes.
    pub label_smoothing: f64,
    /// Steps between two lines of `metrics.jsonl`.
    pub log_every: u64,
    /// The network.
    pub model: ModelRecipe,
    /// The optimizer.
    pub optimizer: OptimizerConfig,
    /// The learning rate.
    pub schedule: Schedule,
    /// Random changes to the pictures.
    pub augmentation: AugmentationRecipe,
    /// From bytes to what the network sees.
    pub normalization: NormalizationRecipe,
    /// The size of the pictures in the course of the run; none is their own throughout.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub progressive: Vec<Stage>,
}

/// The network of a recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelRecipe {
    /// Its name.
    pub preset: String,
    /// Its scale: for `cifar` only, and there needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale: Option<CifarScale>,
}

/// Colours on the scale 0 to 1 less `mean`, divided by `std`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NormalizationRecipe {
    /// Red, green, blue.
    pub mean: [f64; 3],
    /// Red, green, blue.
    pub std: [f64; 3],
}

impl Recipe {
    /// The recipe that `arguments` ask for: a named one or a file, with the changes that were typed.
    pub fn resolve(arguments: &TrainArgs) -> Result<Self, Error> {
        let name = &arguments.recipe;
        let refuse = |problem: String| Error::Recipe { name: name.clone(), problem };
        let complain = |error: toml::de::Error| refuse(error.to_string().trim_end().to_string());
        let text = text_of(name).map_err(refuse)?;
        let TrainArgs { preset, data, set, .. } = arguments;
        let recipe: Recipe = if preset.is_none() && data.is_none() && set.is_empty() {
            // Straight from the text, so that a complaint shows the line.
            toml::from_str(&text).map_err(complain)?
        } else {
            let mut table: Table = toml::from_str(&text).map_err(complain)?;
            if let Some(preset) = preset {
                apply(&mut table, &format!("model.preset={preset:?}")).map_err(Error::Usage)?;
                forget_scale(&mut table, preset.parse()?);
            }
            let data = data.iter().map(|data| format!("data={data:?}"));
            for change in data.chain(set.iter().cloned()) {
                apply(&mut table, &change).map_err(Error::Usage)?;
            }
            table.try_into().map_err(complain)?
        };
        recipe.validate().map_err(refuse)?;
        Ok(recipe)
    }

    fn validate(&self) -> Result<(), String> {
        let at_least_one = [
            ("epochs", self.epochs),
            ("batch_size", self.batch_size as u64),
            ("eval_batch_size", self.eval_batch_size as u64),
            ("log_every", self.log_every),
        ];
        if let Some((name, _)) = at_least_one.into_iter().find(|(_, value)| *value == 0) {
            return Err(format!("{name} must be at least 1, got 0"));
        }
        if !(0.0..1.0).contains(&self.label_smoothing) {
            return Err(format!(
                "label_smoothing must be at least 0 and below 1, got {}",
                self.label_smoothing
            ));
        }
        if let Some(problem) = self.augmentation.problem() {
            return Err(problem);
        }
        if let Some(std) =
            self.normalization.std.iter().find(|std| !(std.is_finite() && **std > 0.0))
        {
            return Err(format!("normalization.std must be above 0, got {std}"));
        }
        if let Some(problem) = self.optimizer.problem().or_else(|| self.schedule.problem()) {
            return Err(problem);
        }
        let preset: Preset =
            self.model.preset.parse().map_err(|error: xception::Error| error.to_string())?;
        match (preset, &self.model.scale) {
            (Preset::Cifar, None) => Err("model.scale is missing: preset cifar needs width, middle_modules, stem_stride and \
                                          entry_strides"
                .to_string()),
            (Preset::Cifar, Some(_)) | (_, None) => Ok(()),
            (_, Some(_)) => Err(format!("model.scale is for preset cifar only, not for {preset}; leave it out")),
        }?;
        let spec =
            ModelSpec { scale: self.model.scale.unwrap_or_default(), ..ModelSpec::new(preset) };
        progressive::problem(&self.progressive, spec).map_or(Ok(()), Err)
    }

    /// The network for `classes` classes.
    pub fn spec(&self, classes: i64) -> Result<ModelSpec, Error> {
        let preset = self.model.preset.parse()?;
        Ok(ModelSpec { preset, classes, scale: self.model.scale.unwrap_or_default() })
    }

    /// The changes to the training pictures.
    pub fn augmentation(&self) -> Augmentation {
        self.augmentation.for_training()
    }

    /// The changes to the test pictures.
    pub fn test_augmentation(&self) -> Augmentation {
        self.augmentation.for_test()
    }

    /// Rows and columns of the training pictures in epoch `epoch`, counted from 1; `None` for their own.
    pub fn side(&self, epoch: u64) -> Option<usize> {
        progressive::side(&self.progressive, epoch, self.epochs)
    }

    /// The normalisation.
    pub fn normalization(&self) -> Normalization {
        Normalization { mean: self.normalization.mean, std: self.normalization.std }
    }
}

/// The text of a recipe: a named one's, or a file's.
fn text_of(name: &str) -> Result<String, String> {
    if let Some(text) = named(name) {
        return Ok(text.to_string());
    }
    if Path::new(name).extension().is_some_and(|extension| extension == "toml") {
        return std::fs::read_to_string(name).map_err(|error| format!("cannot be read: {error}"));
    }
    let known: Vec<&str> = NAMED.iter().map(|(name, _)| *name).collect();
    Err(format!("unknown; known are {}, or give a .toml file", known.join(", ")))
}

/// The scale belongs to the recipe's own preset: another one asked for on the command line leaves it behind.
fn forget_scale(table: &mut Table, preset: Preset) {
    let model = table.get_mut("model").and_then(Value::as_table_mut);
    if let Some(model) = model.filter(|_| preset != Preset::Cifar) {
        model.remove("scale");
    }
}

/// Sets one value, `key.sub=value`; a value that is not TOML is a word.
fn apply(table: &mut Table, change: &str) -> Result<(), String> {
    let (key, value) = change
        .split_once('=')
        .ok_or_else(|| format!("--set {change}: expected KEY=VALUE, such as epochs=3"))?;
    let (key, value) = (key.trim(), value.trim());
    let parsed = toml::from_str::<Table>(&format!("value = {value}"))
        .ok()
        .and_then(|mut table| table.remove("value"));
    let value = parsed.unwrap_or_else(|| Value::String(value.to_string()));
    let mut path: Vec<&str> = key.split('.').collect();
    let last = path
        .pop()
        .filter(|last| !last.is_empty())
        .ok_or_else(|| format!("--set {change}: the key is empty"))?;
    let mut place = table;
    for step in path {
        let next = place.entry(step).or_insert_with(|| Value::Table(Table::new()));
        place = next
            .as_table_mut()
            .ok_or_else(|| format!("--set {change}: '{step}' is a value, it has nothing inside"))?;
    }
    place.insert(last.to_string(), value);
    Ok(())
}

#[cfg(test)]
mod tests;
