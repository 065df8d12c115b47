//! One error for everything that libtorch refuses.

/// A refusal of libtorch, in its own words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("libtorch refused {operation}: {message}")]
pub struct Error {
    /// What was asked for.
    pub operation: &'static str,
    /// What libtorch said, without its C++ backtrace.
    pub message: String,
}
