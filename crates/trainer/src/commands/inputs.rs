//! Images that are named on the command line: one that cannot be read is named, and the others are worked on.

use super::{Error, Refusal};

/// The number of inputs of a command, and of those that could not be read so far.
pub(super) struct Inputs {
    number: Number,
    failed: usize,
}

/// The number of all inputs.
enum Number {
    /// As it was typed.
    Typed(usize),
    /// Counted as they are found.
    Counted(usize),
}

impl Inputs {
    /// `all` inputs that were typed one by one.
    pub(super) fn typed(all: usize) -> Self {
        Self { number: Number::Typed(all), failed: 0 }
    }

    /// Inputs that are found in folders or lists, none so far.
    pub(super) fn counted() -> Self {
        Self { number: Number::Counted(0), failed: 0 }
    }

    /// Counts another one that was found.
    pub(super) fn add(&mut self) {
        if let Number::Counted(all) = &mut self.number {
            *all += 1;
        }
    }

    /// Names an input that cannot be read, and returns the words for that.
    ///
    /// # Errors
    /// The `error`, where it is the only input that was typed.
    pub(super) fn unreadable(&mut self, error: Error) -> Result<String, Error> {
        if matches!(self.number, Number::Typed(1)) {
            return Err(error);
        }
        let problem = format!("{:#}", anyhow::Error::from(error));
        tracing::error!("{problem}");
        self.failed += 1;
        Ok(problem)
    }

    /// The end of the command.
    ///
    /// # Errors
    /// Inputs that could not be read.
    pub(super) fn end(self) -> Result<(), Error> {
        let (Number::Typed(inputs) | Number::Counted(inputs)) = self.number;
        match self.failed {
            0 => Ok(()),
            failed => Err(Refusal::Inputs { failed, inputs }.into()),
        }
    }
}
