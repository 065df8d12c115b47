//! `--instructions`: this program as it is on a lesser CPU, to test and to time it there.

use std::env;
use std::process::Command;

use clap::ValueEnum;
use torch_ext::InstructionSet;

use crate::exit_code::ExitCode;
use crate::file_error::FileError;

/// The most that a process uses of its CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Instructions {
    /// The set that every CPU of the architecture has
    Portable,
    /// AVX2 with FMA
    Avx2,
    /// AVX-512, without BF16 and AMX
    Avx512,
}

impl Instructions {
    /// As it is typed.
    fn name(self) -> &'static str {
        match self {
            Instructions::Portable => "portable",
            Instructions::Avx2 => "avx2",
            Instructions::Avx512 => "avx512",
        }
    }

    /// The variables that hold libtorch's kernels and ours, oneDNN, and MKL to the set; xtask sets the same for peers.
    fn variables(self) -> [(&'static str, &'static str); 3] {
        let (aten, onednn, mkl) = match self {
            Instructions::Portable => ("default", "SSE41", "SSE4_2"),
            Instructions::Avx2 => ("avx2", "AVX2", "AVX2"),
            Instructions::Avx512 => ("avx512", "AVX512_CORE", "AVX512"),
        };
        [
            ("ATEN_CPU_CAPABILITY", aten),
            ("ONEDNN_MAX_CPU_ISA", onednn),
            ("MKL_ENABLE_INSTRUCTIONS", mkl),
        ]
    }
}

/// Why the instruction set cannot be limited.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A set that the CPU does not have.
    #[error("--instructions {} is for x86-64 CPUs that have it, and this one has {had:?}; leave the option out", asked.name())]
    Absent {
        /// The set that was typed.
        asked: Instructions,
        /// The set of the CPU.
        had: InstructionSet,
    },
    /// The program cannot be started again.
    #[error(transparent)]
    Restart(#[from] FileError),
}

impl Error {
    /// The exit code of this error.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Error::Absent { .. } => ExitCode::Usage,
            Error::Restart(error) => error.exit_code(),
        }
    }
}

/// Holds this process to the set, if one is asked for.
///
/// libtorch, oneDNN and MKL each read a variable of their own when they are first used, so the program starts itself
/// again with all of them set.
///
/// # Errors
/// When the CPU does not have the set, or the program cannot be started again.
pub fn hold_to(asked: Option<Instructions>) -> Result<(), Error> {
    let Some(asked) = asked else { return Ok(()) };
    let had = InstructionSet::detected();
    if cfg!(not(target_arch = "x86_64")) || had < needed(asked) {
        return Err(Error::Absent { asked, had });
    }
    let variables = asked.variables();
    if variables.iter().all(|(name, value)| env::var(name).as_deref() == Ok(value)) {
        return Ok(());
    }
    let program = env::current_exe().map_err(FileError::on("find", "this program".as_ref()))?;
    let mut again = Command::new(&program);
    again.args(env::args_os().skip(1)).envs(variables);
    Err(FileError::on("run", &program)(become_it(&mut again)).into())
}

/// The set that this process computes with, as runs and timings record it.
pub(crate) fn in_use() -> String {
    let unit = if torch_ext::has_bf16_matrix_unit() { " with AMX" } else { "" };
    format!("{:?}{unit}", InstructionSet::chosen())
}

/// The set that the CPU must have.
fn needed(asked: Instructions) -> InstructionSet {
    match asked {
        Instructions::Portable => InstructionSet::Portable,
        Instructions::Avx2 => InstructionSet::Avx2,
        Instructions::Avx512 => InstructionSet::Avx512,
    }
}

/// Replaces this process, so that signals reach the program itself.
#[cfg(unix)]
fn become_it(command: &mut Command) -> std::io::Error {
    use std::os::unix::process::CommandExt;
    command.exec()
}

/// Waits for the program, and ends with its code.
#[cfg(not(unix))]
fn become_it(command: &mut Command) -> std::io::Error {
    match command.status() {
        Ok(status) => std::process::exit(status.code().unwrap_or(1)),
        Err(error) => error,
    }
}
