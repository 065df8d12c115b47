//! Grouped spatial convolution, the depthwise half of a separable one.
//!
//! One door for every caller, so that the kernels behind it can change without a layer noticing.
//! Behind it are libtorch's own.

use tch::Tensor;

/// How the kernel moves over the picture, and how far channels mix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DepthwiseGeometry {
    /// Rows and columns between two outputs.
    pub stride: [i64; 2],
    /// Rows and columns of zeros on each side.
    pub padding: [i64; 2],
    /// Rows and columns between two taps of the kernel.
    pub dilation: [i64; 2],
    /// Channel groups that do not see each other; `c_in` for a depthwise convolution proper.
    pub groups: i64,
}

/// Convolves `xs: [N, c_in, H, W]` with `ws: [c_out, c_in / groups, kh, kw]` and adds `bs: [c_out]`.
///
/// Differentiable in all three. PyTorch: `F.conv2d(xs, ws, bs, stride, padding, dilation, groups)`.
/// Panics where the shapes do not fit, as every tch operator does.
pub fn depthwise_conv2d(
    xs: &Tensor,
    ws: &Tensor,
    bs: Option<&Tensor>,
    geometry: DepthwiseGeometry,
) -> Tensor {
    xs.conv2d(ws, bs, geometry.stride, geometry.padding, geometry.dilation, geometry.groups)
}
