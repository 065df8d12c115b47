//! What a recipe says of a single training step.

use serde::{Deserialize, Serialize};

use crate::invalid_value::InvalidValue;

/// The table `[clipping]` of a recipe: what becomes of gradients that are too long.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clipping {
    /// The most that the norm of all gradients together may be; longer ones are scaled down to it, all by
    /// one factor. PyTorch: `clip_grad_norm_`.
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
    /// Part of each label that is spread over all classes.
    pub(crate) label_smoothing: f64,
    /// What becomes of gradients that are too long.
    pub(crate) clipping: Option<Clipping>,
    /// Micro-batches that a batch is passed in, so that fewer feature maps are in memory at a time.
    ///
    /// Each counts by its part of the batch, so loss and gradients are those of the whole batch as far as images do
    /// not see each other. In batch norm they do: it normalises by the statistics of a micro-batch, and moves its
    /// running ones once for each.
    pub(crate) accumulation: usize,
}
