//! `xception report`: a run's folder as a page, or several side by side.

use std::path::Path;

use super::print;
use crate::cli::ReportArgs;
use crate::{Error, report};

/// Where a comparison goes that nobody gave a place.
const COMPARISON: &str = "comparison.html";

pub(super) fn run(arguments: &ReportArgs) -> Result<(), Error> {
    let path = match &arguments.runs[..] {
        [run] => report::write(run, arguments.out.as_deref())?,
        runs => {
            let out = arguments.out.as_deref().unwrap_or(Path::new(COMPARISON));
            report::compare(runs, out)?;
            out.to_path_buf()
        }
    };
    print(&path.display().to_string())
}
