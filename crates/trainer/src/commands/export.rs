//! `xception export`: exports a trained network for other programs.

#![allow(
    rustdoc::broken_intra_doc_links,
    rustdoc::invalid_html_tags,
    reason = "these comments are what --help prints, where brackets mean an option"
)]

use super::{output, print};
use crate::commands::{Error, Refusal};
use crate::network::export::{self, Format};
use crate::network::model_file::Loaded;
use crate::network::weights_name::WeightsArgs;
use clap::Args;
use std::path::PathBuf;

/// Flags of `xception export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The weights.
    #[command(flatten)]
    pub weights: WeightsArgs,
    /// The file format [default: by the name of the file]
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// The file to write
    #[arg(short, long, value_name = "OUT.onnx|OUT.pt")]
    pub out: PathBuf,
}

pub(super) fn run(arguments: &ExportArgs) -> Result<(), Error> {
    let out = &arguments.out;
    let format = arguments.format.or_else(|| Format::of(out));
    let format = format.ok_or_else(|| Refusal::NoFormat { path: out.clone() })?;
    let loaded = Loaded::open(&arguments.weights)?;
    export::write(&loaded, format, &output::place(out, [loaded.path.as_path()])?)?;
    print(&format!(
        "{} with {} classes written to {}",
        loaded.description.spec.preset,
        loaded.description.spec.classes,
        out.display()
    ))
}
