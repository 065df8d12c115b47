//! Failures: how often a run is saved, and how it handles a loss that is not finite.

use serde::{Deserialize, Serialize};

use crate::invalid_value::InvalidValue;

/// The interval of checkpoints. A run is also saved at the ends of epochs and when it is asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointRecipe {
    /// Minutes between two checkpoints; 0 saves after every step.
    pub every_minutes: f64,
    /// Least number of seconds between two checkpoints at ends of epochs; absent for a checkpoint at every end. For epochs of
    /// a few seconds, of which saving would take a good part. The last end is always saved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch_seconds: Option<f64>,
    /// The number of good checkpoints that are kept.
    pub keep: usize,
}

/// Handling of a loss that is not finite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case", deny_unknown_fields)]
pub enum NonFinite {
    /// The run ends before the update.
    // A variant with no field would pass over keys that it does not have.
    Stop {},
    /// The batch is skipped.
    Skip {
        /// Times in a run; the next one ends it.
        limit: u64,
    },
    /// The run rolls back to its last checkpoint, and skips the batches that led to the loss
    /// (PaLM, Chowdhery et al. 2022, section 5.1).
    RollBack {
        /// Times in a run; the next one ends it.
        limit: u64,
        /// Steps that are skipped; the step of the loss is the last of them.
        leave_out: u64,
    },
}

impl CheckpointRecipe {
    /// Refuses numbers that are out of range.
    pub(super) fn check(&self) -> Result<(), InvalidValue> {
        let Self { every_minutes, epoch_seconds, keep } = *self;
        let (fits, accepted) = ((0.0..=1e6).contains(&every_minutes), "between 0 and 1000000");
        InvalidValue::unless(fits, "checkpoints.every_minutes", accepted, every_minutes)?;
        let seconds = epoch_seconds.unwrap_or(0.0);
        InvalidValue::unless(
            (0.0..=1e6).contains(&seconds),
            "checkpoints.epoch_seconds",
            accepted,
            seconds,
        )?;
        // One alone is no fallback: it may be the one that the disk spoils.
        InvalidValue::unless(keep >= 2, "checkpoints.keep", "at least 2", keep)
    }
}

impl NonFinite {
    /// Refuses numbers that are out of range.
    pub(super) fn check(&self) -> Result<(), InvalidValue> {
        if let NonFinite::Skip { limit } | NonFinite::RollBack { limit, .. } = *self {
            let accepted = "at least 1 (action = \"stop\" allows none)";
            InvalidValue::unless(limit > 0, "non_finite.limit", accepted, limit)?;
        }
        if let NonFinite::RollBack { leave_out, .. } = *self {
            let accepted = "at least 1, or the same batch would fail again";
            InvalidValue::unless(leave_out > 0, "non_finite.leave_out", accepted, leave_out)?;
        }
        Ok(())
    }
}
