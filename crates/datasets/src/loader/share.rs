//! The part of each batch that a rank loads: data parallel training splits batches, not the set.
//!
//! Order, batches and augmentation are therefore the same for every number of ranks, every image occurs once in an
//! epoch, and no rank reads an image of another.

use std::ops::Range;

/// A rank's share of every batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// The rank, from 0.
    pub rank: usize,
    /// Number of ranks.
    pub world_size: usize,
}

impl Share {
    /// The whole batch: one rank alone.
    pub const WHOLE: Self = Self { rank: 0, world_size: 1 };

    /// Number of batches of `batch_size` in an epoch of `images`, if the last one is kept.
    ///
    /// A remainder that is too small to give every rank an image joins the batch before it: every rank takes part in
    /// every step.
    ///
    /// # Panics
    /// A `batch_size` of 0.
    #[must_use]
    pub fn batches(self, images: usize, batch_size: usize) -> usize {
        let (full, rest) = (images / batch_size, images % batch_size);
        let joins = rest == 0 || (rest < self.world_size && full > 0);
        full + usize::from(!joins)
    }

    /// This rank's part of the places `whole` of a batch, or of another list.
    pub(crate) fn of(self, whole: &Range<usize>) -> Range<usize> {
        let at = |rank: usize| whole.start + whole.len() * rank / self.world_size;
        at(self.rank)..at(self.rank + 1)
    }
}
