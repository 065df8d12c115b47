//! Weights as others write them, parsed from bytes: PyTorch's `.pth`, old and new, and Keras's HDF5.
//!
//! Nothing in a file is trusted: nothing is executed, nothing outside the file is opened, no number is believed before it
//! is compared with what is there, and memory stays within a small multiple of the file. No tensor is in sight, so the
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

/// How a file of weights is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A zip archive around a pickle: `torch.save` since PyTorch 1.6.
    PytorchZip,
    /// Pickles in a row, then the numbers: `torch.save` before it.
    PytorchLegacy,
    /// HDF5: Keras's `.h5` and `.weights.h5`.
    Hdf5,
    /// A length, a header in JSON, the numbers.
    Safetensors,
}

impl Format {
    /// What a file that begins with `bytes` is written as, by its first bytes; `None` for none of them.
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

/// The arrays of a `.pth` or HDF5 file.
///
/// # Errors
/// A file of another format, one that is damaged, or one that asks for what no weights need; with what and where.
pub fn parse(bytes: &[u8]) -> Result<Arrays, Error> {
    match Format::of(bytes) {
        Some(Format::PytorchZip) => pytorch::parse_zip(bytes),
        Some(Format::PytorchLegacy) => pytorch::parse_legacy(bytes),
        Some(Format::Hdf5) => keras::parse(bytes),
        Some(Format::Safetensors) | None => Err(Error::UnknownFormat),
    }
}
