//! PyTorch's `.pth` files, old and new, and Keras's `.h5` and `.keras` files, parsed from bytes into named arrays. So are
//! pickled dictionaries of numpy's arrays.
//!
//! Nothing in a file is trusted. Nothing is executed and no other file is opened. Every size is compared with the file
//! before memory is allocated, and memory stays within a small multiple of the file. The crate knows no tensor, so the
//! parsers fuzz without libtorch.

#![cfg_attr(
    not(all(feature = "keras", feature = "pth")),
    allow(dead_code, reason = "what the readers share is of less use where one is left out")
)]

mod array;
mod contents;
mod error;
#[cfg(feature = "keras")]
mod keras;
mod keras_layer;
mod numpy;
mod pickle;
#[cfg(feature = "pth")]
mod pytorch;
#[cfg(not(feature = "keras"))]
mod without_keras;
#[cfg(not(feature = "pth"))]
mod without_pth;
#[cfg(any(feature = "keras", feature = "pth"))]
mod zip_archive;

use std::collections::BTreeMap;

#[cfg(not(feature = "keras"))]
use self::without_keras as keras;
#[cfg(not(feature = "pth"))]
use self::without_pth as pytorch;
pub use array::{Array, DType};
pub use contents::{Contents, Dictionary};
pub use error::Error;
pub use keras_layer::KerasLayer;
pub use numpy::{Pickled, parse_pickled};

/// The most tensors of a file: networks have some thousands.
pub const MOST_TENSORS: usize = 100_000;

/// The first bytes of `torch.save` before PyTorch 1.6: the pickle of a magic number.
const LEGACY_MAGIC: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";

/// Arrays by name.
pub type Arrays = BTreeMap<String, Array>;

/// The format of a file of weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// A zip archive: `torch.save` since PyTorch 1.6, and `.keras`.
    Zip,
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
            Some(Format::Zip)
        } else if bytes.starts_with(b"\x89HDF\r\n\x1a\n") {
            Some(Format::Hdf5)
        } else if bytes.starts_with(LEGACY_MAGIC) {
            Some(Format::PytorchLegacy)
        } else {
            (bytes.get(8) == Some(&b'{')).then_some(Format::Safetensors)
        }
    }
}

/// The arrays of a PyTorch or Keras file.
///
/// Names are the file's own. Variables of Keras are called `LAYER/0`, `LAYER/1` and so on, in the order in which their
/// layer holds them, and `MODEL/LAYER/0` in a model that is a layer. Objects of other classes are ignored: nothing of theirs
/// is executed.
///
/// # Errors
/// A file of another format, a damaged file, a file without weights, or one that needs code or another file to be read.
pub fn parse(bytes: &[u8]) -> Result<Contents, Error> {
    match Format::of(bytes) {
        Some(Format::Zip) => parse_zip(bytes),
        Some(Format::PytorchLegacy) => pytorch::parse_legacy(bytes),
        Some(Format::Hdf5) => keras::parse(bytes),
        Some(Format::Safetensors) | None => Err(Error::UnknownFormat),
    }
}

#[cfg(not(any(feature = "keras", feature = "pth")))]
fn parse_zip(_bytes: &[u8]) -> Result<Contents, Error> {
    Err(Error::WithoutFeature("pth"))
}

/// The content of a zip archive: what is in it says who wrote it.
#[cfg(any(feature = "keras", feature = "pth"))]
fn parse_zip(bytes: &[u8]) -> Result<Contents, Error> {
    let mut archive = zip_archive::open(bytes)?;
    if let Some(pickle) = zip_archive::ending_in(&archive, pytorch::PICKLE) {
        return pytorch::parse_zip(&mut archive, &pickle, bytes.len());
    }
    if let Some(weights) = zip_archive::ending_in(&archive, keras::WEIGHTS) {
        return keras::parse_archive(&mut archive, &weights, bytes.len());
    }
    let inner = [".pth", ".pt", ".safetensors", ".keras", ".h5", ".bin"]
        .iter()
        .find_map(|ending| zip_archive::ending_in(&archive, ending));
    if let Some(inner) = inner {
        let inner: String = inner.chars().take(200).collect();
        return Err(Error::Unsupported(format!(
            "it is a zip archive around {inner:?}; unpack it and give that file"
        )));
    }
    Err(Error::Unsupported(format!(
        "it is a zip archive without a data.pkl, as PyTorch's have, and without a {}, as Keras's have",
        keras::WEIGHTS
    )))
}
