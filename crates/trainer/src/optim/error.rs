//! Errors of optimizers and averages.

use crate::exit_code::ExitCode;
use crate::torch_error::{TorchError, from_torch_errors};

/// Problems that a message lists before it only counts them.
const LISTED: usize = 12;

/// Why an optimizer cannot be built, stepped or restored.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A layer group whose pattern matches no parameter.
    #[error(
        "groups[{index}] with parameters = {pattern:?} matches no parameter; there are {count} such as {}",
        examples.join(", ")
    )]
    GroupUnmatched {
        /// Its place in `[[groups]]`, from 0.
        index: usize,
        /// Its `parameters`.
        pattern: String,
        /// Parameters of the network.
        count: usize,
        /// Some of their names.
        examples: Vec<String>,
    },
    /// A layer group whose parameters all belong to earlier groups.
    #[error(
        "groups[{index}] with parameters = {pattern:?} is left with nothing: an earlier group has all that it matches, \
         such as {taken}; put the narrower group first"
    )]
    GroupEmpty {
        /// Its place in `[[groups]]`, from 0.
        index: usize,
        /// Its `parameters`.
        pattern: String,
        /// A parameter that an earlier group has.
        taken: String,
    },
    /// Saved tensors do not fit.
    #[error(
        "the saved state does not fit the {what} in {} places; resume with the recipe that it was saved under:\n  {}",
        problems.len(),
        list(problems)
    )]
    State {
        /// The owner of the state.
        what: &'static str,
        /// A line for each tensor that does not fit.
        problems: Vec<String>,
    },
    /// An error of libtorch.
    #[error(transparent)]
    Torch(#[from] TorchError),
}

impl Error {
    /// The exit code of this error.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Error::GroupUnmatched { .. } | Error::GroupEmpty { .. } => ExitCode::Usage,
            Error::State { .. } => ExitCode::Data,
            Error::Torch(error) => error.exit_code(),
        }
    }
}

fn list(problems: &[String]) -> String {
    let mut lines = problems.iter().take(LISTED).cloned().collect::<Vec<_>>();
    if problems.len() > LISTED {
        lines.push(format!("… and {} more", problems.len() - LISTED));
    }
    lines.join("\n  ")
}

from_torch_errors!(Error, Error::Torch);
