//! The errors of this crate. Each message is a predicate: the caller puts the name of the file before it.

/// A file of weights that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file of another format.
    #[error("is neither a PyTorch file (.pth) nor one of Keras (.keras, .h5)")]
    UnknownFormat,
    /// A pickle names a function that weights do not need. Python would call it.
    #[error(
        "calls {name} (byte {at} of its pickle), which weights do not need and which is not run here; save the state \
         dict alone: torch.save(model.state_dict(), …)"
    )]
    Forbidden {
        /// Module and name.
        name: String,
        /// The byte of the pickle at which it is named.
        at: usize,
    },
    /// The numbers lie in another file. HDF5 allows that, and a hostile file could read the user's disk by it.
    #[error(
        "keeps its numbers in another file, {0}, which is not opened; write them into one file"
    )]
    Outside(String),
    /// A format whose reader was left out of this build.
    #[error("cannot be read by this program, which was built without the feature `{0}`")]
    WithoutFeature(&'static str),
    /// The file breaks the rules of its format.
    #[error("is damaged: {0}")]
    Damaged(String),
    /// The file is well-formed but holds no weights, or holds them in a way that is not supported.
    #[error("cannot be read: {0}")]
    Unsupported(String),
}
