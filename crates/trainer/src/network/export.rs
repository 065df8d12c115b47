//! Exports trained networks to other programs: ONNX and TorchScript.

mod onnx;

use std::path::Path;

use clap::ValueEnum;
use tch::{CModule, Kind, Tensor};
use xception::graph::Graph;
use xception::weights::Description;

use crate::file_error::FileError;
use crate::network::Error;
use crate::network::model_file::Loaded;

/// A file format of other programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// ONNX, operator set 17: any number of images, of any size that the network takes
    Onnx,
    /// TorchScript: `torch.jit.load` in Python, `torch::jit::load` in C++; for images of one size
    Torchscript,
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

/// Writes the network to `path`, whole or not at all.
pub(crate) fn write(loaded: &Loaded, format: Format, path: &Path) -> Result<(), Error> {
    let Loaded { model, description, .. } = loaded;
    let graph = Graph::of(model);
    let bytes = match format {
        Format::Onnx => onnx::encode(&graph, description),
        Format::Torchscript => torchscript(&graph, description)?,
    };
    Ok(crate::whole_file::write_bytes(path, &bytes)?)
}

/// A trace over one image. libtorch only writes to files, so the bytes are read back from one.
fn torchscript(graph: &Graph, description: &Description) -> Result<Vec<u8>, Error> {
    let side = description.input;
    let image = Tensor::zeros([1, graph.c_in, side, side], (Kind::Float, tch::Device::Cpu));
    let mut trace = |inputs: &[Tensor]| vec![graph.logits(&inputs[0])];
    let module =
        tch::no_grad(|| CModule::create_by_tracing("Xception", "forward", &[image], &mut trace))?;
    let folder = tempfile::tempdir().map_err(FileError::on("create", &std::env::temp_dir()))?;
    let path = folder.path().join("network.pt");
    module.save(&path)?;
    Ok(std::fs::read(&path).map_err(FileError::on("read", &path))?)
}
