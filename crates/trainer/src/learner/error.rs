//! Errors of a training step.

use crate::exit_code::ExitCode;
use crate::torch_error::{TorchError, from_torch_errors};
use crate::{network, optim, ranks};

/// Why a step was not taken.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The loss became infinite or NaN.
    #[error("{0}; {LOWER_RATE}")]
    NonFiniteLoss(NonFiniteLoss),
    /// A batch in which no image can be read.
    #[error("no image of a batch can be read")]
    UnreadableBatch,
    /// Ranks without a readable image, where batch norm needs one on each.
    #[error(
        "of {ranks} ranks, {empty} cannot read a single image of their shares of a batch, and ranks.batch_norm = \
         \"synchronised\" needs one on each; remove the broken images, or use \"broadcast\""
    )]
    EmptyShares {
        /// Ranks in all.
        ranks: usize,
        /// Ranks without a readable image.
        empty: usize,
    },
    /// An optimizer that cannot be stepped.
    #[error(transparent)]
    Optim(#[from] optim::Error),
    /// A step that cannot be recorded.
    #[error(transparent)]
    Network(#[from] network::Error),
    /// Other ranks that cannot be reached.
    #[error(transparent)]
    Ranks(#[from] ranks::Error),
    /// An error of libtorch.
    #[error(transparent)]
    Torch(#[from] TorchError),
}

/// Advice for a loss that is not finite.
pub(crate) const LOWER_RATE: &str = "try a lower learning rate (--set schedule.peak=… or --set \
                                     schedule.learning_rate=…), or let such batches pass (--set non_finite.action=…)";

/// A loss that is not finite, and its step.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error(
    "the loss became {loss} in epoch {epoch}, step {step}, at learning rate {learning_rate:.3e}"
)]
pub struct NonFiniteLoss {
    /// The loss.
    pub loss: f64,
    /// Counted from 1.
    pub epoch: u64,
    /// Counted from 1 over the whole run.
    pub step: u64,
    /// The learning rate of that step.
    pub learning_rate: f64,
}

impl Error {
    /// The exit code of this error.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Error::NonFiniteLoss(_) => ExitCode::NonFinite,
            Error::UnreadableBatch | Error::EmptyShares { .. } => ExitCode::Data,
            Error::Optim(error) => error.exit_code(),
            Error::Network(error) => error.exit_code(),
            Error::Ranks(error) => error.exit_code(),
            Error::Torch(error) => error.exit_code(),
        }
    }

    /// The error of libtorch that caused this one, if one did.
    pub(crate) fn as_torch(&self) -> Option<&TorchError> {
        match self {
            Error::Torch(error)
            | Error::Optim(optim::Error::Torch(error))
            | Error::Network(network::Error::Torch(error))
            | Error::Ranks(ranks::Error::Torch(error)) => Some(error),
            _ => None,
        }
    }
}

impl From<torch_ext::distributed::DistributedError> for Error {
    fn from(error: torch_ext::distributed::DistributedError) -> Self {
        Error::Ranks(error.into())
    }
}

from_torch_errors!(Error, Error::Torch);
