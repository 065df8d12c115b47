//! The position of a step in its run, and stretches of a run in the units that papers use.

use serde::{Deserialize, Serialize};

use crate::invalid_value::InvalidValue;

/// The place of a step in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    /// Steps before this one.
    pub(crate) step: u64,
    /// Steps of the whole run.
    pub(crate) steps: u64,
    /// Steps of an epoch.
    pub(crate) steps_per_epoch: u64,
    /// Images of a step, of all ranks together.
    pub(crate) batch_size: u64,
}

impl Position {
    /// The fraction of the run that is over, from 0 at the first step to 1 at the last.
    pub(super) fn fraction(&self) -> f64 {
        self.step as f64 / self.steps.saturating_sub(1).max(1) as f64
    }
}

/// A stretch of a run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Span {
    /// Times through the training set.
    Epochs(f64),
    /// Updates of the weights.
    Steps(u64),
    /// Images. The smaller last batch of an epoch counts as a full one.
    Samples(u64),
}

impl Span {
    /// Steps of this stretch in the run that `position` is in.
    pub(crate) fn steps(self, position: &Position) -> f64 {
        match self {
            Span::Epochs(epochs) => epochs * position.steps_per_epoch as f64,
            Span::Steps(steps) => steps as f64,
            Span::Samples(samples) => samples as f64 / position.batch_size as f64,
        }
    }

    /// The number of times that this stretch fits between the start of the run and `position`.
    pub(super) fn times(self, position: &Position) -> f64 {
        position.step as f64 / self.steps(position)
    }

    /// Refuses a stretch without a length; `name` is its key in the recipe.
    pub(crate) fn check(self, name: &str) -> Result<(), InvalidValue> {
        let (unit, length) = match self {
            Span::Epochs(epochs) => ("epochs", epochs),
            Span::Steps(steps) => ("steps", steps as f64),
            Span::Samples(samples) => ("samples", samples as f64),
        };
        let fits = length.is_finite() && length > 0.0;
        InvalidValue::unless(fits, format!("{name}.{unit}"), "above 0", length)
    }
}
