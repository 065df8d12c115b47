//! Builds and runs xtask, and says so first: in a fresh clone that takes a while, which nobody should have to guess.

use std::env;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::thread::available_parallelism;

/// Seconds of one core that xtask and its dependencies take to compile.
const CORE_SECONDS: usize = 60;

fn main() -> ExitCode {
    let own =
        env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let root = Path::new(&own).ancestors().nth(2).unwrap_or(Path::new("."));
    let target = root.join("target/xtask");
    let built = target.join("xtask").join(format!("xtask{}", env::consts::EXE_SUFFIX));
    if !built.exists() {
        let cores = available_parallelism().map_or(1, usize::from);
        let seconds = CORE_SECONDS.div_ceil(cores).max(10);
        eprintln!("cargo xtask: compiling itself first, about {seconds} s on this machine");
    }
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["run", "--profile", "xtask", "--package", "xtask"]);
    command.arg("--manifest-path").arg(root.join("Cargo.toml"));
    command.arg("--target-dir").arg(target).arg("--").args(env::args_os().skip(1));
    become_it(&mut command)
}

/// Replaces this process, so that signals and the exit code are xtask's own.
#[cfg(unix)]
fn become_it(command: &mut Command) -> ExitCode {
    use std::os::unix::process::CommandExt;
    eprintln!("cargo xtask: cannot run cargo: {}", command.exec());
    ExitCode::FAILURE
}

/// Waits for xtask, and ends with its code.
#[cfg(not(unix))]
fn become_it(command: &mut Command) -> ExitCode {
    match command.status() {
        Ok(status) => u8::try_from(status.code().unwrap_or(1)).unwrap_or(1).into(),
        Err(error) => {
            eprintln!("cargo xtask: cannot run cargo: {error}");
            ExitCode::FAILURE
        }
    }
}
