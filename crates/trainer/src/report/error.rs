//! Errors of reports.

use std::path::PathBuf;

use crate::evaluation;
use crate::exit_code::ExitCode;
use crate::file_error::FileError;

/// Why a run cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A folder that no run left.
    #[error(
        "{} is not the folder of a run: no {} in it; give a folder that `xception train` made",
        folder.display(),
        missing.join(", no ")
    )]
    NotARun {
        /// The folder.
        folder: PathBuf,
        /// The files that every run has and this folder has not.
        missing: Vec<&'static str>,
    },
    /// A file of the run that does not hold what it should.
    #[error("{} cannot be used: {problem}; restore the file, or report another run", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// The problem. No source: the message has it all.
        problem: Problem,
    },
    /// Weights that cannot be read.
    #[error(transparent)]
    Evaluation(#[from] evaluation::Error),
    /// A file that cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
}

impl Error {
    /// The exit code of this error.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Error::NotARun { .. } | Error::Unusable { .. } => ExitCode::Usage,
            Error::Evaluation(error) => error.exit_code(),
            Error::File(error) => error.exit_code(),
        }
    }
}

/// A problem of a file of a run.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// It is no TOML.
    #[error("{}", .0.message())]
    Toml(Box<toml::de::Error>),
    /// It is no JSON, or other JSON than runs write.
    #[error("{0}")]
    Json(serde_json::Error),
    /// Its lists contradict each other.
    #[error("its lists are not of one length per class")]
    Inconsistent,
}
