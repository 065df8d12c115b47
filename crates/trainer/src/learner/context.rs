//! The place of a step in its run.

use super::error::{Error, NonFiniteLoss};

/// The place of a step in its run, and its learning rate.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StepContext {
    /// The epoch, from 1.
    pub(crate) epoch: u64,
    /// The step in the whole run, from 1.
    pub(crate) step: u64,
    /// The learning rate of this step.
    pub(crate) learning_rate: f64,
}

impl StepContext {
    /// Refuses a loss that is not finite.
    pub(crate) fn check_finite(self, loss: f64) -> Result<(), Error> {
        let Self { epoch, step, learning_rate } = self;
        if loss.is_finite() {
            return Ok(());
        }
        Err(Error::NonFiniteLoss(NonFiniteLoss { loss, epoch, step, learning_rate }))
    }
}
