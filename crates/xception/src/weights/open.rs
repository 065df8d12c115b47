//! Weights by their path: one file of any format, or a folder of the Hugging Face hub.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Contents, Error, Tensors, file, hub};

/// Reads the tensors of a file of weights, and its metadata: safetensors, PyTorch's `.pth`, old and new, Keras's `.h5` and
/// `.keras`. Of a checkpoint with several dictionaries, the one with most tensors; [`read_contents`] reads all.
///
/// The content of the file decides on its format, not its name. Only safetensors has metadata. Nothing that a file asks
/// for is executed or opened. Keras's variables come as `LAYER/0`, `LAYER/1`, …. PyTorch: `torch.load(weights_only=True)`.
///
/// # Errors
/// A file that cannot be read, is damaged, or holds no weights.
pub fn read(path: &Path) -> Result<(Tensors, BTreeMap<String, String>), Error> {
    let mut contents = read_contents(path)?;
    let metadata = std::mem::take(&mut contents.metadata);
    Ok((contents.into_largest(), metadata))
}

/// Reads everything that a file of weights holds; of a folder as the Hugging Face hub lays it out, `model.safetensors`, or
/// its parts, with the `config.json` beside it.
///
/// # Errors
/// A file that cannot be read, is damaged, or holds no weights.
pub fn read_contents(path: &Path) -> Result<Contents, Error> {
    let of_hub = if path.is_dir() { hub::read_folder(path)? } else { hub::read_file(path)? };
    of_hub.map_or_else(|| file::read_one(path), Ok)
}
