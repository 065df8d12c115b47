//! A network as a TorchScript file, on request with the way from the bytes of an image to probabilities.

use std::fs;
use std::path::Path;

use tch::{CModule, Device, Kind, Tensor};
use xception::graph::Graph;
use xception::weights::{Description, Fit, Interpolation};

use super::Contents;
use crate::file_error::FileError;
use crate::network::Error;

/// `torch.float` as a number: a program that libtorch compiles has no names of types.
const FLOAT: i32 = 6;

/// The file of `graph`. libtorch only writes to files, so the bytes are read back from one.
pub(super) fn encode(
    graph: &Graph,
    description: &Description,
    contents: Contents,
) -> Result<Vec<u8>, Error> {
    let folder = tempfile::tempdir().map_err(FileError::on("create", &std::env::temp_dir()))?;
    let path = folder.path().join("network.pt");
    trace(graph, description, &path)?;
    if contents == Contents::WithPreprocessing {
        torch_ext::wrap_torchscript(&path, &program(description)?)?;
    }
    Ok(fs::read(&path).map_err(FileError::on("read", &path))?)
}

/// A trace over one image.
fn trace(graph: &Graph, description: &Description, path: &Path) -> Result<(), Error> {
    let side = description.input;
    let image = Tensor::zeros([1, graph.c_in, side, side], (Kind::Float, Device::Cpu));
    let mut trace = |inputs: &[Tensor]| vec![graph.logits(&inputs[0])];
    let module =
        tch::no_grad(|| CModule::create_by_tracing("Xception", "forward", &[image], &mut trace))?;
    Ok(module.save(path)?)
}

/// The method that prepares images, calls `network` and turns its logits into probabilities.
///
/// Pillow rounds between its two passes, so there are two resizes with a rounding after each.
fn program(description: &Description) -> Result<String, Error> {
    let Description { input: side, mean, std, .. } = description;
    let resized = description.preprocessing().resized_side().max(*side);
    let pass = |size: &str| match description.interpolation {
        Interpolation::Bilinear => {
            Ok(format!("torch._upsample_bilinear2d_aa(images, {size}, False, None, None)"))
        }
        Interpolation::Bicubic => {
            Ok(format!("torch._upsample_bicubic2d_aa(images, {size}, False, None, None)"))
        }
        Interpolation::Nearest => {
            Ok(format!("torch._upsample_nearest_exact2d(images, {size}, None, None)"))
        }
        Interpolation::Lanczos => Err(Error::NoLanczos),
    };
    let (columns, rows) = (pass("[height, width]")?, pass("[height, width]")?);
    let size = match description.fit {
        Fit::Crop => format!(
            "shorter = min(images.size(2), images.size(3))\n    \
             new_height = {resized} * images.size(2) // shorter\n    \
             new_width = {resized} * images.size(3) // shorter"
        ),
        Fit::Squash => format!("new_height = {resized}\n    new_width = {resized}"),
    };
    let list = |values: &[f64; 3]| format!("[{:?}, {:?}, {:?}]", values[0], values[1], values[2]);
    let (mean, std) = (list(mean), list(std));
    Ok(format!(
        r"def forward(self, images: Tensor) -> Tensor:
    images = images.permute([0, 3, 1, 2]).float()
    {size}
    height = images.size(2)
    width = new_width
    images = torch.clamp(torch.round({columns}), 0.0, 255.0)
    height = new_height
    images = torch.clamp(torch.round({rows}), 0.0, 255.0)
    top = int(round((new_height - {side}) / 2))
    left = int(round((new_width - {side}) / 2))
    images = images[:, :, top:top + {side}, left:left + {side}]
    mean = torch.tensor({mean}, dtype={FLOAT}, device=images.device).view([3, 1, 1])
    std = torch.tensor({std}, dtype={FLOAT}, device=images.device).view([3, 1, 1])
    return torch.softmax(self.network.forward((images / 255.0 - mean) / std), 1)
"
    ))
}
