//! A recipe is everything that makes a run what it is: every number written, no defaults, unknown keys refused.

mod augmentation;
mod input;
mod named;
mod progressive;
mod ranks;
mod request;
mod safety;
mod step;
mod transfer;

use std::path::Path;

use datasets::{Augmentation, Normalization};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};
use xception::{CifarScale, ModelOptions, ModelSpec, Preset};

use crate::Error;
use crate::did_you_mean;
use crate::optim::average::AverageConfig;
use crate::optim::optimizer::{LayerGroup, OptimizerConfig, problem_of_groups};
use crate::optim::schedule::{Position, Schedule, Warmup};
use crate::precision::Precision;

pub use augmentation::{
    AppliesTo, AugmentationRecipe, CropMode, ErasingRecipe, ErasingValueRecipe, HorizontalFlip,
    JitterRecipe, MixRecipe, PolicyRecipe, ResizedCropRecipe,
};
pub use input::{BrokenRecipe, InputRecipe};
pub use named::{NAMED, named};
pub use progressive::Stage;
pub use ranks::{RankLearningRate, RankStatistics, RanksRecipe};
pub use request::Request;
pub use safety::{CheckpointRecipe, NonFinite};
pub use step::Clipping;
pub(crate) use step::StepOptions;
pub use transfer::{HeadStart, Statistics, TransferRecipe};

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
    /// Images a step, on each rank.
    pub batch_size: usize,
    /// Micro-batches that a step passes them in, one after the other; batch norm sees these. 1 for all at once.
    pub accumulation: usize,
    /// Images at a time in evaluation, which does not change results.
    pub eval_batch_size: usize,
    /// Numbers to compute in.
    pub precision: Precision,
    /// Part of each label that is spread over all classes.
    pub label_smoothing: f64,
    /// Steps between two lines of `metrics.jsonl`.
    pub log_every: u64,
    /// The network.
    pub model: ModelRecipe,
    /// The weights to start from; absent for ones that are drawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transfer: Option<TransferRecipe>,
    /// The optimizer.
    pub optimizer: OptimizerConfig,
    /// Layers that have their own factor to the learning rate and the weight decay.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<LayerGroup>,
    /// The learning rate.
    pub schedule: Schedule,
    /// What the learning rate is multiplied with at the start of the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warmup: Option<Warmup>,
    /// What becomes of gradients that are too long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clipping: Option<Clipping>,
    /// The average of the weights that is evaluated in place of the last ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub average: Option<AverageConfig>,
    /// Random changes to the images.
    pub augmentation: AugmentationRecipe,
    /// How images of any size come to one: needed where they are files, left out where they are of one size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<InputRecipe>,
    /// From bytes to what the network sees.
    pub normalization: NormalizationRecipe,
    /// How often the run is saved.
    pub checkpoints: CheckpointRecipe,
    /// What becomes of a loss that is not finite.
    pub non_finite: NonFinite,
    /// How several ranks train together; absent for [`RanksRecipe::default`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ranks: Option<RanksRecipe>,
    /// The size of the images in the course of the run; none is their own throughout.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub progressive: Vec<Stage>,
}

/// A recipe as it stands in a file.
#[derive(Debug, Clone)]
pub struct Text {
    /// What the file is called, for complaints.
    pub(crate) name: String,
    /// What it holds.
    pub(crate) text: String,
}

/// The network of a recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelRecipe {
    /// Its name.
    pub preset: String,
    /// Probability with which training blanks each input of the head; absent for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dropout: Option<f64>,
    /// Probability with which training leaves the last module out, and earlier ones in proportion; absent for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drop_path: Option<f64>,
    /// Its scale: for `cifar` only, and there needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale: Option<CifarScale>,
    /// In what it is not as its original.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub options: Option<ModelOptions>,
}

impl ModelRecipe {
    /// Whether a training step of the network draws random numbers.
    pub(crate) fn draws(&self) -> bool {
        self.dropout.is_some() || self.drop_path.is_some()
    }

    fn spec(&self, preset: Preset, classes: i64) -> ModelSpec {
        let (scale, options) = (self.scale.unwrap_or_default(), self.options.unwrap_or_default());
        ModelSpec { preset, classes, scale, options }
    }
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
    /// The recipe that `request` asks for: a named one, a file or the run's that is resumed, with the changes that were
    /// typed.
    pub fn resolve(request: &Request) -> Result<Self, Error> {
        Self::resolve_on(None, request)
    }

