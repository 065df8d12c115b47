//! Errors of recipes: in a file, or in what was typed to change one.

use std::io;

use xception::Preset;

use crate::exit_code::ExitCode;
use crate::invalid_value::InvalidValue;

/// Why there is no recipe to train by.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A recipe that cannot be used.
    #[error("recipe {name}: {problem}")]
    Invalid {
        /// Its name or file.
        name: String,
        /// The problem. No source: the message has it all.
        problem: Problem,
    },
    /// A `--set` that sets nothing.
    #[error("--set {change}: {problem}")]
    Change {
        /// The text that was typed.
        change: String,
        /// The problem. No source: the message has it all.
        problem: ChangeProblem,
    },
    /// Weights for a recipe that starts from none.
    #[error(
        "recipe {recipe} does not start from weights (it has no table [transfer]); take --recipe finetune"
    )]
    NoTransfer {
        /// The recipe.
        recipe: String,
    },
    /// A preset that is none.
    #[error(transparent)]
    Preset(#[from] xception::UnknownPreset),
}

impl Error {
    /// The exit code of this error.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Error::Invalid { .. }
            | Error::Change { .. }
            | Error::NoTransfer { .. }
            | Error::Preset(_) => ExitCode::Usage,
        }
    }
}

/// The parser's text, with words for Rust's types.
fn in_words(text: &str) -> String {
    let whole = "expected a whole number of 0 or more";
    text.replace("expected u64", whole)
        .replace("expected usize", whole)
        .replace("expected f64", "expected a number")
}

/// A problem of a recipe.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// No recipe has this name.
    #[error("unknown{hint}; known are {}, or give a .toml file", known.join(", "))]
    Unknown {
        /// ` (did you mean …?)`, or nothing.
        hint: String,
        /// The names of all recipes.
        known: Vec<&'static str>,
    },
    /// Its file cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(io::Error),
    /// It is not TOML, lacks a key, or has one too many.
    #[error("{}", in_words(.0.to_string().trim_end()))]
    Toml(Box<toml::de::Error>),
    /// A value is out of range.
    #[error(transparent)]
    Value(#[from] InvalidValue),
    /// A value of `[augmentation]` is out of range.
    #[error("augmentation.{0}")]
    Augmentation(datasets::Error),
    /// The network cannot be built.
    #[error("model: {0}")]
    Model(xception::OutOfRange),
    /// The preset is none.
    #[error(transparent)]
    Preset(xception::UnknownPreset),
    /// Preset `cifar` without its scale.
    #[error(
        "model.scale is missing: preset cifar needs width, middle_modules, stem_stride and entry_strides"
    )]
    ScaleMissing,
    /// Another preset with a scale.
    #[error("model.scale is for preset cifar only, not for {0}; leave it out")]
    ScaleUnused(Preset),
}

/// A problem of a change.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeProblem {
    /// It has no `=`.
    #[error("expected KEY=VALUE, such as epochs=3")]
    NoValue,
    /// Nothing is before the `=`, or a dot ends it.
    #[error("the key is empty")]
    NoKey,
    /// A number that TOML cannot hold.
    #[error(
        "{0} is out of range: whole numbers go from -9223372036854775808 to 9223372036854775807"
    )]
    OutOfRange(String),
    /// The key leads through a value as if it were a table.
    #[error("'{0}' is a value, it has nothing inside")]
    NotATable(String),
}
