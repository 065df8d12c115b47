//! What ends a command early, and the exit code that tells a script which of it happened.

use std::any::Any;
use std::path::{Path, PathBuf};

use torch_ext::distributed::DistributedError;

use crate::signal::Signal;

/// Why a command did not finish. Exit codes: 1 failed, 2 usage or configuration, 3 data or weights that cannot be
/// trusted, 4 no valid checkpoint, 5 a loss that is not finite, 6 out of memory, 7 another rank failed or is out of reach,
/// 130 and 143 interrupted and saved.
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
    /// A data set that was asked for, or weights, are nowhere.
    #[error("{0}")]
    NoData(String),
    /// A data set that cannot be used.
    #[error(transparent)]
    Datasets(#[from] datasets::Error),
    /// A model that cannot be built, or weights that cannot be used.
    #[error(transparent)]
    Xception(#[from] xception::Error),
    /// An image that cannot be read.
    #[error("cannot read the image {}: {reason}", path.display())]
    Image {
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
    /// The events of a run that is to go on are not those that it had written.
    #[error(
        "cannot go on with the event file {}: {problem}; put it back as it was, or train from the start in a new \
         folder",
        path.display()
    )]
    Events {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Training went astray.
    #[error(
        "the loss became {loss} in epoch {epoch}, step {step}, at learning rate {learning_rate:.3e}{context}; try a lower learning rate (--set schedule.peak=… or --set \
         schedule.learning_rate=…), or let such batches pass (--set non_finite.action=…)"
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
        /// The images of the batch, and where to go back to, once that is known.
        context: String,
    },
    /// Data that nothing can be learned from.
    #[error("{0}")]
    DeadData(String),
    /// A run was asked to go on as another one.
    #[error(
        "this is not the run that was begun:\n  {0}\nleave the changes out, or begin a new run with another --out"
    )]
    OtherRun(String),
    /// Ranks were started as different runs.
    #[error(
        "this rank is not what rank 0 is:\n  {0}\nstart all ranks with the same command on the same images"
    )]
    OtherRank(String),
    /// Another rank is gone, or cannot be reached.
    #[error(transparent)]
    Distributed(#[from] DistributedError),
    /// Ranks no longer have the same parameters.
    #[error("{0}")]
    RanksDiffer(String),
    /// There are checkpoints, and none of them is what was written.
    #[error(
        "no valid checkpoint: {0} and nothing older; begin again in a new folder, or put a good copy of one in its place"
    )]
    NoCheckpoint(String),
    /// A checkpoint could not be saved.
    #[error(transparent)]
    Save(#[from] SaveError),
    /// A run ends because it cannot be saved.
    #[error("the run cannot be saved, and {newest}")]
    NotSaved {
        /// Why.
        source: Box<Error>,
        /// What there is instead.
        newest: String,
    },
    /// Asked to stop, the run was saved.
    #[error("{} after step {step}: saved; go on with `xception train --resume {}`", signal.name(), folder.display())]
    Interrupted {
        /// Who asked.
        signal: Signal,
        /// Steps behind it.
        step: u64,
        /// The run's.
        folder: PathBuf,
    },
    /// What a run was to go on from does not fit it.
    #[error(
        "the saved state does not fit the {what} in {count} places; go on with the recipe that it was saved under:\n  \
         {problems}"
    )]
    State {
        /// What the state belongs to.
        what: &'static str,
        /// How many problems there are.
        count: usize,
        /// The first of them, a line each.
        problems: String,
    },
    /// libtorch's fused kernels refused something.
    #[error(transparent)]
    TorchExt(#[from] torch_ext::Error),
    /// Memory ran out.
    #[error("out of memory{asked}; try a smaller --batch-size or --input, or --set batch_size=…")]
    OutOfMemory {
        /// How much more was asked for, where that is known.
        asked: String,
    },
    /// A batch that would not fit.
    #[error("{0}")]
    TooLarge(String),
    /// libtorch refused something, or this program is wrong.
    #[error("internal error: {0} (RUST_LOG=debug shows more)")]
    Internal(String),
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
        /// Where.
        folder: PathBuf,
    },
    /// The system refused something.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// It was written and does not read back as it was.
    #[error("the checkpoint {} does not read back as it was written: {reason}", folder.display())]
    NotAsWritten {
        /// The checkpoint.
        folder: PathBuf,
        /// What is different.
        reason: String,
    },
    /// The tensors cannot be written at all.
    #[error(transparent)]
    Tensors(#[from] Box<Error>),
}

