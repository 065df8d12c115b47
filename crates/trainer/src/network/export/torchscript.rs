//! A network as a TorchScript file, on request with the way from the bytes of an image to probabilities.

use std::fs;
use std::path::Path;

use tch::{CModule, Device, Kind, Tensor};
use xception::graph::Graph;
use xception::weights::{Description, Fit, Interpolation, Labels};

use super::Contents;
use super::resize::{BLOCK, PART, SHARES, reach};
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
        torch_ext::wrap_torchscript(&path, &program(description))?;
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

/// The methods that prepare images, call `network` and turn its logits into probabilities.
///
/// The resize is two products of matrices, as in the ONNX file: PyTorch's own rounds the places of pixels, and has no
/// Lanczos.
fn program(description: &Description) -> String {
    let Description { input: side, mean, std, .. } = description;
    let resized = description.preprocessing().resized_side().max(*side);
    let reach = reach(description.interpolation);
    let weights = match description.interpolation {
        // Added up, as Pillow does: where a centre falls between two pixels, its rounding decides.
        Interpolation::Nearest => "scale = pixels / resized
        centre = scale * 0.5
        whole = [0 for _ in range(stop - start)]
        for output in range(origin + stop):
            if output >= origin + start:
                whole[output - origin - start] = min(int(centre), pixels - 1)
            centre = centre + scale
        weights = (torch.arange(first, end) == torch.tensor(whole).unsqueeze(1)).double().to(images.device)",
        Interpolation::Bilinear => "weights = torch.relu(1.0 - distance)",
        Interpolation::Bicubic => {
            "inner = (1.5 * distance - 2.5) * distance * distance + 1.0
        outer = ((-0.5 * distance + 2.5) * distance - 4.0) * distance + 2.0
        weights = torch.where(distance < 1.0, inner, outer * (distance < 2.0))"
        }
        Interpolation::Lanczos => {
            "weights = torch.sinc(distance) * torch.sinc(distance / 3.0) * (distance < 3.0)"
        }
    };
    let size = match description.fit {
        Fit::Crop => format!(
            "shorter = min(images.size(2), images.size(3))
    new_height = {resized} * images.size(2) // shorter
    new_width = {resized} * images.size(3) // shorter"
        ),
        Fit::Squash => format!("new_height = {resized}\n    new_width = {resized}"),
    };
    let list = |values: &[f64; 3]| format!("[{:?}, {:?}, {:?}]", values[0], values[1], values[2]);
    let (mean, std) = (list(mean), list(std));
    let probabilities = match description.labels {
        Labels::One => "torch.softmax(logits, 1)",
        Labels::Several { .. } => "torch.sigmoid(logits)",
    };
    // Pillow keeps bytes between its two passes.
    let half = PART / 2.;
    format!(
        r"def columns(self, images: Tensor, resized: int) -> Tensor:
    pixels = images.size(3)
    origin = int(round((resized - {side}) / 2))
    reach = {reach} * 2 * max(pixels, resized)
    blocks = []
    for start in range(0, {side}, {BLOCK}):
        stop = min(start + {BLOCK}, {side})
        centres = (2 * (torch.arange(start, stop, device=images.device) + origin) + 1) * pixels
        first = max(0, ((2 * (start + origin) + 1) * pixels - reach) // (2 * resized))
        end = min(pixels, ((2 * (stop + origin) - 1) * pixels + reach) // (2 * resized) + 2)
        inputs = (2 * torch.arange(first, end, device=images.device) + 1) * resized
        distance = torch.abs(inputs - centres.unsqueeze(1)).double() / (2 * max(pixels, resized))
        {weights}
        shares = torch.floor(weights / weights.sum(1, True) * {SHARES:?} + 0.5).t()
        upper = torch.floor(shares / {PART:?} + 0.5)
        lower = shares - {PART:?} * upper
        window = images[:, :, :, first:end].float()
        sums = torch.matmul(window, upper.float()) + torch.floor(torch.matmul(window, lower.float()) / {PART:?})
        blocks.append(torch.clamp(torch.floor((sums + {half:?}) / {PART:?}), 0.0, 255.0))
    return torch.cat(blocks, 3)

def forward(self, images: Tensor) -> Tensor:
    images = images.permute([0, 3, 1, 2])
    {size}
    images = self.columns(images, new_width)
    images = self.columns(images.transpose(2, 3), new_height).transpose(2, 3)
    mean = torch.tensor({mean}, dtype={FLOAT}, device=images.device).view([3, 1, 1])
    std = torch.tensor({std}, dtype={FLOAT}, device=images.device).view([3, 1, 1])
    logits = self.network.forward((images / 255.0 - mean) / std)
    return {probabilities}
"
    )
}
