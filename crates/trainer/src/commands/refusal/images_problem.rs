//! Problems of files of tensors that should be images.

/// A problem of a file of tensors that should be images.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImagesProblem {
    /// There is no such tensor.
    #[error("it holds no tensor named input")]
    NoInput,
    /// It holds NaN or infinity.
    #[error("input holds numbers that are not finite")]
    NotFinite,
    /// It has another shape or kind.
    #[error("input must be [N, 3, H, W] of float32, is {size:?} of {kind:?}")]
    Shape {
        /// Its shape.
        size: Vec<i64>,
        /// Its kind.
        kind: tch::Kind,
    },
}
