//! The exit codes of `xception`: scripts and launchers tell by them what happened.

use std::process;

use crate::signal::Signal;

/// The result of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitCode {
    /// Success.
    Done,
    /// Any failure that is not one of the following.
    Failed,
    /// Arguments, a recipe or a launcher's environment that cannot be used.
    Usage,
    /// Data or weights that are missing, damaged or of no use.
    Data,
    /// A run has checkpoints, and none of them is valid.
    NoCheckpoint,
    /// The loss became infinite or NaN.
    NonFinite,
    /// Memory ran out, or would have.
    OutOfMemory,
    /// Another rank failed or cannot be reached.
    Peer,
    /// The run was asked to stop, and was saved.
    Interrupted(Signal),
}

impl ExitCode {
    /// The number that the process exits with.
    pub fn number(self) -> u8 {
        match self {
            ExitCode::Done => 0,
            ExitCode::Failed => 1,
            ExitCode::Usage => 2,
            ExitCode::Data => 3,
            ExitCode::NoCheckpoint => 4,
            ExitCode::NonFinite => 5,
            ExitCode::OutOfMemory => 6,
            ExitCode::Peer => 7,
            // As a shell reports a process that a signal ended.
            ExitCode::Interrupted(signal) => 128 + signal.number() as u8,
        }
    }

    /// The exit code of an error of the crate `xception`.
    pub(crate) fn of_model(error: &xception::Error) -> Self {
        use xception::{Error, import, weights};
        match error {
            Error::UnknownPreset(_)
            | Error::OutOfRange(_)
            | Error::Build(_)
            | Error::Summary(_)
            | Error::Unsupported(_) => ExitCode::Usage,
            Error::Weights(weights::Error::NotOfTimm { .. })
            | Error::Import(import::Error::NoCopy { .. } | import::Error::Ambiguous { .. }) => {
                ExitCode::Usage
            }
            Error::Weights(weights::Error::File { action: "write", .. }) => ExitCode::Failed,
            // Weights that are missing, or that cannot be trusted.
            Error::Weights(_) | Error::Import(_) => ExitCode::Data,
            _ => ExitCode::Failed,
        }
    }
}

impl From<ExitCode> for process::ExitCode {
    fn from(code: ExitCode) -> Self {
        process::ExitCode::from(code.number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_that_the_manual_promises() {
        let codes = [
            ExitCode::Done,
            ExitCode::Failed,
            ExitCode::Usage,
            ExitCode::Data,
            ExitCode::NoCheckpoint,
            ExitCode::NonFinite,
            ExitCode::OutOfMemory,
            ExitCode::Peer,
            ExitCode::Interrupted(Signal::Interrupt),
            ExitCode::Interrupted(Signal::Terminate),
        ];
        assert_eq!(codes.map(ExitCode::number), [0, 1, 2, 3, 4, 5, 6, 7, 130, 143]);
    }
}
