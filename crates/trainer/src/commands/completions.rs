//! `xception completions`: the completion script of a shell.

use clap::Args;
use clap::Command;
use clap_complete::Shell;

use super::print;
use crate::commands::Error;

/// Flags of `xception completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell; bash reads the script from ~/.local/share/bash-completion/completions/xception
    #[arg(value_enum)]
    pub shell: Shell,
}

/// The script for `command`, the program itself.
pub(super) fn run(arguments: &CompletionsArgs, mut command: Command) -> Result<(), Error> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "xception", &mut script);
    print(String::from_utf8_lossy(&script).trim_end())
}
