//! Errors of finding and reading data sets.

use std::io;
use std::path::PathBuf;

use datasets::Cifar;

use crate::exit_code::ExitCode;
use crate::ranks;

/// Why a data set cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A `--data` that names no data set.
    #[error(
        "unknown data set '{text}'{hint}; known are auto, cifar10[:DIR], cifar100[:DIR], folder:DIR, csv:FILE, parquet:DIR, \
         shards:DIR, synthetic and synthetic-multi"
    )]
    Unknown {
        /// The text that was typed.
        text: String,
        /// ` (did you mean …?)`, or nothing.
        hint: String,
    },
    /// A folder of images that is not there.
    #[error("{kind}:{}: {reason}; say where the images are", root.display())]
    NoFolder {
        /// `folder`, `shards`, `csv` or `parquet`.
        kind: &'static str,
        /// The folder.
        root: PathBuf,
        /// The system's reason. No source: the message has it all.
        reason: io::Error,
    },
    /// An option of a table that cannot be used.
    #[error("{kind}:{}?{option}: {problem}", if *.kind == "csv" { "FILE" } else { "DIR" })]
    TableOption {
        /// `csv` or `parquet`.
        kind: &'static str,
        /// The option as it was typed.
        option: String,
        /// The problem, and what to do.
        problem: String,
    },
    /// A CIFAR set that is in none of the usual folders.
    #[error(
        "{name} was asked for and is in none of\n{}\nget it with `cargo xtask fetch {name}`, from a mirror or archive \
         with `cargo xtask fetch {name} --from PATH_OR_URL`, or say where it is with `--data {name}:DIR`",
        searched.iter().map(|folder| format!("  {}", folder.display())).collect::<Vec<_>>().join("\n"),
        name = set.name()
    )]
    NotFound {
        /// The set.
        set: Cifar,
        /// The folders that were searched.
        searched: Vec<PathBuf>,
    },
    /// `--split val` of a set without a validation set of its own.
    #[error(
        "{data} has no validation set beside a test set; --split test measures on the one that it has"
    )]
    NoValidation {
        /// The data set.
        data: String,
    },
    /// Classes of which nothing can be held out, because they have one training image.
    #[error(
        "one training image is too few to hold any out of a class: {}; add images, leave the classes out, or set \
         training_set.validation=0 and training_set.fraction=1",
        classes.join(", ")
    )]
    OneTrainingImage {
        /// The names of the classes.
        classes: Vec<String>,
    },
    /// Rank 0 has another archive where this rank has one.
    #[error(
        "archives in {}, with their lengths: on rank 0 there is {there}, here {here}; start all ranks on the same \
         images",
        root.display()
    )]
    OtherArchive {
        /// The folder.
        root: PathBuf,
        /// The first archive that differs, on rank 0.
        there: String,
        /// The same one here.
        here: String,
    },
    /// Rank 0 has more archives than this rank, or fewer.
    #[error(
        "archives in {}: on rank 0 there are {there}, here {here}; start all ranks on the same images",
        root.display()
    )]
    OtherArchiveCount {
        /// The folder.
        root: PathBuf,
        /// Archives on rank 0.
        there: usize,
        /// Archives here.
        here: usize,
    },
    /// A set that cannot be read.
    #[error(transparent)]
    Datasets(#[from] datasets::Error),
    /// Other ranks cannot be reached.
    #[error(transparent)]
    Ranks(#[from] ranks::Error),
}

impl Error {
    /// The exit code of this error.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Error::Unknown { .. }
            | Error::TableOption { .. }
            | Error::NoValidation { .. }
            | Error::OtherArchive { .. }
            | Error::OtherArchiveCount { .. } => ExitCode::Usage,
            Error::NoFolder { .. }
            | Error::NotFound { .. }
            | Error::OneTrainingImage { .. }
            | Error::Datasets(_) => ExitCode::Data,
            Error::Ranks(error) => error.exit_code(),
        }
    }
}
