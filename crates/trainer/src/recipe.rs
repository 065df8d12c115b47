//! A recipe determines a run: every number is written, nothing has a default, unknown keys are refused.

mod augmentation;
mod error;
mod failures;
mod imbalance;
mod input;
mod named;
mod progressive;
mod ranks;
mod request;
mod selection;
mod step;
mod training_set;
mod transfer;

use std::path::Path;

use datasets::{Augmentation, Normalization, Order, regular_file};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};
use xception::{CifarScale, ModelOptions, ModelSpec, Preset};

use crate::did_you_mean;
use crate::invalid_value::InvalidValue;
use crate::optim::average::AverageConfig;
use crate::optim::optimizer::{LayerGroup, OptimizerConfig, check_groups};
use crate::optim::schedule::{Position, Schedule, Warmup};
use crate::precision::Precision;

pub use augmentation::{
    AppliesTo, AugmentationRecipe, CropMode, ErasingRecipe, ErasingValueRecipe, HorizontalFlip,
    JitterRecipe, MixRecipe, PolicyRecipe, ResizedCropRecipe,
};
pub use error::{ChangeProblem, Error, Problem};
pub use failures::{CheckpointRecipe, NonFinite};
pub(crate) use imbalance::ClassBalance;
pub use imbalance::{ImbalanceRecipe, LossWeights, Sampling};
pub use input::{BrokenRecipe, InputRecipe};
pub use named::{NAMED, named};
pub use progressive::Stage;
pub use ranks::{RankLearningRate, RankStatistics, RanksRecipe};
pub use request::Request;
pub use selection::{EarlyStopping, Metric, SelectionRecipe};
pub(crate) use step::StepOptions;
pub use step::{Clipping, LaunchRecipe};
pub use training_set::{Fold, TrainingSetRecipe};
pub use transfer::{HeadStart, Statistics, TransferRecipe};

/// A training recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// The data set, as for `--data`.
    pub data: String,
    /// The seed of initialisation, order and augmentation.
    pub seed: u64,
    /// Passes through the training set.
    pub epochs: u64,
    /// Images in a step, on each rank.
    pub batch_size: usize,
    /// Micro-batches that a batch is split into. Batch norm normalises each by itself.
    pub accumulation: usize,
    /// Images in a batch of the evaluation. It does not change results.
    pub eval_batch_size: usize,
    /// The numbers that steps compute in.
    pub precision: Precision,
    /// The way in which a GPU gets its kernels; absent for `auto`.
    #[serde(default, skip_serializing_if = "LaunchRecipe::is_auto")]
    pub launch: LaunchRecipe,
    /// Whether a GPU adds in a fixed order; absent for no. A CPU always does.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deterministic: bool,
    /// Label smoothing, 0 to 1. PyTorch: `label_smoothing`.
    pub label_smoothing: f64,
    /// Steps between two lines of `metrics.jsonl`.
    pub log_every: u64,
    /// The network.
    pub model: ModelRecipe,
    /// The pretrained weights to start from; absent for random ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transfer: Option<TransferRecipe>,
    /// The optimizer.
    pub optimizer: OptimizerConfig,
    /// Layers with factors of their own for learning rate and weight decay.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<LayerGroup>,
    /// The learning rate.
    pub schedule: Schedule,
    /// The factor of the learning rate at the start of the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warmup: Option<Warmup>,
    /// Gradient clipping; absent for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clipping: Option<Clipping>,
    /// The average of the weights that is evaluated in place of the weights; absent for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub average: Option<AverageConfig>,
    /// The images of the training set that are used, and those held out of it; absent for all and none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub training_set: Option<TrainingSetRecipe>,
    /// Random changes of the images.
    pub augmentation: AugmentationRecipe,
    /// Reading and resizing of image files; absent for sets of one size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<InputRecipe>,
    /// Favours for classes with few images; absent for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub imbalance: Option<ImbalanceRecipe>,
    /// Normalisation of pixels.
    pub normalization: NormalizationRecipe,
    /// The interval of checkpoints.
    pub checkpoints: CheckpointRecipe,
    /// The choice of the best epoch; absent for the one of the highest accuracy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selection: Option<SelectionRecipe>,
    /// The end of a run whose figures have stopped getting better; absent for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub early_stopping: Option<EarlyStopping>,
    /// Handling of a loss that is not finite.
    pub non_finite: NonFinite,
    /// Training on several ranks; absent for [`RanksRecipe::default`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ranks: Option<RanksRecipe>,
    /// The sizes of the images in the course of the run; empty for their own size throughout.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub progressive: Vec<Stage>,
}

