//! What this crate refuses, in words; who called it knows the file's name.

/// A file of weights that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// None of the formats.
    #[error("is neither a PyTorch file (.pth) nor HDF5 (.h5)")]
    UnknownFormat,
    /// A pickle names something that is not needed for weights, and that Python would call.
    #[error(
        "asks for {name} (byte {at} of its pickle), which no weights need and which is not called here; write the file \
         anew with nothing but the state dict in it"
    )]
    Forbidden {
        /// Module and name.
        name: String,
        /// Where in the pickle.
        at: usize,
    },
    /// HDF5 can take its numbers from other files; that is how a file of weights would read a stranger's disk.
    #[error("takes its numbers from another file, {0}, which is not opened")]
    Outside(String),
    /// It breaks the rules of its format.
    #[error("is damaged: {0}")]
    Damaged(String),
    /// It is well-formed and holds no weights, or in a way that is not read.
    #[error("cannot be read: {0}")]
    Unsupported(String),
}
