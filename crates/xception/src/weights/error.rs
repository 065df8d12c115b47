//! Weights that cannot be read, written or used.

use std::path::PathBuf;

use super::Mismatch;
use crate::out_of_range::OutOfRange;
use crate::preset::{Preset, UnknownPreset};

/// Weights that cannot be read, written or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file that cannot be read or written.
    #[error("cannot {action} {}", path.display())]
    File {
        /// `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file that is no safetensors file, or is damaged.
    #[error("{} is not a valid safetensors file: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// A file in PyTorch's or Keras's format that cannot be read.
    #[error("{} {problem}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The reason. Not a source of this error, whose message has all of it.
        problem: weight_files::Error,
    },
    /// A file of something else.
    #[error("{} holds no weights (safetensors, PyTorch's .pth, Keras's .keras or .h5): {looks}", path.display())]
    NotWeights {
        /// The file.
        path: PathBuf,
        /// The format that it seems to have.
        looks: String,
    },
    /// A list of files, or a description, that cannot be used.
    #[error("{} cannot be used: {reason}", path.display())]
    Index {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// A network that timm does not have.
    #[error(
        "timm has no network like '{preset}' with these options; export it as ONNX or TorchScript"
    )]
    NotOfTimm {
        /// The preset.
        preset: Preset,
    },
    /// Metadata that are missing or malformed.
    #[error("{}: metadata '{key}' {problem}", path.display())]
    Metadata {
        /// The file.
        path: PathBuf,
        /// The metadata key.
        key: &'static str,
        /// The reason.
        problem: String,
    },
    /// Metadata with a preset that this version does not know.
    #[error(transparent)]
    UnknownPreset(#[from] UnknownPreset),
    /// Options that no network has.
    #[error(transparent)]
    OutOfRange(#[from] OutOfRange),
    /// Tensors that are not those of the network.
    #[error(transparent)]
    Mismatch(#[from] Mismatch),
    /// A first kernel that cannot be adapted to other channels.
    #[error("{name} is no kernel for 3 channels that could be fitted to others, it {}", got_channels(*got))]
    InputKernel {
        /// The kernel.
        name: String,
        /// Its input channels; `None` where it is missing.
        got: Option<i64>,
    },
    /// A refusal by libtorch.
    #[error(transparent)]
    Torch(#[from] tch::TchError),
}

fn got_channels(got: Option<i64>) -> String {
    got.map_or_else(|| "is missing".to_string(), |channels| format!("has {channels}"))
}
