//! `--quiet` and `--verbose`, as the log reads them.

use clap::{ArgAction, Args};

/// The amount of output on stderr.
#[derive(Debug, Clone, Copy, Args)]
pub struct Verbosity {
    /// Say less: warnings, errors and results only
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say more
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
}

impl Verbosity {
    /// The most detailed level that is shown.
    pub fn level(self) -> &'static str {
        match (self.quiet, self.verbose) {
            (true, _) => "warn",
            (false, 0) => "info",
            (false, _) => "debug",
        }
    }
}
