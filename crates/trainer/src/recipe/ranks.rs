//! How several ranks train together: the table `[ranks]` of a recipe, which changes nothing for one rank.

use serde::{Deserialize, Serialize};

use crate::invalid_value::InvalidValue;

/// What changes with the number of ranks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RanksRecipe {
    /// What becomes of the learning rate, as batches grow with the ranks.
    pub learning_rate: RankLearningRate,
    /// What batch norms normalise by.
    pub batch_norm: RankStatistics,
}

/// What becomes of the learning rate with several ranks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RankLearningRate {
    /// It is multiplied by their number (Goyal et al. 2017, section 2.1).
    #[default]
    Linear,
    /// It stays what the recipe says.
    Unscaled,
}

/// What batch norms of several ranks normalise by in training.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RankStatistics {
    /// By each rank's share of the batch; where running statistics are used, they are rank 0's. PyTorch:
    /// `DistributedDataParallel` with `broadcast_buffers`.
    #[default]
    Broadcast,
    /// By the batch of all ranks. PyTorch: `SyncBatchNorm`.
    Synchronised,
}

impl RanksRecipe {
    /// What the learning rate of a run that begins on `world_size` ranks is multiplied by.
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
