//! The content of a file of weights: one dictionary of arrays, or several to choose from.

use std::collections::BTreeMap;

use crate::{Arrays, KerasLayer};

/// The arrays of one dictionary, with the place of the dictionary in the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dictionary {
    /// The keys that lead to it, such as `state_dict` or `checkpoint.model`; empty for the file itself.
    pub place: String,
    /// Its arrays.
    pub arrays: Arrays,
    /// Names in it whose values are not arrays that can be read, with the reason: an object of a class, or a type of numbers.
    pub unread: BTreeMap<String, String>,
}

/// The content of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Contents {
    /// Every dictionary that holds arrays, in the order of the file; at least one.
    pub dictionaries: Vec<Dictionary>,
    /// The network, where a file of Keras describes it.
    pub network: Option<KerasLayer>,
}
