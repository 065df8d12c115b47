//! What a constructor refuses.

/// A layer that cannot be built, with the offending value and what would be accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A size that must be at least one is not.
    #[error("{name} must be at least 1, got {value}")]
    NotPositive {
        /// The field or argument.
        name: &'static str,
        /// What was given.
        value: i64,
    },
    /// Explicit padding below zero.
    #[error("padding must not be negative, got {0}")]
    NegativePadding(i64),
    /// Channels that do not split evenly.
    #[error(
        "{name} = {channels} does not divide into {groups} groups; use a divisor of {channels}"
    )]
    Groups {
        /// Which channels: `c_in` or `c_out`.
        name: &'static str,
        /// How many there are.
        channels: i64,
        /// How many groups were asked for.
        groups: i64,
    },
}

/// Refuses a value below one.
pub(crate) fn positive(name: &'static str, value: i64) -> Result<(), Error> {
    if value < 1 { Err(Error::NotPositive { name, value }) } else { Ok(()) }
}
