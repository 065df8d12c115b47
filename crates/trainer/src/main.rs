//! The binary `xception`: parses, runs one command, and turns what went wrong into a message and an exit code.

use std::panic;
use std::process::ExitCode;

use clap::Parser;
use trainer::commands::cli::Cli;
use trainer::{Error, TorchError};

/// As `trainer::ExitCode::OutOfMemory`.
#[global_allocator]
static ALLOCATOR: torch_ext::EndWithoutMemory = torch_ext::EndWithoutMemory { code: 6 };

fn main() -> ExitCode {
    torch_ext::keep_memory();
    let cli = Cli::parse();
    trainer::console::log::init(cli.verbosity);

    // tch's operators panic where libtorch throws; the message is enough, the backtrace is ours to ask for.
    panic::set_hook(Box::new(|info| tracing::debug!("{info}")));
    let ended = panic::catch_unwind(move || trainer::commands::run(cli));
    let ended =
        ended.unwrap_or_else(|payload| Err(TorchError::from_panic(payload.as_ref()).into()));
    ended.map_or_else(say, |()| trainer::ExitCode::Done).into()
}

/// Says why the command ended, and returns the exit code of that.
fn say(error: Error) -> trainer::ExitCode {
    let mut code = error.exit_code();
    let mut text = format!("{:#}", anyhow::Error::from(error));
    // libtorch's own words for it, which may have come through any part of the program.
    if let Some(error) =
        TorchError::out_of_memory(&text).filter(|_| code == trainer::ExitCode::Failed)
    {
        (code, text) = (error.exit_code(), error.to_string());
    }
    if let trainer::ExitCode::Interrupted(_) = code {
        tracing::warn!("{text}");
    } else {
        tracing::error!("{text}");
    }
    code
}
