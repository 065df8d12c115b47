//! Our kernels for a GPU: bf16 maps, channels-last. libtorch's compute everything else.
//!
//! On an H200 libtorch's and cuDNN's kernels for such maps reach between a seventh and a half of the memory's speed in max-pools,
//! batch statistics and depthwise gradients (`docs/measurements/gpu.md`), and some of them add in no fixed order. These
//! are the CUDA C++ of `cuda/`, compiled beforehand into `cuda/kernels.fatbin` by `cargo xtask cuda-kernels`, so that a
//! build needs no CUDA compiler. Sums have one order, so that two runs give the same bits.

#[cfg(not(feature = "gpu-kernels"))]
mod absent;
#[cfg(feature = "gpu-kernels")]
mod native;

#[cfg(not(feature = "gpu-kernels"))]
use absent as kernels;
#[cfg(feature = "gpu-kernels")]
use native as kernels;

use tch::Tensor;

pub(crate) use self::kernels::{
    depthwise_backward, depthwise_forward, max_pool_backward, max_pool_forward, norm_statistics,
};

/// Whether our kernels for a GPU compute on such a map: one of bf16 on a GPU, channels-last, of a multiple of eight channels.
/// libtorch's compute on others. Without the feature `gpu-kernels` it is none.
#[must_use]
pub fn covers(map: &Tensor) -> bool {
    kernels::covers(map)
}

/// The movement of the window of a max-pool over the image.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(
    not(feature = "gpu-kernels"),
    expect(dead_code, reason = "the kernels read the fields, and they are absent")
)]
pub(crate) struct Window {
    /// Rows and columns of the window.
    pub(crate) kernel: i64,
    /// Pixels between two windows.
    pub(crate) stride: i64,
    /// Rows above and columns left of the image.
    pub(crate) before: [i64; 2],
    /// Rows and columns of the result.
    pub(crate) output: [i64; 2],
}

/// The running statistics of a batch norm, and how a batch enters them.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(
    not(feature = "gpu-kernels"),
    expect(dead_code, reason = "the kernels read the fields, and they are absent")
)]
pub(crate) struct Running<'a> {
    /// fp32 `[C]`.
    pub(crate) mean: &'a Tensor,
    /// fp32 `[C]`.
    pub(crate) variance: &'a Tensor,
    /// Weight of the new batch.
    pub(crate) momentum: f64,
    /// Subtracted from the number of pixels in the variance.
    pub(crate) correction: f64,
}

/// The result of a kernel on a map that it covers, which fails only as CUDA does.
pub(crate) fn expect<T>(result: Result<T, crate::Error>) -> T {
    result.unwrap_or_else(|error| panic!("{error}"))
}
