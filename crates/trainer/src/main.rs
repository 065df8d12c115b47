//! The binary `xception`: parses, runs one command, and turns what went wrong into a message and an exit code.

use std::panic;
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;
use trainer::cli::Cli;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let level = cli.verbosity.level();
    tracing_subscriber::fmt()
        .with_env_filter(
            EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level)),
        )
        .with_writer(std::io::stderr)
        .with_target(false)
        .without_time()
        .init();

    // tch's operators panic where libtorch throws; the message is enough, the backtrace is ours to ask for.
    panic::set_hook(Box::new(|info| tracing::debug!("{info}")));
    match panic::catch_unwind(move || trainer::commands::run(cli)) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            let code = error.exit_code();
            tracing::error!("{:#}", anyhow::Error::from(error));
            ExitCode::from(code)
        }
        Err(payload) => {
            let (code, message) = trainer::exit_code_of_panic(payload.as_ref());
            tracing::error!("{message}");
            ExitCode::from(code)
        }
    }
}
