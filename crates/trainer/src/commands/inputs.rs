//! Images that are named on the command line: one that cannot be read is named, and the others are worked on.

use std::path::Path;

use serde_json::{Value, json};

use super::{Error, Refusal};

/// The number of inputs of a command, and of those that could not be read so far.
pub(super) struct Inputs {
    all: usize,
    failed: usize,
}

impl Inputs {
    pub(super) fn new(all: usize) -> Self {
        Self { all, failed: 0 }
    }

    /// Names `input`, which cannot be read, and returns its row of the command's document.
    ///
    /// # Errors
    /// The `error`, where it is the only input.
    pub(super) fn unreadable(&mut self, input: &Path, error: Error) -> Result<Value, Error> {
        if self.all == 1 {
            return Err(error);
        }
        let problem = format!("{:#}", anyhow::Error::from(error));
        tracing::error!("{problem}");
        self.failed += 1;
        Ok(json!({ "input": input.display().to_string(), "error": problem }))
    }

    /// The end of the command.
    ///
    /// # Errors
    /// Inputs that could not be read.
    pub(super) fn end(self) -> Result<(), Error> {
        match self.failed {
            0 => Ok(()),
            failed => Err(Refusal::Inputs { failed, inputs: self.all }.into()),
        }
    }
}
