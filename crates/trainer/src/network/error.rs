//! Errors of trained networks: their files, and what they are exported to.

use crate::model_errors::from_model_errors;
use std::path::{Path, PathBuf};

use xception::Preset;
use xception::import::Nearest;

use crate::exit_code::ExitCode;
use crate::file_error::FileError;
use crate::recipe;
use crate::torch_error::{TorchError, from_torch_errors};

/// Why a trained network cannot be loaded, used or exported.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A foreign file, without a preset.
    #[error("{} does not say which network it belongs to{}", path.display(), fitting(presets, nearest.as_ref()))]
    NoPreset {
        /// The file.
        path: PathBuf,
        /// The presets that its tensors fit.
        presets: Vec<Preset>,
        /// If there are none, the one that has the most in common with it.
        nearest: Option<Nearest>,
    },
    /// Weights without a head, where answers were asked for.
    #[error(
        "{} has no head, so it names no class; train one: xception train --recipe finetune --weights {} --data …",
        path.display(),
        path.display()
    )]
    NoHead {
        /// The file.
        path: PathBuf,
    },
    /// A file of another preset than was typed.
    #[error("{} holds weights of preset '{own}', not '{asked}'; leave --preset out", path.display())]
    OtherPreset {
        /// The file.
        path: PathBuf,
        /// The preset in its metadata.
        own: Preset,
        /// The text that was typed.
        asked: Preset,
    },
    /// Nothing in place of a name.
    #[error(
        "the name of the weights is empty; give a file, the folder of a run, or the name of published weights"
    )]
    EmptyName,
    /// A name that belongs to no file and to no fetched weights.
    #[error(
        "{name} is no file, and no weights of that name are in {}; {}",
        folder.as_deref().unwrap_or(Path::new("the cache")).display(),
        if *is_published {
            format!("published ones come with `cargo xtask fetch weights {name}`")
        } else {
            "`cargo xtask fetch weights` names the published ones".to_string()
        }
    )]
    NoWeights {
        /// The text that was typed.
        name: String,
        /// The folder of fetched weights.
        folder: Option<PathBuf>,
        /// Whether published weights have this name.
        is_published: bool,
    },
    /// The folder of something else, or of a run that finished no epoch.
    #[error(
        "{} is a folder without last.safetensors, so it is not a run that finished an epoch{}",
        folder.display(),
        saved_model(folder)
    )]
    NoLastWeights {
        /// The folder.
        folder: PathBuf,
    },
    /// A foreign file that does not fit the preset that it was taken for.
    #[error(
        "{weights} does not say which network it belongs to, and does not fit '{preset}', for which it was taken; if it is \
         another network, add --preset: {problem}"
    )]
    UnfitPreset {
        /// The weights.
        weights: String,
        /// The preset.
        preset: Preset,
        /// The mismatch. No source: the message has it all.
        problem: Box<xception::Error>,
    },
    /// Weights of another network than was typed.
    #[error(
        "{} holds weights of preset '{preset}', and the network that was asked for is another one; leave --preset and \
         --set model.… out, or take other weights",
        path.display()
    )]
    OtherNetwork {
        /// The file.
        path: PathBuf,
        /// Its preset.
        preset: Preset,
    },
    /// A head for other classes than the data have.
    #[error(
        "the head of {} tells other classes apart than the data have ({} and {}); take --set transfer.head=new",
        path.display(),
        first_few(known),
        first_few(wanted)
    )]
    OtherHead {
        /// The file.
        path: PathBuf,
        /// The classes of the weights.
        known: Vec<String>,
        /// The classes of the data.
        wanted: Vec<String>,
    },
    /// Weights that are no numbers.
    #[error("{} has numbers in {tensor} that are not finite: its answers would be none; take an earlier checkpoint", path.display())]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// The first such tensor.
        tensor: String,
    },
    /// ONNX Runtime in Python that does not answer.
    #[error(
        "{} cannot run ONNX Runtime ({reason}); `pip install onnxruntime numpy`, or name another Python with --python",
        python.display()
    )]
    OnnxRuntime {
        /// The Python.
        python: PathBuf,
        /// Its complaint.
        reason: String,
    },
    /// Preprocessing for images of other channels.
    #[error(
        "--with-preprocessing is for images of 3 channels, and this network takes {channels}; leave it out"
    )]
    PreparedChannels {
        /// The network's.
        channels: i64,
    },
    /// Logits that are no numbers.
    #[error(
        "the network's answer is not finite (NaN or infinite): the weights or the input hold numbers that are too large"
    )]
    NoAnswer,
    /// An image that cannot be read.
    #[error(transparent)]
    Image(#[from] datasets::Error),
    /// A model that cannot be built, or weights that cannot be used.
    #[error(transparent)]
    Model(#[from] xception::Error),
    /// A recipe that names no network.
    #[error(transparent)]
    Recipe(#[from] recipe::Error),
    /// A file that cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// An error of libtorch.
    #[error(transparent)]
    Torch(#[from] TorchError),
}

impl Error {
    /// The exit code of this error.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Error::NoPreset { .. }
            | Error::EmptyName
            | Error::NoHead { .. }
            | Error::OtherPreset { .. }
            | Error::NoLastWeights { .. }
            | Error::UnfitPreset { .. }
            | Error::OtherNetwork { .. }
            | Error::OtherHead { .. }
            | Error::PreparedChannels { .. } => ExitCode::Usage,
            Error::OnnxRuntime { .. } => ExitCode::Failed,
            Error::NoWeights { .. }
            | Error::NotFinite { .. }
            | Error::NoAnswer
            | Error::Image(_) => ExitCode::Data,
            Error::Model(error) => ExitCode::of_model(error),
            Error::Recipe(error) => error.exit_code(),
            Error::File(error) => error.exit_code(),
            Error::Torch(error) => error.exit_code(),
        }
    }
}

/// The way out for a folder that TensorFlow wrote.
fn saved_model(folder: &Path) -> &'static str {
    if folder.join("saved_model.pb").is_file() {
        "; it is a SavedModel of TensorFlow: load it in Keras, and save it with model.save(\"NAME.keras\")"
    } else {
        ""
    }
}

/// The way out for a file that does not say its network and fits `presets`.
fn fitting(presets: &[Preset], nearest: Option<&Nearest>) -> String {
    match presets {
        [] => match nearest {
            Some(Nearest { preset, found, of, .. }) => format!(
                "; it has {found} of the {of} names of '{preset}': add --preset {preset}, and the error will say what does \
                 not fit"
            ),
            None => "; add --preset, and the error will say what does not fit".to_string(),
        },
        presets => {
            let names: Vec<String> = presets.iter().map(ToString::to_string).collect();
            format!(" and fits several; add --preset, one of {}", names.join(", "))
        }
    }
}

/// The first three of `names`, and how many more there are.
pub(crate) fn first_few(names: &[String]) -> String {
    let first: Vec<&str> = names.iter().take(3).map(String::as_str).collect();
    let more =
        if names.len() > 3 { format!(" and {} more", names.len() - 3) } else { String::new() };
    format!("{}{more}", first.join(", "))
}

from_torch_errors!(Error, Error::Torch);
from_model_errors!(Error, Error::Model);
