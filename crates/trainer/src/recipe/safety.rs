//! What a run does for the case that something fails: how often it is saved, and how it meets a loss that is no number.

use serde::{Deserialize, Serialize};

/// How often a run is saved. It always is at the end of an epoch and when it is asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointRecipe {
    /// Minutes between two checkpoints; 0 saves after every step.
    pub every_minutes: f64,
    /// Good checkpoints that are kept, the newest ones.
    pub keep: usize,
}

/// What becomes of a loss that is not finite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case", deny_unknown_fields)]
pub enum NonFinite {
    /// The run ends ahead of the update.
    Stop,
    /// The batch is left out.
    Skip {
        /// Times in a run; the next one ends it.
        limit: u64,
    },
    /// The run goes back to its last checkpoint, and leaves out the batches that led to the loss
    /// (PaLM, Chowdhery et al. 2022, section 5.1).
    RollBack {
        /// Times in a run; the next one ends it.
        limit: u64,
        /// Steps that are left out, the one with the loss being the last of them.
        leave_out: u64,
    },
}

impl CheckpointRecipe {
    /// What is wrong with the numbers, if anything.
    pub(super) fn problem(&self) -> Option<String> {
        let Self { every_minutes, keep } = *self;
        if !(0.0..=1e6).contains(&every_minutes) {
            return Some(format!(
                "checkpoints.every_minutes must be between 0 and 1000000, got {every_minutes}"
            ));
        }
        // One alone is no fallback: it may be the one that the disk spoils.
        (keep < 2).then(|| format!("checkpoints.keep must be at least 2, got {keep}"))
    }
}

impl NonFinite {
    /// What is wrong with the numbers, if anything.
    pub(super) fn problem(&self) -> Option<String> {
        match *self {
            NonFinite::Stop => None,
            NonFinite::Skip { limit } | NonFinite::RollBack { limit, .. } if limit == 0 => {
                Some("non_finite.limit must be at least 1, got 0; for none at all, action = \"stop\"".to_string())
            }
            NonFinite::RollBack { leave_out: 0, .. } => Some(
                "non_finite.leave_out must be at least 1, got 0: the same batch would do the same again".to_string(),
            ),
            NonFinite::Skip { .. } | NonFinite::RollBack { .. } => None,
        }
    }
}
