//! `xception export`: exports a trained network for other programs.

#![allow(
    rustdoc::broken_intra_doc_links,
    rustdoc::invalid_html_tags,
    reason = "these comments are what --help prints, where brackets mean an option"
)]

use super::{output, print};
use crate::commands::{Error, Refusal};
use crate::console::escape;
use crate::network::export::verify::{self, Verified};
use crate::network::export::{self, Contents, Format};
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
    /// The file to write; with --format hub, the folder
    #[arg(short, long, value_name = "OUT.onnx|OUT.pt|OUT")]
    pub out: PathBuf,
    /// Put resize, crop, normalisation and softmax into the file: it takes bytes [N,H,W,3] of images of any size, and returns
    /// probabilities
    #[arg(long)]
    pub with_preprocessing: bool,
    /// Compare the answers of ONNX Runtime with those of `predict` on these images; needs Python with onnxruntime and numpy
    #[arg(long, value_name = "IMAGE", num_args = 1..)]
    pub verify: Vec<PathBuf>,
    /// The Python of --verify
    #[arg(long, value_name = "PYTHON", default_value = "python3")]
    pub python: PathBuf,
}

pub(super) fn run(arguments: &ExportArgs) -> Result<(), Error> {
    let out = &arguments.out;
    let format = arguments.format.or_else(|| Format::of(out));
    let format = format.ok_or_else(|| Refusal::NoFormat { path: out.clone() })?;
    let contents = match (arguments.with_preprocessing, format) {
        (false, _) => Contents::Network,
        (true, Format::Hub) => return Err(Refusal::HubPreprocessing.into()),
        (true, _) => Contents::WithPreprocessing,
    };
    if !arguments.verify.is_empty() && format != Format::Onnx {
        return Err(Refusal::VerifyOnnx.into());
    }
    let loaded = Loaded::open(&arguments.weights)?;
    let inputs = arguments.verify.iter().chain([&loaded.path]).map(PathBuf::as_path);
    export::write(&loaded, format, contents, &output::place(out, inputs)?)?;
    print(&format!(
        "{} with {} classes written to {}",
        loaded.description.spec.preset,
        loaded.description.spec.classes,
        escape::name(&out.display().to_string())
    ))?;
    if arguments.verify.is_empty() {
        return Ok(());
    }
    let verified = verify::verify(&loaded, contents, out, &arguments.verify, &arguments.python)?;
    let largest = verified.iter().map(|image| image.away).fold(0.0, f64::max);
    for Verified { path, label, away } in &verified {
        let (path, label) = (path.display().to_string(), escape::name(label));
        print(&format!("{away:.1e}  {label}  {}", escape::name(&path)))?;
    }
    if largest > verify::TOLERANCE {
        return Err(Refusal::Verify { out: out.clone(), largest }.into());
    }
    let images = if verified.len() == 1 { "image" } else { "images" };
    print(&format!(
        "ONNX Runtime agrees on {} {images}: probabilities differ by at most {largest:.1e}",
        verified.len()
    ))
}
