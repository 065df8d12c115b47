//! Errors of training: before the first step, in a step, and between steps.

use crate::model_errors::from_model_errors;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::exit_code::ExitCode;
use crate::file_error::FileError;
use crate::invalid_value::InvalidValue;
use crate::learner::{LOWER_RATE, NonFiniteLoss};
use crate::run::run_folder::CHECKPOINTS;
use crate::signal::Signal;
use crate::torch_error::{TorchError, from_torch_errors};
use crate::{data, evaluation, learner, network, optim, ranks, recipe, run};

/// The environment variable by which cuBLAS keeps to one order of sums.
pub(super) const WORKSPACE: &str = "CUBLAS_WORKSPACE_CONFIG";

/// Why a run does not start, or ends early.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The training images cannot be learned from.
    #[error(transparent)]
    DeadData(#[from] DeadData),
    /// A batch would not fit into memory.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    /// Memory ran out during a step.
    #[error(
        "out of memory{}: {advice}; try a smaller --batch-size or --input, or --set batch_size=…",
        requested.map(|bytes| format!(" ({bytes} bytes more were requested)")).unwrap_or_default()
    )]
    OutOfMemory {
        /// The bytes of the allocation that failed, where libtorch says so.
        requested: Option<u64>,
        /// The memory that batches of this size and of half the size need.
        advice: String,
    },
    /// `non_finite.action = "skip"` on a GPU.
    #[error(
        "non_finite.action = \"skip\" reads every loss before its update, which a GPU does not wait for; use \
         \"roll-back\" there"
    )]
    SkipOnGpu,
    /// `deterministic = true` without cuBLAS's setting.
    #[error(
        "deterministic = true on a GPU needs the environment variable {WORKSPACE}, which cuBLAS reads when it starts; set \
         {WORKSPACE}=:4096:8"
    )]
    NoWorkspace,
    /// `launch = "graph"` where no step can be recorded.
    #[error("launch = \"graph\" cannot be had: {reason}; take \"auto\" or \"eager\"")]
    NoGraphs {
        /// The part that is missing.
        reason: &'static str,
    },
    /// The loss became infinite or NaN, and the recipe or the disk does not allow to continue.
    #[error("{loss}, {batch}; {LOWER_RATE}")]
    NonFiniteLoss {
        /// The loss and its step. No source: the message has it all.
        loss: NonFiniteLoss,
        /// Its batch.
        batch: BadBatch,
    },
    /// Many batches in a row of which no image can be read.
    #[error(
        "no image of the last {in_a_row} batches can be read: put the images back where they were, and resume the run"
    )]
    UnreadableBatches {
        /// The batches.
        in_a_row: u32,
    },
    /// A run that a launcher starts again, without a folder that it could find again.
    #[error("a run that is started again must know its folder: give it one with --out")]
    RestartWithoutFolder,
    /// A run would be resumed as another one.
    #[error(
        "this is not the run that was begun:\n  {}\nleave the changes out, or begin a new run with another --out; \
         `xception train --recipe finetune --weights RUN` begins one from the weights of this, and --extend trains this one \
         longer",
        .0.join("\n  ")
    )]
    OtherRun(Vec<String>),
    /// A table of the recipe that is for images of another kind.
    #[error(transparent)]
    Value(#[from] InvalidValue),
    /// `--extend` to no more epochs than the run has.
    #[error(
        "--extend {epochs} is no more than the {had} epochs that the run has; give a larger number"
    )]
    NotExtended {
        /// The number that was typed.
        epochs: u64,
        /// Epochs of the run.
        had: u64,
    },
    /// A time in which not one epoch fits.
    #[error(
        "--time-limit {limit} is too short: an epoch takes about {epoch} here; give more time, or train on a part with \
         --set training_set.fraction=…"
    )]
    TooShort {
        /// The time.
        limit: String,
        /// The time of an epoch.
        epoch: String,
    },
    /// A recipe that cannot have the number of epochs that fit into a time.
    #[error(
        "{epochs} epochs fit into --time-limit, and the recipe cannot have that many: {problem}"
    )]
    Epochs {
        /// The epochs.
        epochs: u64,
        /// The problem. No source: the message has it all.
        problem: recipe::Problem,
    },
    /// Ranks were started as different runs.
    #[error(
        "this rank is not the same as rank 0:\n  {}\nstart all ranks with the same command on the same images",
        .0.join("\n  ")
    )]
    OtherRank(Vec<String>),
    /// Ranks no longer have the same parameters.
    #[error(
        "rank {rank} has other parameters than rank 0 after step {step}: a machine computes wrongly, or versions differ"
    )]
    RanksDiffer {
        /// The first rank that differs.
        rank: usize,
        /// Steps taken.
        step: u64,
    },
    /// There are checkpoints, and none of them is what was written.
    #[error(
        "no valid checkpoint: {} and nothing older; begin again in a new folder, or put a good copy of one in its place",
        folders.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(", ")
    )]
    NoCheckpoint {
        /// The damaged ones.
        folders: Vec<PathBuf>,
    },
    /// The checkpoints of a run that had some are gone.
    #[error(
        "{} has trained, and {} is not there any more: put it back, or begin again in a new folder",
        run.display(),
        run.join(CHECKPOINTS).display()
    )]
    CheckpointsGone {
        /// The run's folder.
        run: PathBuf,
    },
    /// Rank 0's checkpoint cannot be read here.
    #[error(
        "the checkpoint that rank 0 sent cannot be read: {reason}; start all ranks with the same version"
    )]
    CheckpointOfRank0 {
        /// The first problem.
        reason: String,
    },
    /// A run ends because it cannot be saved.
    #[error("the run cannot be saved, and {}", newest_checkpoint(newest.as_deref()))]
    NotSaved {
        /// The last reason.
        source: Box<run::Error>,
        /// The newest good checkpoint.
        newest: Option<PathBuf>,
    },
    /// Asked to stop, the run was saved.
    #[error(
        "{} after step {step}: saved; resume with `{} --resume {}`",
        signal.name(),
        train_command(),
        folder.display()
    )]
    Interrupted {
        /// The signal that asked.
        signal: Signal,
        /// Steps taken.
        step: u64,
        /// The run's folder.
        folder: PathBuf,
    },
    /// A step that was not taken.
    #[error(transparent)]
    Step(#[from] learner::Error),
    /// Images that cannot be read.
    #[error(transparent)]
    Datasets(#[from] datasets::Error),
    /// A model that cannot be built, or weights that cannot be used.
    #[error(transparent)]
    Model(#[from] xception::Error),
    /// A recipe that cannot be used.
    #[error(transparent)]
    Recipe(#[from] recipe::Error),
    /// Data that cannot be used.
    #[error(transparent)]
    Data(#[from] data::Error),
    /// Weights to start from that cannot be used.
    #[error(transparent)]
    Network(#[from] network::Error),
    /// An optimizer that cannot be built or restored.
    #[error(transparent)]
    Optim(#[from] optim::Error),
    /// A network that cannot be measured.
    #[error(transparent)]
    Evaluation(#[from] evaluation::Error),
    /// A run's folder that cannot be used.
    #[error(transparent)]
    Run(#[from] run::Error),
    /// Other ranks that cannot be reached.
    #[error(transparent)]
    Ranks(#[from] ranks::Error),
    /// A file that cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// An error of libtorch.
    #[error(transparent)]
    Torch(#[from] TorchError),
}

impl Error {
    /// The exit code of this error.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Error::SkipOnGpu
            | Error::NoWorkspace
            | Error::NoGraphs { .. }
            | Error::RestartWithoutFolder
            | Error::OtherRun(_)
            | Error::Value(_)
            | Error::NotExtended { .. }
            | Error::TooShort { .. }
            | Error::Epochs { .. }
            | Error::OtherRank(_) => ExitCode::Usage,
            Error::DeadData(_) | Error::Datasets(_) | Error::UnreadableBatches { .. } => {
                ExitCode::Data
            }
            Error::NoCheckpoint { .. } | Error::CheckpointsGone { .. } => ExitCode::NoCheckpoint,
            Error::NonFiniteLoss { .. } => ExitCode::NonFinite,
            Error::OutOfMemory { .. } | Error::TooLarge(_) => ExitCode::OutOfMemory,
            Error::RanksDiffer { .. } => ExitCode::Peer,
            Error::Interrupted { signal, .. } => ExitCode::Interrupted(*signal),
            Error::CheckpointOfRank0 { .. } | Error::NotSaved { .. } => ExitCode::Failed,
            Error::Step(error) => error.exit_code(),
            Error::Model(error) => ExitCode::of_model(error),
            Error::Recipe(error) => error.exit_code(),
            Error::Data(error) => error.exit_code(),
            Error::Network(error) => error.exit_code(),
            Error::Optim(error) => error.exit_code(),
            Error::Evaluation(error) => error.exit_code(),
            Error::Run(error) => error.exit_code(),
            Error::Ranks(error) => error.exit_code(),
            Error::File(error) => error.exit_code(),
            Error::Torch(error) => error.exit_code(),
        }
    }

    /// Whether every rank of a run meets this error at the same step.
    pub(crate) fn is_of_all_ranks(&self) -> bool {
        matches!(
            self,
            Error::Interrupted { .. }
                | Error::NonFiniteLoss { .. }
                | Error::Step(learner::Error::NonFiniteLoss(_))
                | Error::RanksDiffer { .. }
        )
    }
}

/// The batch of a loss that is not finite.
#[derive(Debug, PartialEq, Eq)]
pub struct BadBatch {
    /// The training images that this rank had of it.
    pub images: Vec<u32>,
    /// The rest of what this rank knows.
    pub rest: Rest,
}

/// The knowledge of a rank about a batch beside its own images.
#[derive(Debug, PartialEq, Eq)]
pub enum Rest {
    /// Other ranks had other images, and rank 0 has the checkpoints.
    OnOtherRanks,
    /// This is rank 0, with the newest good checkpoint.
    Checkpoint(Option<PathBuf>),
}

impl fmt::Display for BadBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let images = self.images.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
        match &self.rest {
            Rest::OnOtherRanks => {
                write!(f, "this rank's share of which is the training images {images}")
            }
            Rest::Checkpoint(Some(newest)) => {
                let newest = newest.display();
                write!(f, "on the training images {images}; the newest checkpoint is {newest}")
            }
            Rest::Checkpoint(None) => {
                write!(f, "on the training images {images}; there is no checkpoint yet")
            }
        }
    }
}

/// Why nothing can be learned from the training images.
#[derive(Debug, thiserror::Error)]
pub enum DeadData {
    /// One class has all images.
    #[error("every training image is of class '{class}': there is nothing to tell apart")]
    OneClass {
        /// The class.
        class: String,
    },
    /// All images are equal.
    #[error("all {images} training images are the same: there is nothing to learn")]
    AllTheSame {
        /// Training images.
        images: usize,
    },
    /// A class without an image that can be read.
    #[error(
        "not one of the {images} training images of class '{class}' can be read; put good ones there, or remove the \
         class: {first}"
    )]
    UnreadableClass {
        /// Training images of the class.
        images: u64,
        /// The class.
        class: String,
        /// The problem of its first image. No source: the message has it all.
        first: Box<datasets::Error>,
    },
}

/// A batch that would not fit into memory.
#[derive(Debug, thiserror::Error)]
#[error(
    "a batch of {batch_size} needs about {} of memory, and {} are free{}; {}",
    gibibytes(*needed),
    gibibytes(*free),
    if *ranks == 1 { "" } else { " for each rank on this machine" },
    if *fits == 0 {
        "not even one image fits: a smaller network or a machine with more memory is needed".to_string()
    } else {
        format!("batch_size={fits} would fit (--set batch_size={fits})")
    }
)]
pub struct TooLarge {
    /// Images in the batch.
    pub batch_size: u64,
    /// Bytes that it needs.
    pub needed: u64,
    /// Bytes that are free for this rank.
    pub free: u64,
    /// Ranks on this machine.
    pub ranks: u64,
    /// The largest batch that fits.
    pub fits: u64,
}

/// The command that began the run: `cargo xtask train` says in the environment that it is, since `xception` need not be on the
/// path then.
fn train_command() -> String {
    std::env::var("XCEPTION_TRAIN_COMMAND").unwrap_or_else(|_| "xception train".to_string())
}

/// Bytes as people read them.
pub(super) fn gibibytes(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30))
}

fn newest_checkpoint(newest: Option<&Path>) -> String {
    match newest {
        Some(place) => format!("the newest good one is {}", place.display()),
        None => "there is no good one yet".to_string(),
    }
}

from_torch_errors!(Error, Error::Torch);
from_model_errors!(Error, Error::Model);
