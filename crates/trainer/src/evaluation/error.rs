//! Errors of measuring a network on a set.

use crate::exit_code::ExitCode;
use crate::file_error::FileError;
use crate::model_errors::from_model_errors;
use crate::torch_error::{TorchError, from_torch_errors};
use crate::{network, ranks};

/// Why a network cannot be measured.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Images that cannot be read.
    #[error(transparent)]
    Datasets(#[from] datasets::Error),
    /// Weights that cannot be read.
    #[error(transparent)]
    Model(#[from] xception::Error),
    /// A network that cannot be run.
    #[error(transparent)]
    Network(#[from] network::Error),
    /// Other ranks cannot be reached.
    #[error(transparent)]
    Ranks(#[from] ranks::Error),
    /// A file that cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// An error of libtorch.
    #[error(transparent)]
    Torch(#[from] TorchError),
}

impl Error {
    /// The exit code of this error.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Error::Datasets(_) => ExitCode::Data,
            Error::Model(error) => ExitCode::of_model(error),
            Error::Network(error) => error.exit_code(),
            Error::Ranks(error) => error.exit_code(),
            Error::File(error) => error.exit_code(),
            Error::Torch(error) => error.exit_code(),
        }
    }
}

from_torch_errors!(Error, Error::Torch);
from_model_errors!(Error, Error::Model);
