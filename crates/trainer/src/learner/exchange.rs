//! The exchange of a step with the other ranks: gradients, figures, statistics and votes.
//!
//! A learner has one from the start, [`Alone`] or [`Together`], and does not ask how many ranks there are.

mod one_rank;
mod several_ranks;

use tch::Tensor;
use torch_ext::SumOverProcesses;

use super::{StepOutput, Votes};
use crate::learner::Error;
use crate::ranks::World;
use crate::recipe::RankStatistics;
use crate::signal::Signal;

pub(super) use self::one_rank::Alone;
use self::several_ranks::Together;

/// The exchange with the other ranks of `world`, whose batch norms normalise as `batch_norm` says. All ranks call it.
pub(crate) fn exchange_among(
    world: &World,
    batch_norm: RankStatistics,
) -> Result<Box<dyn Exchange>, Error> {
    let Some(peers) = world.peers() else { return Ok(Box::new(Alone::default())) };
    let statistics = match batch_norm {
        RankStatistics::Synchronised => world.synchronised()?,
        RankStatistics::Broadcast => None,
    };
    Ok(Box::new(Together::new(peers, statistics)))
}

/// This rank's share of a batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Share {
    /// Images of the share that could be read.
    pub(crate) readable: usize,
    /// Images that the batch should have on all ranks together.
    pub(crate) in_all: usize,
}

/// The backward pass of a step.
pub(crate) struct Backward<'a> {
    /// The loss of the last micro-batch, whose gradients are still to be computed; `None` for a share without images.
    pub(crate) loss: Option<Tensor>,
    /// The sums of the gradients of earlier micro-batches, one for each parameter; empty for none.
    pub(crate) accumulated: Vec<Tensor>,
    /// The figures of the share; `None` for a share without images.
    pub(crate) output: Option<StepOutput>,
    /// The parameters that the step moves.
    pub(crate) parameters: &'a [&'a Tensor],
}

/// The exchange of a rank with the others. In every step, its learner calls `open`, `backward` and `close`, in this order.
pub(crate) trait Exchange {
    /// Opens a step over `share` and casts this rank's `votes`. Returns the number of images that losses are divided by.
    ///
    /// # Errors
    /// A batch without a readable image.
    fn open(&mut self, share: Share, votes: Votes) -> Result<i64, Error>;

    /// Sums the statistics of batch norms over all ranks, where they are synchronised.
    fn statistics(&self) -> Option<&SumOverProcesses>;

    /// Computes the figures and gradients of all ranks together. The next step overwrites the gradients.
    fn backward(&mut self, pass: Backward<'_>) -> Result<(StepOutput, Vec<Tensor>), Error>;

    /// Makes up for images that could not be read, once all ranks have reported theirs, and counts the votes.
    fn close(&mut self, output: &mut StepOutput, gradients: &[Tensor]) -> Result<(), Error>;

    /// The signal that stops the run now, where this rank has received `own`: with several ranks, the one that they
    /// agreed on in the last step.
    fn stop(&self, own: Option<Signal>) -> Option<Signal>;

    /// Whether a rank voted in the last step to save the run.
    fn saves(&self) -> bool;

    /// Forgets the votes of the last step.
    fn forget_votes(&mut self);

    /// Whether gradients are exchanged while others are still being computed.
    fn overlaps(&self) -> bool;

    /// Whether a CUDA graph can record the step.
    fn can_be_recorded(&self) -> bool;

    /// Bytes that the exchange of gradients of `parameters` needs.
    fn bytes(&self, parameters: &[Tensor]) -> u64;
}

/// Adds `gradients` to `sums`, in place; to nothing, they are the sums.
pub(super) fn add_gradients(sums: &mut Vec<Tensor>, gradients: Vec<Tensor>) -> Result<(), Error> {
    if sums.is_empty() {
        *sums = gradients;
        return Ok(());
    }
    for (sum, gradient) in sums.iter_mut().zip(&gradients) {
        drop(sum.f_add_(gradient)?);
    }
    Ok(())
}
