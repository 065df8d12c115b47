//! `xception report`: the report of a run, or a comparison of several.

#![allow(
    rustdoc::broken_intra_doc_links,
    rustdoc::invalid_html_tags,
    reason = "these comments are what --help prints, where brackets mean an option"
)]

use clap::Args;
use std::path::Path;
use std::path::PathBuf;

use super::{output, print};
use crate::commands::Error;
use crate::report;

/// Flags of `xception report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// The folder of a run; with several, they are compared
    #[arg(required = true, value_name = "RUN")]
    pub runs: Vec<PathBuf>,
    /// The page [default: RUN/report.html, or comparison.html for several runs]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// The default file of a comparison.
const COMPARISON: &str = "comparison.html";

pub(super) fn run(arguments: &ReportArgs) -> Result<(), Error> {
    let out = arguments.out.as_deref().map(|out| output::place(out, [])).transpose()?;
    let path = match &arguments.runs[..] {
        [run] => report::write(run, out.as_deref())?,
        runs => {
            let out = out.as_deref().unwrap_or(Path::new(COMPARISON));
            report::compare(runs, out)?;
            out.to_path_buf()
        }
    };
    print(&path.display().to_string())
}
