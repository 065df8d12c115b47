//! PyTorch's `.pth` files, old and new, and Keras's HDF5 files, parsed from bytes into named arrays.
//!
//! Nothing in a file is trusted. Nothing is executed and no other file is opened. Every size is compared with the file
//! before memory is allocated, and memory stays within a small multiple of the file. The crate knows no tensor, so the
//! parsers fuzz without libtorch.

mod array;
mod error;
mod keras;
mod pickle;
mod pytorch;

use std::collections::BTreeMap;

pub use array::{Array, DType};
pub use error::Error;

/// Arrays by name.
pub type Arrays = BTreeMap<String, Array>;

/// The format of a file of weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// A zip archive with a pickle in it: `torch.save` since PyTorch 1.6.
    PytorchZip,
    /// Five pickles, then the numbers: `torch.save` before PyTorch 1.6.
    PytorchLegacy,
    /// HDF5: `.h5` and `.weights.h5` of Keras.
    Hdf5,
    /// Safetensors: a length, a header in JSON, then the numbers. [`parse`] does not read it.
    Safetensors,
}

impl Format {
    /// The format of a file that starts with `bytes`; `None` if it is none of these. Fourteen bytes are enough.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Option<Self> {
        if bytes.starts_with(b"PK\x03\x04") {
            Some(Format::PytorchZip)
        } else if bytes.starts_with(b"\x89HDF\r\n\x1a\n") {
            Some(Format::Hdf5)
        } else if bytes.starts_with(pytorch::LEGACY_MAGIC) {
            Some(Format::PytorchLegacy)
        } else {
            (bytes.get(8) == Some(&b'{')).then_some(Format::Safetensors)
        }
    }
}

/// The arrays of a `.pth` or HDF5 file, by name.
///
/// Names are the file's own, without the prefix `module.` of PyTorch's `DataParallel`. Variables of Keras are called
/// `LAYER/0`, `LAYER/1` and so on, in the order in which their layer holds them.
///
/// # Errors
/// A file of another format, a damaged file, a file without weights, or one that needs code or another file to be read.
pub fn parse(bytes: &[u8]) -> Result<Arrays, Error> {
    match Format::of(bytes) {
        Some(Format::PytorchZip) => pytorch::parse_zip(bytes),
        Some(Format::PytorchLegacy) => pytorch::parse_legacy(bytes),
        Some(Format::Hdf5) => keras::parse(bytes),
        Some(Format::Safetensors) | None => Err(Error::UnknownFormat),
    }
}
