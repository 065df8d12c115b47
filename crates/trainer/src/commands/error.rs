//! The error that a command ends with: the sum of the errors of all modules, which `main` prints.

use crate::exit_code::ExitCode;
use crate::file_error::FileError;
use crate::model_errors::from_model_errors;
use crate::ranks::Failure;
use crate::stop::ListenError;
use crate::torch_error::{TorchError, from_torch_errors};
use crate::{
    data, evaluation, instructions, learner, network, optim, ranks, recipe, report, run, training,
};

use super::refusal::Refusal;

/// Why a command did not finish.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Arguments that contradict each other or the files that they name.
    #[error(transparent)]
    Refusal(#[from] Refusal),
    /// A recipe that cannot be used.
    #[error(transparent)]
    Recipe(#[from] recipe::Error),
    /// A data set that cannot be found or used.
    #[error(transparent)]
    Data(#[from] data::Error),
    /// Images that cannot be read.
    #[error(transparent)]
    Datasets(#[from] datasets::Error),
    /// A model that cannot be built, or weights that cannot be used.
    #[error(transparent)]
    Model(#[from] xception::Error),
    /// A trained network that cannot be loaded, used or exported.
    #[error(transparent)]
    Network(#[from] network::Error),
    /// A training step that was not taken.
    #[error(transparent)]
    Step(#[from] learner::Error),
    /// An optimizer that cannot be built.
    #[error(transparent)]
    Optim(#[from] optim::Error),
    /// A run that did not start, or ended early.
    #[error(transparent)]
    Training(#[from] training::Error),
    /// A network that cannot be measured.
    #[error(transparent)]
    Evaluation(#[from] evaluation::Error),
    /// A run's folder that cannot be used.
    #[error(transparent)]
    Run(#[from] run::Error),
    /// A run that cannot be shown.
    #[error(transparent)]
    Report(#[from] report::Error),
    /// Other ranks that cannot be met or reached.
    #[error(transparent)]
    Ranks(#[from] ranks::Error),
    /// An instruction set that the program cannot be held to.
    #[error(transparent)]
    Instructions(#[from] instructions::Error),
    /// Signals that cannot be listened for.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// A file that cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// An error of libtorch, or a panic.
    #[error(transparent)]
    Torch(#[from] TorchError),
}

impl Error {
    /// The exit code of this error.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Error::Refusal(error) => error.exit_code(),
            Error::Recipe(error) => error.exit_code(),
            Error::Data(error) => error.exit_code(),
            Error::Datasets(_) => ExitCode::Data,
            Error::Model(error) => ExitCode::of_model(error),
            Error::Network(error) => error.exit_code(),
            Error::Step(error) => error.exit_code(),
            Error::Optim(error) => error.exit_code(),
            Error::Training(error) => error.exit_code(),
            Error::Evaluation(error) => error.exit_code(),
            Error::Run(error) => error.exit_code(),
            Error::Report(error) => error.exit_code(),
            Error::Ranks(error) => error.exit_code(),
            Error::Instructions(error) => error.exit_code(),
            Error::Listen(error) => error.exit_code(),
            Error::File(error) => error.exit_code(),
            Error::Torch(error) => error.exit_code(),
        }
    }

    /// This error as the other ranks and the launcher have to know it.
    pub(crate) fn failure(&self) -> Failure<'_> {
        match self {
            Error::Training(error) if error.is_of_all_ranks() => {
                Failure::of_all_ranks(self, self.exit_code())
            }
            _ => Failure::of_this_rank(self, self.exit_code()),
        }
    }

    /// Whether the same command would be refused again: what it was given cannot be used.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self.exit_code(), ExitCode::Usage | ExitCode::Data)
    }
}

from_torch_errors!(Error, Error::Torch);
from_model_errors!(Error, Error::Model);
