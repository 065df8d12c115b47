//! Remarks on an import: each is a sentence for the person who has the file.

use std::fmt;

/// A choice that was made among the tensors of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// The weights lie in a dictionary of the file, or their names have a prefix.
    Place {
        /// The dictionary and the prefix.
        label: String,
    },
    /// The file holds several copies of the network.
    Copies {
        /// The one that was taken.
        taken: String,
        /// The others.
        others: Vec<String>,
    },
    /// The head has another name than in the original.
    HeadName {
        /// The name in the file.
        name: String,
    },
    /// The head has no bias, which is the same as a bias of zeros.
    NoBias,
    /// The file has no head.
    NoHead,
    /// The head cannot be carried over.
    UnfitHead {
        /// The reason.
        reason: String,
    },
    /// Names of classes beside the file that are not those of its head.
    OtherNames {
        /// The number of names.
        names: usize,
        /// The number of classes.
        classes: i64,
    },
    /// Tensors that are not of the network.
    Ignored {
        /// Their names.
        names: Vec<String>,
    },
}

/// Names in a message; the rest are counted.
const SPELLED_OUT: usize = 6;

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Note::Place { label } => write!(f, "the weights are at {label}"),
            Note::Copies { taken, others } => write!(
                f,
                "the file has the network more than once: {taken} is taken, --take names another of {}",
                listed(others)
            ),
            Note::HeadName { name } => write!(f, "{name} is taken for the head"),
            Note::NoBias => write!(f, "the head has no bias and is given zeros"),
            Note::NoHead => {
                write!(f, "the file has no head: train one with transfer.head = \"new\"")
            }
            Note::UnfitHead { reason } => {
                write!(
                    f,
                    "the head is left out: {reason}; the backbone is taken, train a head with transfer.head = \"new\""
                )
            }
            Note::OtherNames { names, classes } => write!(
                f,
                "the description names {names} classes and the head has {classes}: the names are left out, \
                 --class-names gives others"
            ),
            Note::Ignored { names } => {
                write!(f, "not of the network and left out: {}", listed(names))
            }
        }
    }
}

/// The first few of `names`, and the number of the others.
pub(super) fn listed(names: &[String]) -> String {
    let first = names[..names.len().min(SPELLED_OUT)].join(", ");
    match names.len().saturating_sub(SPELLED_OUT) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}
