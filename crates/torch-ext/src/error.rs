//! One error for every operation that is refused.

use tch::TchError;

/// The refusal of an operation, by libtorch or by a check before it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{operation} was refused: {message}")]
pub struct Error {
    /// The operation, such as `a fused Adam step`.
    pub operation: &'static str,
    /// The cause; in libtorch's words, without its C++ backtrace, where libtorch refused.
    pub message: String,
}

impl Error {
    /// libtorch's refusal of `operation`, without its C++ backtrace.
    pub(crate) fn of_libtorch(operation: &'static str, error: &TchError) -> Self {
        let text = match error {
            TchError::Torch(text) => text.clone(),
            other => other.to_string(),
        };
        Self { operation, message: text.lines().next().unwrap_or_default().to_string() }
    }
}