impl From<tch::TchError> for Error {
    fn from(error: tch::TchError) -> Self {
        Error::from_torch(&error.to_string())
    }
}

impl Error {
    /// The exit code of a rank that ends because of another one.
    pub(crate) const PEER_FAILED: u8 = 7;

    /// The exit code of this error.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Usage(_) | Error::Recipe { .. } | Error::OtherRun(_) | Error::OtherRank(_) => 2,
            Error::Xception(error) => match error {
                xception::Error::UnknownPreset { .. }
                | xception::Error::Option { .. }
                | xception::Error::InputTooSmall(_)
                | xception::Error::Layer(_) => 2,
                xception::Error::Format { .. }
                | xception::Error::Foreign { .. }
                | xception::Error::NotWeights { .. }
                | xception::Error::Metadata { .. }
                | xception::Error::Mismatch(_)
                | xception::Error::InputKernel { .. }
                | xception::Error::Import(_) => 3,
                // Weights that are not there.
                xception::Error::File { action: "read", .. } => 3,
                xception::Error::File { .. } | xception::Error::Torch(_) => 1,
            },
            Error::NoData(_)
            | Error::Datasets(_)
            | Error::Image { .. }
            | Error::DeadData(_)
            | Error::Events { .. }
            | Error::State { .. } => 3,
            Error::NoCheckpoint(_) => 4,
            Error::NonFiniteLoss { .. } => 5,
            Error::OutOfMemory { .. } | Error::TooLarge(_) => 6,
            Error::Distributed(_) | Error::RanksDiffer(_) => Self::PEER_FAILED,
            Error::Interrupted { signal, .. } => signal.exit_code(),
            Error::NotSaved { .. }
            | Error::Save(_)
            | Error::File { .. }
            | Error::TorchExt(_)
            | Error::Internal(_) => 1,
        }
    }

    /// Whether what was given cannot be used, and would not be the next time either.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(
            self,
            Error::Usage(_)
                | Error::Recipe { .. }
                | Error::Datasets(_)
                | Error::DeadData(_)
                | Error::Xception(_)
        )
    }

    /// Whether every rank of a run meets it at the same step.
    pub(crate) fn is_of_all_ranks(&self) -> bool {
        matches!(
            self,
            Error::Interrupted { .. } | Error::NonFiniteLoss { .. } | Error::RanksDiffer(_)
        )
    }

    /// What a panic was about: tch's operators end in one where libtorch throws.
    pub fn from_panic(payload: &(dyn Any + Send)) -> Self {
        let text = payload.downcast_ref::<String>().map(String::as_str);
        Error::from_torch(
            text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no message"),
        )
    }

    fn from_torch(text: &str) -> Self {
        if text.contains("can't allocate memory") || text.contains("out of memory") {
            let asked =
                text.split("you tried to allocate ").nth(1).and_then(|rest| rest.split(' ').next());
            let asked = asked
                .map_or(String::new(), |bytes| format!(" ({bytes} bytes more were asked for)"));
            return Error::OutOfMemory { asked };
        }
        Error::Internal(text.lines().next().unwrap_or(text).to_string())
    }

    pub(crate) fn file(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.to_path_buf();
        move |source| Error::File { action, path, source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_allocation_is_code_six_and_says_how_much() {
        let text = "Torch(\"[enforce fail at alloc_cpu.cpp:129] err == 0. DefaultCPUAllocator: can't allocate memory: \
                    you tried to allocate 4611686018427387904 bytes. Error code 12 (Cannot allocate memory)\")";
        let error = Error::from_panic(&text.to_string());
        let message = error.to_string();
        assert_eq!(error.exit_code(), 6);
        assert!(
            message.starts_with("out of memory (4611686018427387904 bytes more were asked for)"),
            "{message}"
        );
    }

    #[test]
    fn any_other_panic_is_code_one_and_one_line() {
        let error = Error::from_panic(&"expected images\nand a long story");
        assert_eq!(error.exit_code(), 1);
        assert_eq!(
            error.to_string(),
            "internal error: expected images (RUST_LOG=debug shows more)"
        );
    }
}
