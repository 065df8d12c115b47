//! The figures that a step leaves on the device.

use tch::Tensor;

use crate::learner::Error;

/// The figures of a step, of all ranks together. Reading a tensor waits for the device.
pub(crate) struct StepOutput {
    /// Mean loss of the batch before the update, fp32 scalar.
    pub(crate) loss: Tensor,
    /// Images of the batch that were classified correctly before the update, int64 scalar.
    pub(crate) correct: Tensor,
    /// Images of the batch.
    pub(crate) images: usize,
}

impl StepOutput {
    /// Adds the next micro-batch.
    pub(super) fn add(&mut self, next: &Self) -> Result<(), Error> {
        drop((self.loss.f_add_(&next.loss)?, self.correct.f_add_(&next.correct)?));
        self.images += next.images;
        Ok(())
    }
}
