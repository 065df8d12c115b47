//! One error for every operation that is refused.

/// The refusal of an operation, by libtorch or by a check before it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{operation} was refused: {message}")]
pub struct Error {
    /// The operation, such as `a fused Adam step`.
    pub operation: &'static str,
    /// The cause; in libtorch's words, without its C++ backtrace, where libtorch refused.
    pub message: String,
}
