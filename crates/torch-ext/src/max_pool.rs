//! Max-pooling of a channels-last map, with the operations that are pending on the map applied on the way in.
//!
//! libtorch's kernel keeps 64-bit indices, eight bytes for a two-byte number; ours keeps the tap that won, in the
//! map's own kind.

mod backward;
mod forward;
mod on_gpu;

use tch::Tensor;

use crate::FeatureMap;
use crate::cuda_kernels;
use crate::feature_map::record_on;
use crate::nhwc::{Nhwc, covers, with_element};

/// The largest window whose taps bf16 can number, and a byte.
const LARGEST: i64 = 15;

/// The movement of a square window over the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolGeometry {
    /// Rows and columns of the window.
    pub kernel: i64,
    /// Pixels between two windows, at least 1.
    pub stride: i64,
    /// Rows above and columns left of the image that the first window covers, fewer than the window has; they never win.
    pub before: [i64; 2],
    /// Rows and columns of the result. Each window covers a part of the image.
    pub output: [i64; 2],
}

/// The largest value under each window, `[N, C, H, W]` to `[N, C, H', W']`; `None` where our kernels do not compute on
/// such a map or with windows of that size.
///
/// The first of equal values wins, and NaN wins over all, as in libtorch. Differentiable; there is no second derivative.
/// PyTorch: `F.max_pool2d(xs, kernel, stride)`, with padding on each side for itself.
///
/// # Panics
/// Where a window would lie outside the image.
pub fn max_pool2d(xs: &FeatureMap, geometry: PoolGeometry) -> Option<Tensor> {
    let on_gpu = cuda_kernels::covers(xs.values());
    if !(on_gpu || covers(xs.values())) || !(1..=LARGEST).contains(&geometry.kernel) {
        return None;
    }
    let plan = Plan::new(Nhwc::of(xs.values()), geometry);
    if on_gpu {
        return Some(on_gpu::max_pool2d(xs, geometry));
    }
    let learns = xs.inputs().iter().any(|input| input.requires_grad());
    let (ys, winners) = tch::no_grad(|| {
        let xs = xs.laid_out();
        with_element!(xs.kind(), E => forward::run::<E>(&xs, learns, &plan))
    });
    let Some(winners) = winners else { return Some(ys) };
    record_on(&[xs], &[], &[&winners], &ys, move |maps, kept, gradient, _| {
        with_element!(gradient.kind(), E => {
            backward::run::<E>(&maps[0], &kept[0], gradient, &plan)
        })
    });
    Some(ys)
}

/// Every size that the loops need. Each window covers a part of the image.
#[derive(Debug, Clone, Copy)]
struct Plan {
    input: Nhwc,
    output: Nhwc,
    kernel: usize,
    stride: usize,
    before: [usize; 2],
}

impl Plan {
    /// Panics where a window would lie outside the image.
    fn new(input: Nhwc, geometry: PoolGeometry) -> Self {
        let PoolGeometry { kernel, stride, before, output } = geometry;
        for (axis, pixels) in [(0, input.h), (1, input.w)] {
            let fits =
                pixels > 0 && stride > 0 && (0..kernel).contains(&before[axis]) && output[axis] > 0;
            // The start of the last window.
            let last = (output[axis].saturating_sub(1)).checked_mul(stride);
            let last = last.and_then(|last| last.checked_sub(before[axis]));
            assert!(
                fits && last.is_some_and(|last| last < pixels as i64),
                "expected every window of {geometry:?} to cover a part of {pixels} pixels"
            );
        }
        let [h, w] = output.map(|size| size as usize);
        Self {
            input,
            output: Nhwc { h, w, ..input }.addressable(),
            kernel: kernel as usize,
            stride: stride as usize,
            before: before.map(|size| size as usize),
        }
    }
}

#[cfg(test)]
mod tests;
