//! The subcommands, one module each.

mod ablate;
mod bench;
mod check;
pub mod cli;
mod compare;
mod completions;
mod cross_validation;
mod error;
mod eval;
mod explain;
mod export;
mod figures;
mod import;
mod inputs;
mod learning_rate;
mod man;
mod output;
mod predict;
mod recipe_arguments;
mod recipes;
mod refusal;
mod report;
mod study;
mod summary;
mod table;
mod train;

use std::io::Write;
use std::path::Path;

use clap::CommandFactory;

use crate::commands::cli::{Cli, Command};
use crate::console::escape;
use crate::console::progress::above_bars;
use crate::file_error::FileError;
use crate::instructions;

pub use self::error::Error;
pub use self::refusal::Refusal;

/// Runs the command that was typed.
pub fn run(cli: Cli) -> Result<(), Error> {
    instructions::hold_to(cli.instructions)?;
    match cli.command {
        Command::Train(arguments) => train::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Eval(arguments) => eval::run(&arguments),
        Command::Predict(arguments) => predict::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Import(arguments) => import::run(&arguments),
        Command::Export(arguments) => export::run(&arguments),
        Command::Summary(arguments) => summary::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Lr(arguments) => learning_rate::run(&arguments),
        Command::Cv(arguments) => cross_validation::run(&arguments),
        Command::Ablate(arguments) => ablate::run(&arguments),
        Command::Compare(arguments) => compare::run(&arguments),
        Command::Recipes(arguments) => recipes::run(&arguments),
        Command::Report(arguments) => report::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments, Cli::command()),
        Command::Man(arguments) => man::run(&arguments, Cli::command()),
    }
}

/// Prints a result on stdout. A reader that has gone, such as `head`, is no error.
fn print(text: &str) -> Result<(), Error> {
    print_bytes(format!("{}\n", escape::lines(text)).as_bytes())?;
    Ok(())
}

/// The reader of what is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reader {
    There,
    /// It has closed its end of the pipe, as `head` does.
    Gone,
}

/// Prints a part of a result on stdout as it is, at once.
fn print_bytes(bytes: &[u8]) -> Result<Reader, FileError> {
    let mut stdout = std::io::stdout();
    match above_bars(|| stdout.write_all(bytes).and_then(|()| stdout.flush())) {
        Ok(()) => Ok(Reader::There),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(error) => Err(FileError::on("write", Path::new("/dev/stdout"))(error)),
    }
}
