//! What the ranks of a run have in common, and how it is kept so.

use sha2::{Digest, Sha256};
use tch::{Device, Tensor};

use super::Training;
use crate::Error;
use crate::recipe::RankStatistics;

impl Training<'_> {
    /// How the learning rate follows the number of ranks, for people.
    pub(super) fn scaling(&self) -> String {
        let statistics = match self.recipe.ranks.unwrap_or_default().batch_norm {
            RankStatistics::Broadcast => "",
            RankStatistics::Synchronised => ", batch norm synchronised",
        };
        match self.state.learning_rate_factor {
            1.0 => format!("learning rate as it is (ranks.learning_rate){statistics}"),
            factor => format!("learning rate × {factor} (linear scaling){statistics}"),
        }
    }

    /// Every rank begins with what rank 0 has.
    pub(super) fn share_variables(&self) -> Result<(), Error> {
        if self.world.size() == 1 {
            return Ok(());
        }
        self.world.broadcast(&self.variables(|_| true))?;
        self.compare_parameters()
    }

    /// Where running statistics are used and saved, they are rank 0's: each rank saw other images.
    pub(super) fn share_statistics(&self) -> Result<(), Error> {
        if self.world.size() == 1 {
            return Ok(());
        }
        self.world.broadcast(&self.variables(|variable| !variable.requires_grad()))
    }

    /// Refuses to go on when ranks have parted: every update must have been the same everywhere, to the last bit.
    pub(super) fn compare_parameters(&self) -> Result<(), Error> {
        if self.world.size() == 1 {
            return Ok(());
        }
        let mut hash = Sha256::new();
        for parameter in self.variables(Tensor::requires_grad) {
            let values = parameter.detach().to_device(Device::Cpu).contiguous().view(-1);
            let mut bytes = vec![0; values.numel() * values.kind().elt_size_in_bytes()];
            values.f_copy_data_u8(&mut bytes, values.numel())?;
            hash.update(&bytes);
        }
        let digests = self.world.gather_bytes(hash.finalize().to_vec())?;
        let parted = (1..digests.len()).find(|&rank| digests[rank] != digests[0]);
        match parted {
            None => {
                tracing::debug!("parameters agree on all ranks after step {}", self.state.step);
                Ok(())
            }
            Some(rank) => Err(Error::RanksDiffer(format!(
                "rank {rank} has other parameters than rank 0 after step {}: a machine computes wrongly, or versions \
                 differ",
                self.state.step
            ))),
        }
    }

    /// Variables in an order that is the same on all ranks.
    fn variables(&self, wanted: impl Fn(&Tensor) -> bool) -> Vec<Tensor> {
        let mut named: Vec<(String, Tensor)> = self.store.variables().into_iter().collect();
        named.retain(|(_, variable)| wanted(variable));
        named.sort_by(|(a, _), (b, _)| a.cmp(b));
        named.into_iter().map(|(_, variable)| variable).collect()
    }
}
