//! The flags that name weights.

#![allow(
    rustdoc::broken_intra_doc_links,
    rustdoc::invalid_html_tags,
    reason = "these comments are what --help prints, where brackets mean an option"
)]

use clap::Args;
use xception::import::Take;

/// The weights of a command.
#[derive(Debug, Args)]
pub struct WeightsArgs {
    /// A file (safetensors, PyTorch's .pth, Keras's .keras or .h5), the folder of a run (its last weights), a folder of the
    /// Hugging Face hub, or the name of published weights that were fetched
    #[arg(long, value_name = "FILE|RUN|NAME")]
    pub weights: String,
    /// The network, for files that do not say it themselves
    #[arg(long, value_name = "PRESET")]
    pub preset: Option<String>,
    /// Of a file with several copies of the network the one to take [default: plain, or ema where there is no other]
    #[arg(long, value_name = "plain|ema|NAME")]
    pub take: Option<String>,
}

impl WeightsArgs {
    /// The copy to take.
    pub(crate) fn take(&self) -> Take {
        take(self.take.as_deref())
    }
}

/// The copy that a flag `--take` names.
pub(crate) fn take(flag: Option<&str>) -> Take {
    match flag {
        None => Take::First,
        Some("plain") => Take::Plain,
        Some("ema") => Take::Average,
        Some(name) => Take::Named(name.to_string()),
    }
}
