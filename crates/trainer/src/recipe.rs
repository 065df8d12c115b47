//! A recipe determines a run: every number is written, nothing has a default, unknown keys are refused.

mod augmentation;
mod changes;
mod error;
mod failures;
mod imbalance;
mod input;
mod loss;
mod model;
mod multi_label;
mod named;
mod progressive;
mod ranks;
mod request;
mod selection;
mod step;
mod training_set;
mod transfer;

use std::path::Path;

use datasets::{Augmentation, Normalization, Order};
use serde::{Deserialize, Serialize};
use xception::ModelSpec;

use crate::invalid_value::InvalidValue;
use crate::optim::average::AverageConfig;
use crate::optim::optimizer::{LayerGroup, OptimizerConfig, check_groups};
use crate::optim::schedule::{Position, Schedule, Warmup};
use crate::precision::Precision;

pub use augmentation::{
    AppliesTo, AugmentationRecipe, CropMode, ErasingRecipe, ErasingValueRecipe, HorizontalFlip,
    JitterRecipe, MixRecipe, PolicyRecipe, ResizedCropRecipe,
};
use changes::text_of;
pub use error::{ChangeProblem, Error, Problem};
pub use failures::{CheckpointRecipe, NonFinite};
pub(crate) use imbalance::ClassBalance;
pub use imbalance::{ImbalanceRecipe, LossWeights, Sampling};
pub use input::{BrokenRecipe, InputRecipe};
pub(crate) use loss::LossPlan;
pub use model::ModelRecipe;
pub use multi_label::{MultiLabelLoss, MultiLabelRecipe, PositiveWeights};
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
    /// The loss of images with several labels; absent where each has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub multi_label: Option<MultiLabelRecipe>,
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
        self.multi_label.map_or(Ok(()), MultiLabelRecipe::check)?;
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

#[cfg(test)]
mod tests;