/// The text of a recipe.
#[derive(Debug, Clone)]
pub struct Text {
    /// The name of the file, for messages.
    pub(crate) name: String,
    /// Its content.
    pub(crate) text: String,
}

/// The network of a recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelRecipe {
    /// The name of the preset.
    pub preset: String,
    /// Dropout probability before the head; absent for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dropout: Option<f64>,
    /// Drop-path probability of the last module; that of earlier ones is in proportion. Absent for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drop_path: Option<f64>,
    /// Width, depth and strides: needed for preset `cifar`, absent for others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale: Option<CifarScale>,
    /// Overrides relative to the original network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub options: Option<ModelOptions>,
}

impl ModelRecipe {
    /// Whether a training step of the network draws random numbers.
    pub(crate) fn draws(&self) -> bool {
        self.dropout.is_some() || self.drop_path.is_some()
    }

    /// Refuses a network that cannot be built; returns it as its preset has it.
    fn check(&self) -> Result<ModelSpec, Problem> {
        if let Some(dropout) = self.dropout {
            let fits = (0.0..1.0).contains(&dropout);
            InvalidValue::unless(fits, "model.dropout", "at least 0 and below 1", dropout)?;
        }
        let preset: Preset = self.preset.parse().map_err(Problem::Preset)?;
        match (preset, &self.scale) {
            (Preset::Cifar, None) => return Err(Problem::ScaleMissing),
            (Preset::Cifar, Some(_)) | (_, None) => {}
            (_, Some(_)) => return Err(Problem::ScaleUnused(preset)),
        }
        let spec = self.spec(preset, preset.classes());
        spec.architecture().map_err(Problem::Model)?;
        Ok(spec)
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
    /// The recipe that `request` names, with its changes.
    pub fn resolve(request: &Request) -> Result<Self, Error> {
        Self::resolve_on(None, request)
    }

    /// The same, where `resumed` is the recipe of a run that is resumed and stands in for a name.
    pub(crate) fn resolve_on(resumed: Option<&Text>, request: &Request) -> Result<Self, Error> {
        let name = &match resumed {
            Some(resumed) if request.recipe.is_none() => resumed.name.clone(),
            _ => request.recipe_name().to_string(),
        };
        let refuse = |problem| Error::Invalid { name: name.clone(), problem };
        let complain = |error| refuse(Problem::Toml(Box::new(error)));
        let text = match resumed {
            Some(resumed) if request.recipe.is_none() => resumed.text.clone(),
            _ => text_of(name).map_err(refuse)?,
        };
        let Request { preset, data, weights, learning_rate, set, .. } = request;
        let as_it_is = preset.is_none()
            && data.is_none()
            && weights.is_none()
            && learning_rate.is_none()
            && set.is_empty();
        let recipe: Recipe = if as_it_is {
            // Straight from the text, so that a complaint shows the line.
            toml::from_str(&text).map_err(complain)?
        } else {
            let mut table: Table = toml::from_str(&text).map_err(complain)?;
            if let Some(preset) = preset {
                apply(&mut table, &typed("model.preset", preset))?;
                forget_scale(&mut table, preset.parse()?);
            }
            if weights.is_some() && !table.contains_key("transfer") {
                return Err(Error::NoTransfer { recipe: name.clone() });
            }
            if let Some(rate) = learning_rate {
                let change = format!("{}={rate:e}", rate_key(&table));
                apply(&mut table, &change)?;
            }
            let data = data.iter().map(|data| typed("data", data));
            let weights = weights.iter().map(|weights| typed("transfer.weights", weights));
            let is_of_input = |change: &String| change.trim_start().starts_with("input.");
            let (of_input, set): (Vec<_>, Vec<_>) = set.iter().cloned().partition(is_of_input);
            for change in data.chain(weights).chain(set) {
                complete(&mut table, &change);
                apply(&mut table, &change)?;
            }
            if !of_input.is_empty() {
                complete_input(&mut table);
            }
            for change in of_input {
                apply(&mut table, &change)?;
            }
            table.try_into().map_err(complain)?
        };
        recipe.validate().map_err(refuse)?;
        Ok(recipe)
    }

    /// Reads the resolved recipe in the file `config.toml` of a run.
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let name = path.display().to_string();
        match text_of(&name) {
            Ok(text) => Self::parse(&Text { name, text }),
            Err(problem) => Err(Error::Invalid { name, problem }),
        }
    }

