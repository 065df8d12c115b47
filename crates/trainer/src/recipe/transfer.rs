//! The table `[transfer]`: training that starts from weights that were trained before.

use serde::{Deserialize, Serialize};

use crate::invalid_value::InvalidValue;

/// Transfer from pretrained weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransferRecipe {
    /// A file, the folder of a run, or a name that `cargo xtask fetch weights` knows.
    pub weights: String,
    /// Of a file with several copies of the network the one to take: `plain`, `ema` or its name. Recipes without the key
    /// take the weights themselves, or an average where there is nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub take: Option<String>,
    /// The initial weights of the head.
    pub head: HeadStart,
    /// Epochs at the start in which the head alone is trained.
    pub frozen_epochs: u64,
    /// Handling of the running statistics of the pretrained batch norms.
    pub statistics: Statistics,
}

/// The initial weights of the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HeadStart {
    /// Random, for the classes of the data.
    New,
    /// Those of the pretrained weights, for the same classes.
    Kept,
}

/// Handling of the running statistics of the pretrained batch norms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Statistics {
    /// They stay as they are, and batch norms normalise by them: best where batches are small or images few.
    Frozen,
    /// Batch norms normalise by the batch and update them, as in any training.
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
