//! The reader of PyTorch's files in a build without the feature `pth`.

#[cfg(feature = "keras")]
use crate::zip_archive::Archive;
use crate::{Contents, Error};

/// The name of the pickle in an archive, after its folder.
#[cfg(feature = "keras")]
pub(crate) const PICKLE: &str = "/data.pkl";

/// Refuses to read.
pub(crate) fn parse_legacy(_bytes: &[u8]) -> Result<Contents, Error> {
    Err(Error::WithoutFeature("pth"))
}

/// Refuses to read.
#[cfg(feature = "keras")]
pub(crate) fn parse_zip(
    _archive: &mut Archive,
    _pickle: &str,
    _length: usize,
) -> Result<Contents, Error> {
    Err(Error::WithoutFeature("pth"))
}
