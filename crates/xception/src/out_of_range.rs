//! The refusal of a number that a network cannot be built with: its name, what is accepted, and what was given.

use std::fmt;
use std::ops::RangeInclusive;

/// A value that a table or an option does not accept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} must be {accepted}, got {value}")]
#[non_exhaustive]
pub struct OutOfRange {
    /// The option, or the row and field of the table: `entry_flow[1].widths[0]`.
    pub name: String,
    /// The accepted values, in words.
    pub accepted: String,
    /// The value that was given.
    pub value: String,
}

impl OutOfRange {
    pub(crate) fn new(
        name: impl Into<String>,
        accepted: impl Into<String>,
        value: impl fmt::Display,
    ) -> Self {
        Self { name: name.into(), accepted: accepted.into(), value: value.to_string() }
    }

    /// An error unless `value` lies in `range`.
    pub(crate) fn unless_in<T: PartialOrd + fmt::Display>(
        range: RangeInclusive<T>,
        name: impl Into<String>,
        value: T,
    ) -> Result<(), Self> {
        if range.contains(&value) {
            return Ok(());
        }
        Err(Self::new(name, format!("between {} and {}", range.start(), range.end()), value))
    }

    /// An error unless `value` is 1 or more.
    pub(crate) fn unless_positive(name: impl Into<String>, value: i64) -> Result<(), Self> {
        if value >= 1 { Ok(()) } else { Err(Self::new(name, "at least 1", value)) }
    }
}
