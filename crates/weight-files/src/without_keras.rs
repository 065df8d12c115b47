//! The reader of Keras's files in a build without the feature `keras`.

#[cfg(feature = "pth")]
use crate::zip_archive::Archive;
use crate::{Contents, Error};

/// The entry of a `.keras` archive that holds the weights.
#[cfg(feature = "pth")]
pub(crate) const WEIGHTS: &str = "model.weights.h5";

/// Refuses to read.
pub(crate) fn parse(_bytes: &[u8]) -> Result<Contents, Error> {
    Err(Error::WithoutFeature("keras"))
}

/// Refuses to read.
#[cfg(feature = "pth")]
pub(crate) fn parse_archive(
    _archive: &mut Archive,
    _weights: &str,
    _length: usize,
) -> Result<Contents, Error> {
    Err(Error::WithoutFeature("keras"))
}
