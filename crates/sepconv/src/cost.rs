//! The cost of a convolution: multiplications and parameters, and what separating it saves.
//!
//! With a K×K kernel, M input and N output channels and G output pixels, a regular convolution takes `K²·M·N·G`
//! multiply-accumulates and a separable one `K²·M·G + M·N·G`: the ratio is `1/N + 1/K²` (MobileNets, Howard et al.
//! 2017, section 3.1). Biases cost parameters, not multiplications.

/// The shape of a convolution's work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvShape {
    /// Input channels.
    pub c_in: u64,
    /// Output channels.
    pub c_out: u64,
    /// Rows and columns of the kernel.
    pub kernel_size: [u64; 2],
    /// Rows and columns of the output, in pixels.
    pub output: [u64; 2],
    /// Whether a bias is added.
    pub bias: bool,
}

/// The cost of computing a layer once, for one image.
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

/// The cost of a convolution in `groups` channel groups: 1 is regular, `c_in` depthwise. It saturates: counts stop at
/// [`u64::MAX`].
///
/// # Panics
/// With 0 groups.
#[must_use]
pub fn grouped(shape: ConvShape, groups: u64) -> Cost {
    assert!(groups > 0, "expected at least 1 group, got 0");
    let product =
        |first: u64, factors: [u64; 2]| first.saturating_mul(factors[0]).saturating_mul(factors[1]);
    let weights = product(shape.c_out.saturating_mul(shape.c_in / groups), shape.kernel_size);
    Cost {
        macs: product(weights, shape.output),
        params: weights.saturating_add(if shape.bias { shape.c_out } else { 0 }),
    }
}

/// The cost of a regular convolution.
#[must_use]
pub fn regular(shape: ConvShape) -> Cost {
    grouped(shape, 1)
}

/// The cost of a depthwise convolution; `c_out` is `c_in` times the depth multiplier.
///
/// # Panics
/// With 0 input channels.
#[must_use]
pub fn depthwise(shape: ConvShape) -> Cost {
    grouped(shape, shape.c_in)
}

/// The cost of a pointwise convolution; the kernel size of `shape` is ignored.
#[must_use]
pub fn pointwise(shape: ConvShape) -> Cost {
    regular(ConvShape { kernel_size: [1, 1], ..shape })
}

/// The cost of a separable convolution, depthwise half first, with `depth_multiplier` kernels for each channel.
///
/// # Panics
/// With 0 input channels.
#[must_use]
pub fn separable(shape: ConvShape, depth_multiplier: u64) -> Cost {
    let between = shape.c_in * depth_multiplier;
    depthwise(ConvShape { c_out: between, ..shape })
        + pointwise(ConvShape { c_in: between, ..shape })
}

/// Separable over regular multiplications, `1/N + 1/K²`, for `c_out` = N and a K×K kernel.
#[must_use]
pub fn reduction_ratio(c_out: u64, kernel_size: u64) -> f64 {
    1. / c_out as f64 + 1. / (kernel_size * kernel_size) as f64
}

#[cfg(test)]
mod tests;
