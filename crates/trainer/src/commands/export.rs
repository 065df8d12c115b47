//! `xception export`: a trained network for other programs.

use super::print;
use crate::Error;
use crate::cli::ExportArgs;
use crate::export::{self, Format};
use crate::model_file::Loaded;

pub(super) fn run(arguments: &ExportArgs) -> Result<(), Error> {
    let out = &arguments.out;
    let format = arguments.format.or_else(|| Format::of(out)).ok_or_else(|| {
        Error::Usage(format!(
            "the name {} does not say which format: end it in .onnx or .pt, or add --format",
            out.display()
        ))
    })?;
    let loaded = Loaded::open(&arguments.weights)?;
    export::write(&loaded, format, out)?;
    print(&format!(
        "{} with {} classes written to {}",
        loaded.description.spec.preset,
        loaded.description.spec.classes,
        out.display()
    ))
}
