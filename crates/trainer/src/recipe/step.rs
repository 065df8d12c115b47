//! The values of a recipe that belong to a single training step.

use serde::{Deserialize, Serialize};

use crate::invalid_value::InvalidValue;

/// The table `[clipping]` of a recipe: clipping by the norm of all gradients.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clipping {
    /// The largest norm of all gradients together. Larger ones are scaled down to it by one factor. PyTorch:
    /// `clip_grad_norm_`.
    pub max_norm: f64,
}

impl Clipping {
    /// Refuses a number that is out of range.
    pub(super) fn check(self) -> Result<(), InvalidValue> {
        let fits = self.max_norm.is_finite() && self.max_norm > 0.0;
        InvalidValue::unless(fits, "clipping.max_norm", "above 0", self.max_norm)
    }
}

/// Step options: label smoothing, clipping, accumulation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct StepOptions {
    /// Label smoothing, 0 to 1. PyTorch: `label_smoothing`.
    pub(crate) label_smoothing: f64,
    /// Gradient clipping; `None` for none.
    pub(crate) clipping: Option<Clipping>,
    /// Micro-batches that a batch is split into, so that fewer feature maps are in memory at a time.
    ///
    /// Each is weighted by its part of the batch, so loss and gradients are those of the whole batch. Batch norm is the
    /// exception: it normalises by the statistics of a micro-batch, and updates its running ones once for each.
    pub(crate) accumulation: usize,
}
