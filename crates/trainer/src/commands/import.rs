//! `xception import`: a foreign state dict onto our names.

use xception::import;
use xception::weights;

use super::print;
use crate::Error;
use crate::cli::ImportArgs;
use crate::model_file::foreign;

pub(super) fn run(arguments: &ImportArgs) -> Result<(), Error> {
    let preset = arguments.preset.parse()?;
    let (tensors, metadata) = weights::read(&arguments.input)?;
    let spec = foreign(preset, import::classes(preset, &tensors)).spec;
    let imported = import::import(&spec, &tensors, &metadata)?;
    let description = foreign(preset, Some(spec.classes));
    weights::write(&arguments.out, &imported, &description.to_metadata())?;
    print(&format!(
        "{} tensors of preset {preset} with {} classes written to {}",
        imported.len(),
        spec.classes,
        arguments.out.display()
    ))
}
