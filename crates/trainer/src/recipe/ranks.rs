//! The table `[ranks]` of a recipe: training on several ranks. It changes nothing for one rank.

use serde::{Deserialize, Serialize};

use crate::invalid_value::InvalidValue;

/// Settings for training on several ranks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RanksRecipe {
    /// Scaling of the learning rate, as batches grow with the number of ranks.
    pub learning_rate: RankLearningRate,
    /// The statistics that batch norms normalise by.
    pub batch_norm: RankStatistics,
}

/// Scaling of the learning rate with several ranks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RankLearningRate {
    /// It is multiplied by the number of ranks (Goyal et al. 2017, section 2.1).
    #[default]
    Linear,
    /// It is that of the recipe.
    Unscaled,
}

/// The statistics that batch norms normalise by in training on several ranks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RankStatistics {
    /// Those of each rank's share of the batch; running statistics are rank 0's. PyTorch:
    /// `DistributedDataParallel` with `broadcast_buffers`.
    #[default]
    Broadcast,
    /// Those of the batch of all ranks. PyTorch: `SyncBatchNorm`.
    Synchronised,
}

impl RanksRecipe {
    /// The factor of the learning rate for a run that begins on `world_size` ranks.
    pub(crate) fn learning_rate_factor(self, world_size: usize) -> f64 {
        match self.learning_rate {
            RankLearningRate::Linear => world_size as f64,
            RankLearningRate::Unscaled => 1.0,
        }
    }

    /// Refuses a table that does not go with `accumulation`.
    pub(super) fn check(self, accumulation: usize) -> Result<(), InvalidValue> {
        let fits = self.batch_norm == RankStatistics::Broadcast || accumulation == 1;
        let accepted =
            "1 where ranks.batch_norm is \"synchronised\", which normalises whole batches";
        InvalidValue::unless(fits, "accumulation", accepted, accumulation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_grows_with_the_ranks_unless_told_otherwise() {
        assert_eq!(RanksRecipe::default().learning_rate_factor(8), 8.0);
        let read: RanksRecipe =
            toml::from_str("learning_rate = \"unscaled\"\nbatch_norm = \"synchronised\"").unwrap();
        assert_eq!(
            (read.learning_rate_factor(8), read.batch_norm),
            (1.0, RankStatistics::Synchronised)
        );
        assert!(read.check(1).is_ok() && read.check(2).is_err());
        toml::from_str::<RanksRecipe>("learning_rate = \"linear\"").unwrap_err();
    }
}