    /// Parses the resolved recipe of a run.
    pub(crate) fn parse(config: &Text) -> Result<Self, Error> {
        let Text { name, text } = config;
        toml::from_str(text).map_err(|error| Error::Invalid {
            name: name.clone(),
            problem: Problem::Toml(Box::new(error)),
        })
    }

    /// The same recipe with another number of epochs.
    pub(crate) fn with_epochs(self, epochs: u64) -> Result<Self, Problem> {
        let recipe = Self { epochs, ..self };
        recipe.validate().map(|()| recipe)
    }

    fn validate(&self) -> Result<(), Problem> {
        let at_least_one = [
            ("epochs", self.epochs),
            ("batch_size", self.batch_size as u64),
            ("accumulation", self.accumulation as u64),
            ("eval_batch_size", self.eval_batch_size as u64),
            ("log_every", self.log_every),
        ];
        for (key, value) in at_least_one {
            InvalidValue::unless(value > 0, key, "at least 1", value)?;
        }
        let Self { batch_size, accumulation, label_smoothing, .. } = *self;
        InvalidValue::unless(
            batch_size.is_multiple_of(accumulation),
            "accumulation",
            format!("a divisor of batch_size, which is {batch_size}"),
            accumulation,
        )?;
        let fits = (0.0..1.0).contains(&label_smoothing);
        InvalidValue::unless(fits, "label_smoothing", "at least 0 and below 1", label_smoothing)?;
        for std in self.normalization.std {
            let fits = std.is_finite() && std > 0.0;
            InvalidValue::unless(fits, "normalization.std", "above 0", std)?;
        }
        self.input.map_or(Ok(()), InputRecipe::check)?;
        self.augmentation.check()?;
        self.optimizer.check()?;
        check_groups(&self.groups)?;
        self.schedule.check()?;
        self.warmup.map_or(Ok(()), |warmup| warmup.check())?;
        self.clipping.map_or(Ok(()), Clipping::check)?;
        self.average.map_or(Ok(()), |average| average.check(self.epochs))?;
        if let Some(transfer) = &self.transfer {
            transfer.check(self.epochs, self.model.drop_path)?;
        }
        self.imbalance.map_or(Ok(()), |imbalance| imbalance.check(self.natural_order()))?;
        self.training_set.map_or(Ok(()), TrainingSetRecipe::check)?;
        self.early_stopping.map_or(Ok(()), EarlyStopping::check)?;
        self.checkpoints.check()?;
        self.non_finite.check()?;
        self.ranks.map_or(Ok(()), |ranks| ranks.check(accumulation))?;
        let spec = self.model.check()?;
        Ok(progressive::check(&self.progressive, spec)?)
    }

    /// The network for `classes` classes.
    pub fn spec(&self, classes: i64) -> Result<ModelSpec, Error> {
        Ok(self.model.spec(self.model.preset.parse()?, classes))
    }

    /// The figure by which epochs are compared.
    pub(crate) fn metric(&self) -> Metric {
        self.selection.unwrap_or_default().metric
    }

    /// Step options: label smoothing, clipping, accumulation.
    pub(crate) fn step_options(&self) -> StepOptions {
        let &Recipe { label_smoothing, clipping, accumulation, .. } = self;
        StepOptions { label_smoothing, clipping, accumulation }
    }

    /// The order of the training images of an epoch.
    pub(crate) fn order(&self) -> Order {
        let balanced = self.imbalance.and_then(ImbalanceRecipe::order);
        balanced.unwrap_or_else(|| self.natural_order())
    }

    /// The order in which every image comes once.
    fn natural_order(&self) -> Order {
        self.input.map_or(Order::Shuffled, |input| input.shuffle.into())
    }

    /// What a step does about classes of different sizes, of a training set with `images` of each class.
    pub(crate) fn class_balance(&self, images: &[u64]) -> ClassBalance {
        self.imbalance.map(|imbalance| imbalance.balance(images)).unwrap_or_default()
    }

    /// The learning rate of the step at `position`, warm-up included.
    pub(crate) fn learning_rate(&self, position: &Position) -> f64 {
        let factor = self.warmup.map_or(1.0, |warmup| warmup.factor(position));
        factor * self.schedule.learning_rate(position)
    }

    /// The augmentation of training images.
    pub fn augmentation(&self) -> Augmentation {
        self.augmentation.for_training()
    }

