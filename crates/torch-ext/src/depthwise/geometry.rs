//! The movement of a kernel over the image.

use tch::Tensor;

use crate::dense::{described, expect_floating, is_floating};
use crate::nhwc::Nhwc;

/// The movement of a kernel over the image, and the channels that it combines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DepthwiseGeometry {
    /// Rows and columns between two outputs, at least 1.
    pub stride: [i64; 2],
    /// Rows and columns of zeros on each side, at least 0.
    pub padding: [i64; 2],
    /// Rows and columns between two taps of the kernel, at least 1.
    pub dilation: [i64; 2],
    /// Groups of channels that are convolved separately; `c_in` for a depthwise convolution proper.
    pub groups: i64,
}

impl DepthwiseGeometry {
    /// The plan of the convolution of `xs: [N, c_in, H, W]` with `ws` and `bs`.
    ///
    /// # Panics
    /// Where it is none that libtorch would compute.
    pub(super) fn plan(self, xs: &Tensor, ws: &Tensor, bs: Option<&Tensor>) -> Plan {
        expect_floating(xs);
        let input = Nhwc::of(xs);
        let with_kind = |tensor: &Tensor| {
            tensor.defined()
                && tensor.device() == xs.device()
                && tensor.f_kind().is_ok_and(is_floating)
        };
        let (c_in, groups) = (input.c as i64, self.groups);
        let shape = if ws.defined() { ws.size() } else { Vec::new() };
        let fits = groups > 0
            && c_in % groups == 0
            && matches!(shape[..], [c_out, c, _, _] if c_out > 0 && c_out % groups == 0 && c == c_in / groups);
        assert!(
            with_kind(ws) && fits,
            "expected floating-point kernels [c_out, c_in / groups, kh, kw] on {:?} for {c_in} channels in {groups} \
             groups, got {}",
            xs.device(),
            described(ws)
        );
        if let Some(bs) = bs {
            assert!(
                with_kind(bs) && bs.size() == shape[..1],
                "expected a floating-point bias [{}] on {:?}, got {}",
                shape[0],
                xs.device(),
                described(bs)
            );
        }
        Plan::of(input, [shape[2], shape[3]], self)
    }
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
    /// The plan of a convolution of maps of the size `input` with one kernel of the shape `weight` for each channel.
    ///
    /// # Panics
    /// Where the kernel does not fit the padded image, as libtorch does, and where a number is out of its range.
    pub(crate) fn new(input: Nhwc, weight: &[i64], geometry: DepthwiseGeometry) -> Self {
        assert!(
            weight.len() == 4 && weight[1] == 1,
            "expected kernels [C, 1, kh, kw] for a depthwise convolution, got {weight:?}"
        );
        Self::of(input, [weight[2], weight[3]], geometry)
    }

    fn of(input: Nhwc, kernel: [i64; 2], geometry: DepthwiseGeometry) -> Self {
        let DepthwiseGeometry { stride, padding, dilation, .. } = geometry;
        let positive = stride.iter().chain(&dilation).chain(&kernel).all(|&size| size > 0);
        assert!(
            positive && padding.iter().all(|&size| size >= 0),
            "expected a kernel, stride and dilation of at least 1 and a padding of at least 0, got a \
             kernel of {kernel:?} in {geometry:?}"
        );
        let outputs = |axis: usize, pixels: usize| {
            let reach = dilation[axis].checked_mul(kernel[axis] - 1).and_then(|r| r.checked_add(1));
            let padded = padding[axis].checked_mul(2).and_then(|p| p.checked_add(pixels as i64));
            let (Some(reach), Some(padded)) = (reach, padded) else {
                panic!(
                    "expected a reach and a padded image of less than 2^63 pixels, got {geometry:?}"
                );
            };
            assert!(
                padded >= reach,
                "a kernel that reaches over {reach} pixels does not fit {pixels} pixels padded to {padded}"
            );
            ((padded - reach) / stride[axis] + 1) as usize
        };
        let (h, w) = (outputs(0, input.h), outputs(1, input.w));
        let [kernel, stride, padding, dilation] =
            [kernel, stride, padding, dilation].map(|pair| pair.map(|size| size as usize));
        let output = Nhwc { h, w, ..input }.addressable();
        Self { input, output, kernel, stride, padding, dilation }
    }

    /// Taps of a kernel.
    pub(super) fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Whether this is the 3×3 kernel without dilation, at this stride, each window of which covers a part of the image.
    pub(crate) fn is_3x3(&self, stride: usize) -> bool {
        self.kernel == [3, 3]
            && self.dilation == [1, 1]
            && self.stride == [stride, stride]
            && self.padding.iter().all(|&padding| padding <= 2)
    }
}
