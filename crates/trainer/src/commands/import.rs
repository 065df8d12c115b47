//! `xception import`: converts a foreign state dict to our names.

use clap::Args;
use std::path::PathBuf;
use xception::import;
use xception::weights;

use super::{output, print};
use crate::commands::Error;
use crate::network::model_file::foreign;

/// Flags of `xception import`.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The network that the state dict belongs to
    #[arg(long, value_name = "PRESET")]
    pub preset: String,
    /// The state dict under the original script's names: safetensors, PyTorch's .pth, Keras's .h5
    #[arg(value_name = "IN")]
    pub input: PathBuf,
    /// The file to write
    #[arg(short, long, value_name = "OUT.safetensors")]
    pub out: PathBuf,
}

pub(super) fn run(arguments: &ImportArgs) -> Result<(), Error> {
    let preset = arguments.preset.parse()?;
    let out = output::place(&arguments.out, [arguments.input.as_path()])?;
    let (tensors, metadata) = weights::read(&arguments.input)?;
    let spec = foreign(preset, import::classes(preset, &tensors)).spec;
    let imported = import::import(&spec, &tensors, &metadata)?;
    let description = foreign(preset, Some(spec.classes));
    weights::write(&out, &imported, &description.to_metadata())?;
    print(&format!(
        "{} tensors of preset {preset} with {} classes written to {}",
        imported.len(),
        spec.classes,
        arguments.out.display()
    ))
}
