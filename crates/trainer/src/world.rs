//! The ranks of a run. One rank is the same code path as many: the single-process world does nothing.

use tch::Tensor;

/// Who takes part. Collectives are methods, so that the training loop never asks how many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct World {
    rank: usize,
    size: usize,
}

impl World {
    /// This process alone.
    pub(crate) fn single() -> Self {
        World { rank: 0, size: 1 }
    }

    /// Ranks in all; with [`World::single`] one.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Whether this rank writes files and talks.
    pub(crate) fn leads(&self) -> bool {
        self.rank == 0
    }

    /// Sums `tensors` over all ranks, in place.
    pub(crate) fn all_reduce(&self, _tensors: &[Tensor]) {}

    /// Gives every rank what rank 0 has, in place.
    pub(crate) fn broadcast(&self, _tensors: &[Tensor]) {}

    /// Waits for every rank.
    pub(crate) fn barrier(&self) {}
}
