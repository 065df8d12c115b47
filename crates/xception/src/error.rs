//! What this crate refuses, in words.

use std::path::PathBuf;

use crate::{import::ImportError, weights::Mismatch};

/// A model that cannot be built, or weights that cannot be read, written or used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such preset.
    #[error("unknown preset '{name}'; known are {known}")]
    UnknownPreset {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// A model option out of range.
    #[error("{option} must be {accepted}, got {value}")]
    Option {
        /// The option's name.
        option: &'static str,
        /// What is accepted.
        accepted: &'static str,
        /// What was given.
        value: String,
    },
    /// An image that shrinks to nothing on its way through the network.
    #[error("input of {0} pixels is too small: the feature map vanishes before the head")]
    InputTooSmall(i64),
    /// A layer refused its configuration.
    #[error(transparent)]
    Layer(#[from] sepconv::Error),
    /// A file could not be read or written.
    #[error("cannot {action} {}", path.display())]
    File {
        /// `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file is not safetensors, or is damaged.
    #[error("{} is not a valid safetensors file: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file of PyTorch's or Keras's own cannot be read.
    #[error("{} {problem}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What is wrong with it. No source: the message has it all.
        problem: weight_files::Error,
    },
    /// A file of something else.
    #[error("{} holds no weights (safetensors, PyTorch's .pth or Keras's .h5): {looks}", path.display())]
    NotWeights {
        /// The file.
        path: PathBuf,
        /// What it looks like.
        looks: String,
    },
    /// A file's metadata is missing or malformed.
    #[error("{}: metadata '{key}' {problem}", path.display())]
    Metadata {
        /// The file.
        path: PathBuf,
        /// The metadata key.
        key: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The tensors of a file are not those of the model.
    #[error(transparent)]
    Mismatch(#[from] Mismatch),
    /// The first kernel cannot be fitted to other channels.
    #[error("{name} is no kernel for 3 channels that could be fitted to others, it {}", got_channels(*got))]
    InputKernel {
        /// The kernel.
        name: String,
        /// Its input channels; `None` when it is missing.
        got: Option<i64>,
    },
    /// A foreign state dict does not fit.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// libtorch refused something.
    #[error(transparent)]
    Torch(#[from] tch::TchError),
}

fn got_channels(got: Option<i64>) -> String {
    got.map_or_else(|| "is missing".to_string(), |channels| format!("has {channels}"))
}
