//! `xception completions`: the script by which a shell completes these commands.

use clap::CommandFactory;

use super::print;
use crate::Error;
use crate::cli::{Cli, CompletionsArgs};

pub(super) fn run(arguments: &CompletionsArgs) -> Result<(), Error> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "xception", &mut script);
    print(String::from_utf8_lossy(&script).trim_end())
}
