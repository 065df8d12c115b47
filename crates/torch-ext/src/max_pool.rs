//! Max-pooling of a channels-last map, with what is pending on the map applied on the way in.
//!
//! libtorch's kernel keeps 64-bit indices, eight bytes for a two-byte number; ours keeps the tap that won, in the
//! map's own kind.

mod backward;
mod forward;

use tch::Tensor;

use crate::FeatureMap;
use crate::feature_map::record_on;
use crate::nhwc::{Nhwc, covers, laid_out, with_element};

/// The largest window whose taps bf16 can number.
const LARGEST: i64 = 15;

/// How a square window moves over the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolGeometry {
    /// Rows and columns of the window.
    pub kernel: i64,
    /// Pixels between two windows.
    pub stride: i64,
    /// Rows above and columns left of the image that the first window covers; they never win.
    pub before: [i64; 2],
    /// Rows and columns that come out.
    pub output: [i64; 2],
}

/// The largest value under each window; `None` where our kernels do not compute on such a map.
///
/// `[N, C, H, W]` to `[N, C, H', W']`. Of equal values the first wins, and NaN wins over all, as in libtorch.
/// Panics where a window would lie outside the image.
pub fn max_pool2d(xs: &FeatureMap, geometry: PoolGeometry) -> Option<Tensor> {
    let PoolGeometry { kernel, stride, before, output } = geometry;
    if !covers(xs.values()) || !(1..=LARGEST).contains(&kernel) {
        return None;
    }
    let input = Nhwc::of(xs.values());
    for (axis, pixels) in [(0, input.h as i64), (1, input.w as i64)] {
        let last = (output[axis] - 1) * stride - before[axis];
        assert!(
            stride > 0 && (0..kernel).contains(&before[axis]) && output[axis] > 0 && last < pixels,
            "expected every window of {geometry:?} to cover a part of {pixels} pixels"
        );
    }
    let [h, w] = output.map(|size| size as usize);
    let plan = Plan {
        input,
        output: Nhwc { h, w, ..input },
        kernel: kernel as usize,
        stride: stride as usize,
        before: before.map(|size| size as usize),
    };
    let learns = xs.inputs().iter().any(|input| input.requires_grad());
    let (ys, winners) = tch::no_grad(|| {
        let xs = xs.tail().of(&laid_out(&xs.values().detach()));
        let ys = plan.output.empty(xs.values());
        let winners = learns.then(|| plan.output.empty(xs.values()));
        with_element!(ys.kind(), E => forward::run::<E>(&xs, &ys, winners.as_ref(), plan));
        (ys, winners)
    });
    let Some(winners) = winners else { return Some(ys) };
    record_on(&[xs], &[], &[&winners], &ys, move |maps, kept, gradient, _| {
        with_element!(gradient.kind(), E => {
            backward::run::<E>(&maps[0], &kept[0], gradient, plan)
        })
    });
    Some(ys)
}

#[derive(Clone, Copy)]
struct Plan {
    input: Nhwc,
    output: Nhwc,
    kernel: usize,
    stride: usize,
    before: [usize; 2],
}

#[cfg(test)]
mod tests;
