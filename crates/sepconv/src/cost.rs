//! What a convolution costs: multiplications and parameters, and what separating it saves.
//!
//! With a K×K kernel, M input and N output channels and G output pixels (the seeds' notation), a regular
//! convolution takes `K²·M·N·G` multiply-accumulates and a separable one `K²·M·G + M·N·G`: the ratio is
//! `1/N + 1/K²`. Biases cost parameters, not multiplications.

/// The shape of a convolution's work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvShape {
    /// Input channels.
    pub c_in: u64,
    /// Output channels.
    pub c_out: u64,
    /// Rows and columns of the kernel.
    pub kernel_size: [u64; 2],
    /// Rows and columns of the output.
    pub output: [u64; 2],
    /// Whether a bias is added.
    pub bias: bool,
}

/// What it takes to compute a layer once, for one image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cost {
    /// Multiply-accumulates.
    pub macs: u64,
    /// Trainable numbers.
    pub params: u64,
}

impl std::ops::Add for Cost {
    type Output = Cost;

    fn add(self, other: Cost) -> Cost {
        Cost { macs: self.macs + other.macs, params: self.params + other.params }
    }
}

/// A convolution in `groups` channel groups: 1 is regular, `c_in` depthwise.
pub fn grouped(shape: ConvShape, groups: u64) -> Cost {
    let weights = shape.c_out * (shape.c_in / groups) * shape.kernel_size[0] * shape.kernel_size[1];
    Cost {
        macs: weights * shape.output[0] * shape.output[1],
        params: weights + if shape.bias { shape.c_out } else { 0 },
    }
}

/// A regular convolution.
pub fn regular(shape: ConvShape) -> Cost {
    grouped(shape, 1)
}

/// A depthwise convolution; `c_out` is `c_in` times the depth multiplier.
pub fn depthwise(shape: ConvShape) -> Cost {
    grouped(shape, shape.c_in)
}

/// A pointwise convolution: the kernel size of `shape` is not looked at.
pub fn pointwise(shape: ConvShape) -> Cost {
    regular(ConvShape { kernel_size: [1, 1], ..shape })
}

/// A separable convolution, depthwise half first, `depth_multiplier` kernels a channel.
pub fn separable(shape: ConvShape, depth_multiplier: u64) -> Cost {
    let between = shape.c_in * depth_multiplier;
    depthwise(ConvShape { c_out: between, ..shape })
        + pointwise(ConvShape { c_in: between, ..shape })
}

/// Separable over regular multiplications, `1/N + 1/K²`, for `c_out` = N and a K×K kernel.
pub fn reduction_ratio(c_out: u64, kernel_size: u64) -> f64 {
    1. / c_out as f64 + 1. / (kernel_size * kernel_size) as f64
}

#[cfg(test)]
mod tests;
