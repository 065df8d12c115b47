//! Every error of this crate as one type, for programs that handle them alike. Functions return the smaller types.

use crate::import;
use crate::inference::Unsupported;
use crate::model::BuildError;
use crate::out_of_range::OutOfRange;
use crate::preprocessing::ImageError;
use crate::preset::UnknownPreset;
use crate::summary;
use crate::weights;

/// Any error of this crate; each of them becomes one with `?`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A name that no preset has.
    #[error(transparent)]
    UnknownPreset(#[from] UnknownPreset),
    /// A value of a table or an option out of range.
    #[error(transparent)]
    OutOfRange(#[from] OutOfRange),
    /// A network that cannot be built.
    #[error(transparent)]
    Build(BuildError),
    /// A network that cannot be counted: the image is too small.
    #[error(transparent)]
    Summary(summary::Error),
    /// A network that the packed kernels cannot compute.
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
    /// Weights that cannot be read, written or used.
    #[error(transparent)]
    Weights(weights::Error),
    /// A state dict that cannot be imported.
    #[error(transparent)]
    Import(import::Error),
    /// An image that cannot be read.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A refusal by libtorch.
    #[error(transparent)]
    Torch(#[from] tch::TchError),
}

// An error that several functions can return is the same variant whichever of them did.

impl From<BuildError> for Error {
    fn from(error: BuildError) -> Self {
        match error {
            BuildError::OutOfRange(error) => error.into(),
            error => Error::Build(error),
        }
    }
}

impl From<summary::Error> for Error {
    fn from(error: summary::Error) -> Self {
        match error {
            summary::Error::OutOfRange(error) => error.into(),
            error => Error::Summary(error),
        }
    }
}

impl From<weights::Error> for Error {
    fn from(error: weights::Error) -> Self {
        match error {
            weights::Error::UnknownPreset(error) => error.into(),
            weights::Error::OutOfRange(error) => error.into(),
            weights::Error::Torch(error) => error.into(),
            error => Error::Weights(error),
        }
    }
}

impl From<import::Error> for Error {
    fn from(error: import::Error) -> Self {
        match error {
            import::Error::OutOfRange(error) => error.into(),
            error => Error::Import(error),
        }
    }
}
