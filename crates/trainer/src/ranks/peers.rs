//! The ranks of a run of several, for what one rank alone never does.

use std::sync::Arc;

use tch::Tensor;
use torch_ext::distributed::{DistributedError, ReduceOperation, Work};

use super::Links;

/// This rank and the others.
#[derive(Clone)]
pub(crate) struct Peers(Arc<Links>);

impl Peers {
    pub(super) fn new(links: Arc<Links>) -> Self {
        Self(links)
    }

    /// The number of ranks, this one included.
    pub(crate) fn ranks(&self) -> usize {
        self.0.launch.world_size
    }

    /// Begins to sum `tensor` over all ranks, in place.
    pub(crate) fn begin_sum(&self, tensor: &Tensor) -> Result<Work, DistributedError> {
        self.0.group_of(tensor)?.all_reduce(tensor, ReduceOperation::Sum)
    }
}
