//! The exit code is part of the interface, so errors that need one other than 1 are typed.

use std::fmt;

/// An error with an exit code of its own; every other error exits with 1.
#[derive(Debug)]
pub enum Failure {
    /// The command line asks for something that cannot be: exit code 2.
    Usage(String),
    /// Something could not be downloaded, or is not what it should be: exit code 3.
    Integrity(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Usage(message) | Failure::Integrity(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for Failure {}

/// A [`Failure::Usage`] to return with `?` or `bail!`.
pub fn usage(message: impl Into<String>) -> anyhow::Error {
    Failure::Usage(message.into()).into()
}

/// A [`Failure::Integrity`] to return with `?` or `bail!`.
pub fn integrity(message: impl Into<String>) -> anyhow::Error {
    Failure::Integrity(message.into()).into()
}

/// The exit code of `err`: that of the first [`Failure`] in its chain, else 1.
pub fn exit_code(err: &anyhow::Error) -> u8 {
    match err.chain().find_map(|cause| cause.downcast_ref::<Failure>()) {
        Some(Failure::Usage(_)) => 2,
        Some(Failure::Integrity(_)) => 3,
        None => 1,
    }
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};

    use super::*;

    #[test]
    fn context_keeps_the_exit_code() {
        assert_eq!(exit_code(&anyhow!("disk full")), 1);
        let err = Err::<(), _>(usage("no such variant")).context("libtorch").unwrap_err();
        assert_eq!((exit_code(&err), format!("{err:#}")), (2, "libtorch: no such variant".into()));
        let err = Err::<(), _>(integrity("wrong hash")).context("a").context("b").unwrap_err();
        assert_eq!(exit_code(&err), 3);
    }
}