    /// The augmentation of test images.
    pub fn test_augmentation(&self) -> Augmentation {
        self.augmentation.for_test()
    }

    /// Rows and columns of the training images in epoch `epoch`, counted from 1; `None` for their own size.
    pub fn side(&self, epoch: u64) -> Option<usize> {
        progressive::side(&self.progressive, epoch, self.epochs)
    }

    /// The normalisation.
    pub fn normalization(&self) -> Normalization {
        Normalization { mean: self.normalization.mean, std: self.normalization.std }
    }
}

/// The text of a recipe: a named one's, or a file's.
fn text_of(name: &str) -> Result<String, Problem> {
    if let Some(text) = named(name) {
        return Ok(text.to_string());
    }
    if Path::new(name).extension().is_some_and(|extension| extension == "toml") {
        return regular_file::read_to_string(Path::new(name)).map_err(Problem::Unreadable);
    }
    let known = NAMED.map(|(name, _)| name);
    Err(Problem::Unknown { hint: did_you_mean::hint(name, known), known: known.to_vec() })
}

/// The change that gives a key the text that was typed for it.
fn typed(key: &str, text: impl AsRef<str>) -> String {
    format!("{key}={}", Value::from(text.as_ref()))
}

/// The key of the schedule's learning rate: the highest one.
fn rate_key(table: &Table) -> &'static str {
    let schedule = table.get("schedule").and_then(Value::as_table);
    match schedule.is_some_and(|schedule| schedule.contains_key("peak")) {
        true => "schedule.peak",
        false => "schedule.learning_rate",
    }
}

/// Removes the scale, which belongs to the recipe's own preset, where another preset was typed.
fn forget_scale(table: &mut Table, preset: Preset) {
    let model = table.get_mut("model").and_then(Value::as_table_mut);
    if let Some(model) = model.filter(|_| preset != Preset::Cifar) {
        model.remove("scale");
    }
}

/// Adds the table `[input]` of the preset, where there is none: one key of it is enough to type.
fn complete_input(table: &mut Table) {
    let preset = table.get("model").and_then(|model| model.get("preset")).and_then(Value::as_str);
    let Some(preset) = preset.and_then(|preset| preset.parse::<Preset>().ok()) else { return };
    let input = InputRecipe::of(&preset.preprocessing());
    if let Ok(input) = Value::try_from(input) {
        table.entry("input").or_insert(input);
    }
}

/// Adds an optional table as it is without effect, or with usual numbers, where there is none and `change` is of a key of it:
/// one key is enough to type.
fn complete(table: &mut Table, change: &str) {
    let Some((name, _)) = change.trim_start().split_once('.') else { return };
    let usual = match name {
        "imbalance" => Value::try_from(ImbalanceRecipe::NOTHING),
        "early_stopping" => Value::try_from(EarlyStopping::USUAL),
        "training_set" => Value::try_from(TrainingSetRecipe::WHOLE),
        _ => return,
    };
    if let Ok(usual) = usual {
        table.entry(name).or_insert(usual);
    }
}

/// Sets one value, `key.sub=value`. A value that is not TOML is taken as a string.
fn apply(table: &mut Table, change: &str) -> Result<(), Error> {
    let refuse = |problem| Error::Change { change: change.to_string(), problem };
    let (key, value) = change.split_once('=').ok_or_else(|| refuse(ChangeProblem::NoValue))?;
    let (key, value) = (key.trim(), value.trim());
    let parsed = toml::from_str::<Table>(&format!("value = {value}"))
        .ok()
        .and_then(|mut table| table.remove("value"));
    let digits = value.trim_start_matches(['-', '+']);
    let is_whole = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    if parsed.is_none() && is_whole && !digits.starts_with('0') {
        return Err(refuse(ChangeProblem::OutOfRange(value.to_string())));
    }
    let value = parsed.unwrap_or_else(|| Value::String(value.to_string()));
    let mut path: Vec<&str> = key.split('.').collect();
    let last =
        path.pop().filter(|last| !last.is_empty()).ok_or_else(|| refuse(ChangeProblem::NoKey))?;
    let mut place = table;
    for step in path {
        let next = place.entry(step).or_insert_with(|| Value::Table(Table::new()));
        place = next
            .as_table_mut()
            .ok_or_else(|| refuse(ChangeProblem::NotATable(step.to_string())))?;
    }
    place.insert(last.to_string(), value);
    Ok(())
}

#[cfg(test)]
mod tests;
