//! The values of a recipe that belong to a single training step.

use clap::ValueEnum;
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

/// The value of `launch`: the way in which a GPU gets its kernels. It does not change what they compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LaunchRecipe {
    /// `graph` where this program and the step allow it, else `eager`.
    #[default]
    Auto,
    /// Kernel by kernel.
    Eager,
    /// As a CUDA graph: steps over full batches are recorded once and replayed. An error where that is impossible.
    Graph,
}

impl LaunchRecipe {
    /// The name, as it is typed.
    pub(crate) fn name(self) -> &'static str {
        match self {
            LaunchRecipe::Auto => "auto",
            LaunchRecipe::Eager => "eager",
            LaunchRecipe::Graph => "graph",
        }
    }

    /// Whether nothing in particular is asked for.
    pub(crate) fn is_auto(&self) -> bool {
        *self == LaunchRecipe::Auto
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
