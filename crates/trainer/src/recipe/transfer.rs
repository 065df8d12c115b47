//! Starting from weights that were trained before: the table `[transfer]`.

use serde::{Deserialize, Serialize};

use crate::invalid_value::InvalidValue;

/// What is taken over, and what becomes of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransferRecipe {
    /// A file, the folder of a run, or a name that `cargo xtask fetch weights` knows.
    pub weights: String,
    /// Where the head starts.
    pub head: HeadStart,
    /// Epochs at the start in which the head alone is trained.
    pub frozen_epochs: u64,
    /// What becomes of the statistics that batch norms bring along.
    pub statistics: Statistics,
}

/// Where the head starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HeadStart {
    /// Drawn anew, for the classes of the data.
    New,
    /// Where the weights have it, for the same classes.
    Kept,
}

/// What becomes of the statistics that batch norms bring along.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Statistics {
    /// They stay, and are what is normalised by: best where batches are small or images few.
    Frozen,
    /// Batches are normalised by their own and move them, as in any training.
    Trained,
}

impl TransferRecipe {
    /// Refuses a table that does not go with `epochs` and with `model.drop_path`.
    pub(super) fn check(&self, epochs: u64, drop_path: Option<f64>) -> Result<(), InvalidValue> {
        InvalidValue::unless(
            self.frozen_epochs <= epochs,
            "transfer.frozen_epochs",
            format!(
                "at most epochs, which is {epochs} (0 trains the whole network from the start, {epochs} its head alone)"
            ),
            self.frozen_epochs,
        )?;
        InvalidValue::unless(
            self.statistics == Statistics::Trained || drop_path.is_none(),
            "transfer.statistics",
            "\"trained\" beside model.drop_path, because frozen statistics run the modules as in evaluation, where \
             nothing is dropped",
            "\"frozen\"",
        )
    }
}
