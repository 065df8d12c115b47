//! How the kernel moves over the image.

use crate::nhwc::Nhwc;

/// How the kernel moves over the image, and how far channels mix.
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

/// Every size that the loops need.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) input: Nhwc,
    pub(crate) output: Nhwc,
    pub(crate) kernel: [usize; 2],
    pub(crate) stride: [usize; 2],
    pub(crate) padding: [usize; 2],
    pub(crate) dilation: [usize; 2],
}

impl Plan {
    /// Panics where the kernel does not fit the padded image, as libtorch does.
    pub(crate) fn new(input: Nhwc, weight: &[i64], geometry: DepthwiseGeometry) -> Self {
        let DepthwiseGeometry { stride, padding, dilation, .. } = geometry;
        assert!(
            weight.len() == 4 && weight[1] == 1,
            "expected kernels [C, 1, kh, kw] for a depthwise convolution, got {weight:?}"
        );
        let positive = stride.iter().chain(&dilation).chain(&weight[2..]).all(|&size| size > 0);
        assert!(
            positive && padding.iter().all(|&size| size >= 0),
            "expected a kernel, stride and dilation of at least 1 and a padding of at least 0, got a \
             kernel of {:?} in {geometry:?}",
            &weight[2..]
        );
        let size = |pair: [i64; 2]| pair.map(|size| size as usize);
        let plan = Self {
            input,
            output: input,
            kernel: size([weight[2], weight[3]]),
            stride: size(stride),
            padding: size(padding),
            dilation: size(dilation),
        };
        let along = |axis: usize, pixels: usize| {
            let reach = plan.dilation[axis] * (plan.kernel[axis] - 1) + 1;
            let padded = pixels + 2 * plan.padding[axis];
            assert!(
                padded >= reach,
                "a kernel that reaches over {reach} pixels does not fit {pixels} pixels padded to {padded}"
            );
            (padded - reach) / plan.stride[axis] + 1
        };
        let (h, w) = (along(0, input.h), along(1, input.w));
        Self { output: Nhwc { h, w, ..input }, ..plan }
    }

    /// Whether this is the 3×3 kernel without dilation, at this stride, each window of which sees the image.
    pub(crate) fn is_3x3(&self, stride: usize) -> bool {
        self.kernel == [3, 3]
            && self.dilation == [1, 1]
            && self.stride == [stride, stride]
            && self.padding.iter().all(|&padding| padding <= 2)
    }
}
