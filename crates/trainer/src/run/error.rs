//! Errors of the folder that a run leaves: taking it, and writing to it.

use crate::model_errors::from_model_errors;
use std::io;
use std::path::PathBuf;

use crate::exit_code::ExitCode;
use crate::file_error::FileError;
use crate::ranks;

/// Why a run's folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A new run in a folder with something in it.
    #[error(
        "--out {}: the folder is not empty; give a new one{}",
        path.display(),
        if *is_run {
            format!(", or resume the run that is there (--resume {})", path.display())
        } else {
            String::new()
        }
    )]
    NotEmpty {
        /// The folder.
        path: PathBuf,
        /// Whether a run is in it.
        is_run: bool,
    },
    /// A new run in a file.
    #[error("--out {}: that is a file; give a new folder", path.display())]
    IsFile {
        /// The file.
        path: PathBuf,
    },
    /// A folder that no run left.
    #[error("--resume {}: there is no {config}, so it is not the folder of a run", path.display())]
    NotARun {
        /// The folder.
        path: PathBuf,
        /// The file that every run has.
        config: &'static str,
    },
    /// A list of a run's images that cannot be used.
    #[error("{} cannot be used: {problem}; move it away to measure without it", path.display())]
    ImageList {
        /// The file.
        path: PathBuf,
        /// The problem.
        problem: String,
    },
    /// A folder that another process has locked.
    #[error("{} is in use by process {process}; wait for it or end it", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
        /// The number of the process.
        process: String,
    },
    /// The events of a run that is resumed are not those that it had written.
    #[error(
        "cannot continue the event file {}: {problem}; put it back as it was, or train from the start in a new folder",
        path.display()
    )]
    Events {
        /// The file.
        path: PathBuf,
        /// The problem.
        problem: EventsProblem,
    },
    /// A checkpoint that was not saved.
    #[error(transparent)]
    Save(#[from] SaveError),
    /// Weights that cannot be written or read.
    #[error(transparent)]
    Model(#[from] xception::Error),
    /// A file that cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// Other ranks cannot be reached.
    #[error(transparent)]
    Ranks(#[from] ranks::Error),
}

impl Error {
    /// The exit code of this error.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Error::NotEmpty { .. }
            | Error::IsFile { .. }
            | Error::NotARun { .. }
            | Error::InUse { .. } => ExitCode::Usage,
            Error::Events { .. } | Error::ImageList { .. } => ExitCode::Data,
            Error::Save(error) => error.exit_code(),
            Error::Model(error) => ExitCode::of_model(error),
            Error::File(error) => error.exit_code(),
            Error::Ranks(error) => error.exit_code(),
        }
    }
}

/// Why an event file cannot be continued.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventsProblem {
    /// A name that does not stay in the folder.
    #[error("{0:?} is no event file of this folder")]
    OtherFolder(String),
    /// It is gone.
    #[error("it is missing")]
    Missing,
    /// It lost bytes.
    #[error("it has {bytes} bytes where the run had written {written}")]
    Shorter {
        /// Its length.
        bytes: u64,
        /// Its length when the checkpoint was saved.
        written: u64,
    },
    /// It is another file.
    #[error("no event ends at byte {position}")]
    NotAnEvent {
        /// Its length when the checkpoint was saved.
        position: u64,
    },
}

/// Why a checkpoint was not saved. Those before it are as they were.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// The disk is full.
    #[error("the disk is full: {missing} bytes are missing for a checkpoint of {needed} in {}", folder.display())]
    Full {
        /// Bytes that would have to be freed.
        missing: u64,
        /// Bytes of the whole checkpoint.
        needed: u64,
        /// The folder of the checkpoints.
        folder: PathBuf,
    },
    /// The system refused something.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// The operation.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// It was written and does not read back as it was.
    #[error("the checkpoint {} does not read back as it was written: {reason}", folder.display())]
    NotAsWritten {
        /// The checkpoint.
        folder: PathBuf,
        /// The first difference.
        reason: String,
    },
    /// The tensors cannot be written at all.
    #[error(transparent)]
    Tensors(#[from] xception::Error),
}

impl SaveError {
    /// The exit code of this error.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::Failed
    }
}

from_model_errors!(Error, Error::Model);
