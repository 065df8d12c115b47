//! Exports trained networks to other programs: ONNX, TorchScript, and folders that timm reads.

mod onnx;
mod resize;
mod torchscript;
pub(crate) mod verify;

use std::path::Path;

use clap::ValueEnum;
use xception::Xception;
use xception::graph::Graph;
use xception::weights;

use crate::network::Error;
use crate::network::model_file::Loaded;

/// A file format of other programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// ONNX, operator set 17: any number of images, of any size that the network takes
    Onnx,
    /// TorchScript: `torch.jit.load` in Python, `torch::jit::load` in C++; for images of one size
    Torchscript,
    /// A folder as the Hugging Face hub lays it out: `timm.create_model("local-dir:OUT", pretrained=True)`
    Hub,
}

impl Format {
    /// The format that the name of a file asks for.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "onnx" => Some(Format::Onnx),
            "pt" | "ts" | "torchscript" => Some(Format::Torchscript),
            _ => None,
        }
    }
}

/// The part of the way from an image to an answer that a file does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Contents {
    /// From normalised images of a size that the network takes to logits.
    Network,
    /// From the bytes of images of any size to probabilities.
    WithPreprocessing,
}

/// Writes the network to `path`, whole or not at all.
///
/// # Errors
/// Preprocessing for a network of other than 3 channels, or a file that cannot be written.
pub(crate) fn write(
    loaded: &Loaded,
    format: Format,
    contents: Contents,
    path: &Path,
) -> Result<(), Error> {
    let Loaded { model, description, .. } = loaded;
    let bytes = match format {
        Format::Onnx => onnx::encode(&graph(model, contents)?, description, contents),
        Format::Torchscript => {
            torchscript::encode(&graph(model, contents)?, description, contents)?
        }
        Format::Hub => {
            weights::write_hub(path, &loaded.tensors(), description)?;
            return Ok(());
        }
    };
    Ok(crate::whole_file::write_bytes(path, &bytes)?)
}

/// The operations of `model`; preprocessing is for images of 3 channels.
fn graph(model: &Xception, contents: Contents) -> Result<Graph, Error> {
    let graph = Graph::of(model);
    let channels = graph.c_in;
    if contents == Contents::WithPreprocessing && channels != 3 {
        return Err(Error::PreparedChannels { channels });
    }
    Ok(graph)
}
