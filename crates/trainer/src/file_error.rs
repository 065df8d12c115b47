//! A file or folder that the system refuses to read, write or create.

use std::io;
use std::path::{Path, PathBuf};

use crate::exit_code::ExitCode;

/// A file operation that failed, with the system's reason.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}", path.display())]
pub struct FileError {
    /// `read`, `write`, `create` or another verb.
    pub action: &'static str,
    /// The file or folder.
    pub path: PathBuf,
    /// The system's reason.
    pub source: io::Error,
}

impl FileError {
    /// Turns the system's error into this one: `fs::read(path).map_err(FileError::on("read", path))`.
    pub(crate) fn on(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self { action, path, source }
    }

    /// The exit code of this error.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::Failed
    }
}
