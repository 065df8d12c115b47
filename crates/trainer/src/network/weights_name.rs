//! The flags that name weights.

#![allow(
    rustdoc::broken_intra_doc_links,
    rustdoc::invalid_html_tags,
    reason = "these comments are what --help prints, where brackets mean an option"
)]

use clap::Args;

/// The weights of a command.
#[derive(Debug, Args)]
pub struct WeightsArgs {
    /// A file (safetensors, PyTorch's .pth, Keras's .h5), the folder of a run (its last weights), or the name of
    /// published weights that were fetched
    #[arg(long, value_name = "FILE|RUN|NAME")]
    pub weights: String,
    /// The network, for files that do not say it themselves
    #[arg(long, value_name = "PRESET")]
    pub preset: Option<String>,
}
