//! `xception man`: manual pages, made from the help texts.

use clap::Args;
use std::fs;
use std::path::PathBuf;

use clap::Command;
use clap_mangen::Man;

use super::print;
use crate::commands::Error;
use crate::file_error::FileError;

/// Flags of `xception man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Folder for xception.1, xception-train.1 and so on, such as ~/.local/share/man/man1
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// Pages of `command`, the program itself.
pub(super) fn run(arguments: &ManArgs, command: Command) -> Result<(), Error> {
    let mut command = command.disable_help_subcommand(true);
    // Gives the subcommands their full names and the flags that all share.
    command.build();
    let Some(out) = &arguments.out else {
        return print(page(&command).trim_end());
    };
    fs::create_dir_all(out).map_err(FileError::on("create", out))?;
    for command in std::iter::once(&command).chain(command.get_subcommands()) {
        let path = out.join(Man::new(command.clone()).get_filename());
        fs::write(&path, page(command)).map_err(FileError::on("write", &path))?;
    }
    tracing::info!("manual pages in {}", out.display());
    Ok(())
}

fn page(command: &Command) -> String {
    let mut page = Vec::new();
    Man::new(command.clone()).render(&mut page).expect("memory takes what is written to it");
    String::from_utf8(page).expect("help is text")
}
