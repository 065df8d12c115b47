//! The tables `[selection]` and `[early_stopping]`: which epoch is the best, and when no better one is waited for.

use serde::{Deserialize, Serialize};

use crate::invalid_value::InvalidValue;

/// The choice of the best epoch. Without the table it is the one of the highest accuracy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SelectionRecipe {
    /// The figure by which epochs are compared, on the validation set or, where there is none, on the test set.
    pub metric: Metric,
}

/// A figure of an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// Accuracy.
    #[default]
    Top1,
    /// Mean cross-entropy, of which less is better.
    Loss,
    /// Mean recall of the classes.
    BalancedAccuracy,
    /// Mean F1 of the classes.
    MacroF1,
    /// Mean average precision of the classes, of images with several labels, where it is the choice without the table.
    MeanAveragePrecision,
}

impl Metric {
    /// The name in sentences.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Metric::Top1 => "accuracy",
            Metric::Loss => "loss",
            Metric::BalancedAccuracy => "balanced accuracy",
            Metric::MacroF1 => "macro F1",
            Metric::MeanAveragePrecision => "mean average precision",
        }
    }
}

/// The end of a run whose figures have stopped getting better. Absent for none.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EarlyStopping {
    /// Epochs without an improvement after which the run ends. Keras: `EarlyStopping(patience=…)`.
    pub patience: u64,
    /// The least difference to the best figure so far that is an improvement. Keras: `min_delta`.
    pub min_improvement: f64,
}

impl EarlyStopping {
    /// The table for a recipe that has none, where one key of it is typed.
    pub(super) const USUAL: Self = Self { patience: 10, min_improvement: 0.0 };

    /// Refuses numbers that are out of range.
    pub(super) fn check(self) -> Result<(), InvalidValue> {
        let Self { patience, min_improvement } = self;
        InvalidValue::unless(patience > 0, "early_stopping.patience", "at least 1", patience)?;
        let fits = min_improvement.is_finite() && min_improvement >= 0.0;
        let key = "early_stopping.min_improvement";
        InvalidValue::unless(fits, key, "at least 0", min_improvement)
    }
}
