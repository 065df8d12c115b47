//! The error of every constructor, and the checks that return it.

use tch::nn;

/// A layer that cannot be built, with the offending value and the accepted ones.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A size below one.
    #[error("{name} must be at least 1, got {value}")]
    NotPositive {
        /// The field or argument.
        name: &'static str,
        /// Its value.
        value: i64,
    },
    /// Explicit padding below zero.
    #[error("padding must not be negative, got {0}")]
    NegativePadding(i64),
    /// Channels that do not divide into the groups.
    #[error(
        "{name} = {channels} does not divide into {groups} groups; use a divisor of {channels}"
    )]
    Groups {
        /// `c_in` or `c_out`.
        name: &'static str,
        /// The number of channels.
        channels: i64,
        /// The number of groups.
        groups: i64,
    },
    /// More channels than a 64-bit number can count.
    #[error("{c_in} channels times a depth multiplier of {depth_multiplier} is too large a number")]
    TooManyChannels {
        /// The channels.
        c_in: i64,
        /// The kernels of each.
        depth_multiplier: i64,
    },
    /// A number outside its range.
    #[error("{name} must be {accepted}, got {value}")]
    OutOfRange {
        /// The field.
        name: &'static str,
        /// The accepted values.
        accepted: &'static str,
        /// Its value.
        value: f64,
    },
    /// A path that already holds a variable of this name, which tch would rename in silence.
    #[error("the variable '{0}' exists already; give every layer a path of its own")]
    NameTaken(String),
}

/// Refuses a value below one.
pub(crate) fn positive(name: &'static str, value: i64) -> Result<(), Error> {
    if value < 1 { Err(Error::NotPositive { name, value }) } else { Ok(()) }
}

/// Refuses a value outside `accepted`, which `is_accepted` tests.
pub(crate) fn within(
    name: &'static str,
    value: f64,
    accepted: &'static str,
    is_accepted: impl Fn(f64) -> bool,
) -> Result<(), Error> {
    if is_accepted(value) { Ok(()) } else { Err(Error::OutOfRange { name, accepted, value }) }
}

/// Refuses names that are taken at `path`: tch would call the new variable `weight__7`, and a file of weights would
/// not fit any more.
pub(crate) fn free(path: &nn::Path, names: &[&str]) -> Result<(), Error> {
    match names.iter().find(|name| path.get(name).is_some()) {
        Some(name) => {
            Err(Error::NameTaken(path.components().chain([*name]).collect::<Vec<_>>().join(".")))
        }
        None => Ok(()),
    }
}
