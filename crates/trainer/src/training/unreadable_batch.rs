//! A batch of which no image can be read: it is skipped, as a single image would be, unless there seem to be no others.

use super::Training;
use super::error::Error;
use crate::learner;

/// The most batches in a row of which no image can be read. More of them are a folder that is gone.
const MOST: u32 = 10;

impl Training<'_> {
    /// Skips the next step because of `error`, if it is a batch without a readable image.
    ///
    /// # Errors
    /// `error`, where it is another one, or one too many.
    pub(super) fn skip_unreadable(&mut self, error: Error) -> Result<(), Error> {
        let Error::Step(learner::Error::UnreadableBatch) = error else { return Err(error) };
        self.unreadable_batches += 1;
        if self.unreadable_batches > MOST {
            return Err(Error::UnreadableBatches { in_a_row: self.unreadable_batches });
        }
        self.course.state.step += 1;
        tracing::warn!(
            "no image of the batch of step {} can be read: it is skipped",
            self.course.state.step
        );
        Ok(())
    }
}
