//! A value of a recipe that is out of range.

use std::fmt::Display;

/// A key of a recipe, the values that it accepts, and the one that it has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key} must be {expected}, got {got}")]
pub struct InvalidValue {
    /// The key, with the tables that it lies in: `optimizer.beta1`.
    pub key: String,
    /// The accepted values, in words.
    pub expected: String,
    /// The value that was given.
    pub got: String,
}

impl InvalidValue {
    /// `key` must be `expected`, and is `got`.
    pub(crate) fn new(
        key: impl Into<String>,
        expected: impl Into<String>,
        got: impl Display,
    ) -> Self {
        Self { key: key.into(), expected: expected.into(), got: got.to_string() }
    }

    /// Refuses `got` unless it `fits`.
    ///
    /// # Errors
    ///
    /// This one, where it does not.
    pub(crate) fn unless(
        fits: bool,
        key: impl Into<String>,
        expected: impl Into<String>,
        got: impl Display,
    ) -> Result<(), Self> {
        if fits { Ok(()) } else { Err(Self::new(key, expected, got)) }
    }
}
