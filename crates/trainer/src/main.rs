//! The binary `xception`: parses, runs one command, and turns what went wrong into a message and an exit code.

use std::panic;
use std::process::ExitCode;

use clap::Parser;
use trainer::commands::cli::Cli;

fn main() -> ExitCode {
    torch_ext::keep_memory();
    let cli = Cli::parse();
    trainer::console::log::init(cli.verbosity);

    // tch's operators panic where libtorch throws; the message is enough, the backtrace is ours to ask for.
    panic::set_hook(Box::new(|info| tracing::debug!("{info}")));
    let ended = panic::catch_unwind(move || trainer::commands::run(cli));
    match ended.unwrap_or_else(|payload| Err(trainer::Error::from_panic(payload.as_ref()))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error @ trainer::Error::Interrupted { .. }) => {
            tracing::warn!("{error}");
            ExitCode::from(error.exit_code())
        }
        Err(error) => {
            let code = error.exit_code();
            tracing::error!("{:#}", anyhow::Error::from(error));
            ExitCode::from(code)
        }
    }
}
