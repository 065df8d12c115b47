//! What ends a command early, and the exit code that tells a script which of it happened.

use std::any::Any;
use std::path::{Path, PathBuf};

/// Why a command did not finish. Exit codes: 1 failed, 2 usage or configuration, 3 data or weights that cannot be
/// trusted, 5 a loss that is not finite, 6 out of memory.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A flag or argument that cannot be meant.
    #[error("{0}")]
    Usage(String),
    /// A recipe that cannot be used.
    #[error("recipe {name}: {problem}")]
    Recipe {
        /// Which one.
        name: String,
        /// What is wrong, with the place where there is one.
        problem: String,
    },
    /// A data set that was asked for is nowhere.
    #[error("{0}")]
    NoData(String),
    /// A data set that cannot be used.
    #[error(transparent)]
    Datasets(#[from] datasets::Error),
    /// A model that cannot be built, or weights that cannot be used.
    #[error(transparent)]
    Xception(#[from] xception::Error),
    /// A picture that cannot be read.
    #[error("cannot read the picture {}: {reason}", path.display())]
    Picture {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A file of a run that cannot be read or written.
    #[error("cannot {action} {}", path.display())]
    File {
        /// `read`, `write` or `create`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Training went astray.
    #[error(
        "the loss became {loss} in epoch {epoch}, step {step}, at learning rate {learning_rate:.3e}; the weights of \
         the last finished epoch are in the run folder; try a lower learning rate (--set schedule.peak=… or \
         --set schedule.learning_rate=…)"
    )]
    NonFiniteLoss {
        /// What it was.
        loss: f64,
        /// Counted from 1.
        epoch: u64,
        /// Counted from 1 over the whole run.
        step: u64,
        /// At that step.
        learning_rate: f64,
    },
    /// libtorch's fused kernels refused something.
    #[error(transparent)]
    TorchExt(#[from] torch_ext::Error),
    /// libtorch refused something.
    #[error(transparent)]
    Torch(#[from] tch::TchError),
}

impl Error {
    /// The exit code of this error.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Usage(_) | Error::Recipe { .. } => 2,
            Error::Xception(error) => match error {
                xception::Error::UnknownPreset { .. }
                | xception::Error::Option { .. }
                | xception::Error::InputTooSmall(_)
                | xception::Error::Layer(_) => 2,
                xception::Error::Format { .. }
                | xception::Error::Metadata { .. }
                | xception::Error::Mismatch(_)
                | xception::Error::Import(_) => 3,
                xception::Error::File { .. } => 1,
                xception::Error::Torch(error) => torch_code(&error.to_string()),
            },
            Error::NoData(_) | Error::Datasets(_) | Error::Picture { .. } => 3,
            Error::NonFiniteLoss { .. } => 5,
            Error::File { .. } | Error::TorchExt(_) => 1,
            Error::Torch(error) => torch_code(&error.to_string()),
        }
    }

    pub(crate) fn file(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.to_path_buf();
        move |source| Error::File { action, path, source }
    }
}

fn torch_code(message: &str) -> u8 {
    if is_out_of_memory(message) { 6 } else { 1 }
}

fn is_out_of_memory(message: &str) -> bool {
    message.contains("can't allocate memory") || message.contains("out of memory")
}

/// The exit code and the message for a panic, which tch's operators end in where libtorch throws.
pub fn exit_code_of_panic(payload: &(dyn Any + Send)) -> (u8, String) {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no message");
    if is_out_of_memory(text) {
        let asked =
            text.split("you tried to allocate ").nth(1).and_then(|rest| rest.split(' ').next());
        let asked =
            asked.map_or(String::new(), |bytes| format!(" ({bytes} bytes more were asked for)"));
        return (
            6,
            format!(
                "out of memory{asked}; try a smaller --batch-size or --input, or --set batch_size=…"
            ),
        );
    }
    let first = text.lines().next().unwrap_or(text);
    (1, format!("internal error: {first} (RUST_LOG=debug shows more)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_allocation_is_code_six_and_says_how_much() {
        let text = "Torch(\"[enforce fail at alloc_cpu.cpp:129] err == 0. DefaultCPUAllocator: can't allocate memory: \
                    you tried to allocate 4611686018427387904 bytes. Error code 12 (Cannot allocate memory)\")";
        let (code, message) = exit_code_of_panic(&text.to_string());
        assert_eq!(code, 6);
        assert!(
            message.starts_with("out of memory (4611686018427387904 bytes more were asked for)"),
            "{message}"
        );
    }

    #[test]
    fn any_other_panic_is_code_one_and_one_line() {
        let (code, message) = exit_code_of_panic(&"expected pictures\nand a long story");
        assert_eq!(
            (code, message.as_str()),
            (1, "internal error: expected pictures (RUST_LOG=debug shows more)")
        );
    }
}