    /// The same, with `resumed` for the recipe of the run that is gone on with.
    pub(crate) fn resolve_on(resumed: Option<&Text>, request: &Request) -> Result<Self, Error> {
        let name = &match resumed {
            Some(resumed) if request.recipe.is_none() => resumed.name.clone(),
            _ => request.recipe_name().to_string(),
        };
        let refuse = |problem: String| Error::Recipe { name: name.clone(), problem };
        let complain = |error: toml::de::Error| refuse(error.to_string().trim_end().to_string());
        let text = match resumed {
            Some(resumed) if request.recipe.is_none() => resumed.text.clone(),
            _ => text_of(name).map_err(refuse)?,
        };
        let Request { preset, data, weights, set, .. } = request;
        let as_it_is = preset.is_none() && data.is_none() && weights.is_none() && set.is_empty();
        let recipe: Recipe = if as_it_is {
            // Straight from the text, so that a complaint shows the line.
            toml::from_str(&text).map_err(complain)?
        } else {
            let mut table: Table = toml::from_str(&text).map_err(complain)?;
            if let Some(preset) = preset {
                apply(&mut table, &format!("model.preset={preset:?}")).map_err(Error::Usage)?;
                forget_scale(&mut table, preset.parse()?);
            }
            if weights.is_some() && !table.contains_key("transfer") {
                return Err(Error::Usage(format!(
                    "recipe {name} does not start from weights (it has no table [transfer]); take --recipe finetune"
                )));
            }
            let data = data.iter().map(|data| format!("data={data:?}"));
            let weights = weights.iter().map(|weights| format!("transfer.weights={weights:?}"));
            for change in data.chain(weights).chain(set.iter().cloned()) {
                apply(&mut table, &change).map_err(Error::Usage)?;
            }
            table.try_into().map_err(complain)?
        };
        recipe.validate().map_err(refuse)?;
        Ok(recipe)
    }

    /// The resolved recipe in the file `config.toml` of a run.
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let name = path.display().to_string();
        match text_of(&name) {
            Ok(text) => Self::parse(&Text { name, text }),
            Err(problem) => Err(Error::Recipe { name, problem }),
        }
    }

    /// The same, of a file that was read.
    pub(crate) fn parse(config: &Text) -> Result<Self, Error> {
        let Text { name, text } = config;
        toml::from_str(text).map_err(|error| {
            let problem = error.to_string().trim_end().to_string();
            Error::Recipe { name: name.clone(), problem }
        })
    }

    fn validate(&self) -> Result<(), String> {
        let at_least_one = [
            ("epochs", self.epochs),
            ("batch_size", self.batch_size as u64),
            ("accumulation", self.accumulation as u64),
            ("eval_batch_size", self.eval_batch_size as u64),
            ("log_every", self.log_every),
        ];
        if let Some((name, _)) = at_least_one.into_iter().find(|(_, value)| *value == 0) {
            return Err(format!("{name} must be at least 1, got 0"));
        }
        if !self.batch_size.is_multiple_of(self.accumulation) {
            return Err(format!(
                "accumulation must divide batch_size, got {} micro-batches of {} images",
                self.accumulation, self.batch_size
            ));
        }
        if !(0.0..1.0).contains(&self.label_smoothing) {
            return Err(format!(
                "label_smoothing must be at least 0 and below 1, got {}",
                self.label_smoothing
            ));
        }
        if let Some(problem) = self.input.and_then(|input| input.problem()) {
            return Err(problem);
        }
        if let Some(problem) = self.augmentation.problem() {
            return Err(problem);
        }
        if let Some(std) =
            self.normalization.std.iter().find(|std| !(std.is_finite() && **std > 0.0))
        {
            return Err(format!("normalization.std must be above 0, got {std}"));
        }
        let problems = [
            self.optimizer.problem(),
            problem_of_groups(&self.groups),
            self.schedule.problem(),
            self.warmup.and_then(|warmup| warmup.problem()),
            self.clipping.and_then(Clipping::problem),
            self.average.and_then(|average| average.problem(self.epochs)),
            self.transfer
                .as_ref()
                .and_then(|transfer| transfer.problem(self.epochs, self.model.drop_path)),
            self.checkpoints.problem(),
            self.non_finite.problem(),
            self.ranks.and_then(|ranks| ranks.problem(self.accumulation)),
        ];
        if let Some(problem) = problems.into_iter().flatten().next() {
            return Err(problem);
        }
        if let Some(dropout) = self.model.dropout.filter(|dropout| !(0.0..1.0).contains(dropout)) {
            return Err(format!("model.dropout must be at least 0 and below 1, got {dropout}"));
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
        let spec = self.model.spec(preset, preset.classes());
        spec.architecture().map_err(|error| format!("model: {error}"))?;
        progressive::problem(&self.progressive, spec).map_or(Ok(()), Err)
    }

    /// The network for `classes` classes.
    pub fn spec(&self, classes: i64) -> Result<ModelSpec, Error> {
        Ok(self.model.spec(self.model.preset.parse()?, classes))
    }

    /// What a step does beside going forth, back and downhill.
    pub(crate) fn step_options(&self) -> StepOptions {
        let &Recipe { label_smoothing, clipping, accumulation, .. } = self;
        StepOptions { label_smoothing, clipping, accumulation }
    }

    /// The learning rate of the step at `position`, warm-up included.
    pub(crate) fn learning_rate(&self, position: &Position) -> f64 {
        let factor = self.warmup.map_or(1.0, |warmup| warmup.factor(position));
        factor * self.schedule.learning_rate(position)
    }

    /// The changes to the training images.
    pub fn augmentation(&self) -> Augmentation {
        self.augmentation.for_training()
    }

    /// The changes to the test images.
    pub fn test_augmentation(&self) -> Augmentation {
        self.augmentation.for_test()
    }

    /// Rows and columns of the training images in epoch `epoch`, counted from 1; `None` for their own.
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
    let hint = did_you_mean::hint(name, known.iter().copied());
    Err(format!("unknown{hint}; known are {}, or give a .toml file", known.join(", ")))
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
