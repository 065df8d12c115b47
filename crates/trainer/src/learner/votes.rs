//! The votes that ranks cast with every step: whether to stop and whether to save after it. One vote is enough.

use tch::Tensor;

use crate::learner::Error;
use crate::signal::Signal;

/// The requests of a rank for the time after a step, or the decision of all ranks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Votes {
    /// To stop, because of this signal.
    pub(crate) stop: Option<Signal>,
    /// To save the run, because it is time again.
    pub(crate) save: bool,
}

/// The counts of one rank in a step, or those of all ranks summed up.
pub(super) struct Tally {
    /// Images that could be read.
    pub(super) images: usize,
    /// Shares without a readable image.
    empty: usize,
    pub(super) votes: Votes,
}

impl Tally {
    /// The counts of a rank with `images` images.
    pub(super) fn new(images: usize, votes: Votes) -> Self {
        Self { images, empty: usize::from(images == 0), votes }
    }

    /// The counts to be summed over all ranks, int64 `[5]`.
    pub(super) fn to_tensor(&self) -> Tensor {
        let Self { images, empty, votes: Votes { stop, save } } = self;
        Tensor::from_slice(&[
            *images as i64,
            *empty as i64,
            i64::from(*stop == Some(Signal::Interrupt)),
            i64::from(*stop == Some(Signal::Terminate)),
            i64::from(*save),
        ])
    }

    /// The counts of all ranks, from the `sums` of [`Tally::to_tensor`].
    pub(super) fn of_all(sums: &Tensor) -> Result<Self, Error> {
        let sums: Vec<i64> = Vec::try_from(sums)?;
        let stop = match sums[2..4] {
            [0, 0] => None,
            [0, _] => Some(Signal::Terminate),
            _ => Some(Signal::Interrupt),
        };
        let votes = Votes { stop, save: sums[4] > 0 };
        Ok(Self { images: sums[0] as usize, empty: sums[1] as usize, votes })
    }

    /// Refuses, on all ranks alike, shares from which nothing can be learned.
    pub(super) fn check(&self, synchronised: bool, ranks: usize) -> Result<(), Error> {
        let Self { images, empty, .. } = self;
        if *images == 0 {
            return Err(Error::UnreadableBatch);
        }
        if synchronised && *empty > 0 {
            return Err(Error::EmptyShares { ranks, empty: *empty });
        }
        Ok(())
    }
}
